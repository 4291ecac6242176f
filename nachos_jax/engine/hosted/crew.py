"""Processes that fit estimators: they are sent orders, and tell when one has ended."""

from __future__ import annotations

import contextlib
import json
import selectors
import subprocess
from collections.abc import Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.engine.hosted.fitting import Order
from nachos_jax.engine.hosted.worker import INPUTS, TARGETS
from nachos_jax.runtime import processes, scratch

_THREADS: tuple[str, ...] = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ONE_THREAD = {name: "1" for name in _THREADS}
"""A process fits with one thread: the processes are as many as the cores, and sums keep their order."""


class ProcessError(UsageError):
    """A process has ended before its fit did."""


class Processes:
    """Processes that share the arrays of a cohort; each starts with its first order.

    Args:
        count: how many at most.
        inputs: [N, ...] of all cases.
        targets: [N, ...] of all cases.
    """

    def __init__(self, count: int, inputs: np.ndarray, targets: np.ndarray):
        self._kept = contextlib.ExitStack()
        self._free: list[subprocess.Popen[str]] = []
        self._busy: dict[int, subprocess.Popen[str]] = {}  # by the number of the order
        self.folder = self._kept.enter_context(scratch.folder())
        with self._room():
            np.save(self.folder / INPUTS, inputs, allow_pickle=False)
            np.save(self.folder / TARGETS, targets, allow_pickle=False)
        self._ready = self._kept.enter_context(selectors.DefaultSelector())
        self._count = count

    @property
    def free(self) -> int:
        """How many more orders can be worked on."""
        return self._count - len(self._busy)

    def send(self, number: int, what: Mapping[str, Any], order: Order) -> None:
        """Has a free process fit something.

        Args:
            number: of the order, never given before.
            what: "architecture", "hparams", "seed", "outcome" and "count", see the module `lanes` beside.
            order: the rows and what is known of them.
        """
        assert self.free
        self._forget([one for one in self._free if one.poll() is not None])
        process = self._free.pop() if self._free else self._started()
        arrays: dict[str, Any] = {name: value for name, value in asdict(order).items() if value is not None}
        with self._room():
            np.savez(self.folder / f"{number:06d}.npz", **arrays)
        self._busy[number] = process
        try:
            print(json.dumps({"number": number, **what}), file=processes.pipe(process.stdin), flush=True)
        except BrokenPipeError:
            raise self._lost(process) from None

    def ended(self, seconds: float) -> list[tuple[int, np.ndarray | str]]:
        """Waits at most so long for orders to end: numbers, and what was seen or what went wrong.

        Raises:
            ProcessError: a process has ended before its fit did.
        """
        ready = {key.fileobj for key, _ in self._ready.select(seconds)} if self._busy else set()
        self._forget([one for one in self._free if one.stdout in ready])
        return [self._result(p) for p in list(self._busy.values()) if p.stdout in ready]

    def _forget(self, gone: list[subprocess.Popen[str]]) -> None:
        """Of what the system has ended while it had nothing to do; the next order begins another."""
        for process in gone:
            self._ready.unregister(processes.pipe(process.stdout))
            self._free.remove(process)

    def close(self) -> None:
        """Ends the processes, whatever they do, and deletes the folder."""
        for process in (*self._free, *self._busy.values()):
            process.kill()
        self._kept.close()

    @contextlib.contextmanager
    def _room(self) -> Generator[None]:
        """Around what is written into the folder.

        Raises:
            UsageError: it could not be written; the processes are ended.
        """
        try:
            yield
        except OSError as error:
            self.close()
            raise UsageError(
                f"{self.folder}, where processes that fit estimators find the cases, cannot be written "
                f"({error.strerror or error}): free space there, or name another folder by TMPDIR. The same "
                "command goes on from here."
            ) from error

    def _started(self) -> subprocess.Popen[str]:
        process = self._kept.enter_context(_process(self.folder))
        self._ready.register(processes.pipe(process.stdout), selectors.EVENT_READ)
        return process

    def _result(self, process: subprocess.Popen[str]) -> tuple[int, np.ndarray | str]:
        line = processes.pipe(process.stdout).readline()
        if not line:
            raise self._lost(process)
        told = json.loads(line)
        number, name = told["number"], self.folder / f"{told['number']:06d}"
        self._free.append(self._busy.pop(number))
        found = told["error"] or np.load(name.with_suffix(".npy"), allow_pickle=False)
        for suffix in (".npz", ".npy"):
            name.with_suffix(suffix).unlink(missing_ok=True)
        return number, found

    def _lost(self, process: subprocess.Popen[str]) -> ProcessError:
        code = process.wait()
        with contextlib.suppress(OSError):  # it holds an order still, which nobody reads any more
            processes.pipe(process.stdin).close()
        self.close()
        return ProcessError(
            f"a process that fits estimators has ended (exit status {code}); was its memory too small? The "
            "same command goes on from here."
        )


def _process(folder: Path) -> subprocess.Popen[str]:
    return processes.start("nachos_jax.engine.hosted.worker", [str(folder)], _ONE_THREAD)
