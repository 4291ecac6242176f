"""The launches of soak.py: `nachos` commands in processes that are forked from one that has imported all."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared import measure

PRELOADED = (
    "nachos_jax.cli.commands",
    "nachos_jax.cluster.service",
    "nachos_jax.protocol.deploy",
    "nachos_jax.protocol.evaluate",
    "nachos_jax.protocol.crew.worker",
    "nachos_jax.report.page.page",
    "orbax.checkpoint",
)
LOST_AFTER = 10
PATIENCE, HURRY = 300.0, 30.0
"""Seconds that a launch may take: a hang without a kill is an error, one after it is ended by killing all."""
KILLED, STOPPED = (-signal.SIGKILL, 128 + signal.SIGKILL), 75
REFUSALS = ("ended before it was ready", "cannot take part", "could not join")
"""What process 0 may say when another one died before the training began."""
CASES = 90
CONFIG = """
from nachos_jax import default_config

def get_config():
    config = default_config()
    config.data.source, config.data.path, config.data.subject_key = "npz", "cases.npz", "subjects"
    config.folds.count = 3
    config.model.cnn.stages, config.model.cnn.width = 1, 4
    config.training.batch_size, config.training.epochs, config.training.patience = 16, 8, 8
    config.search.searcher, config.search.trials = "random", 3
    config.engine.lanes, config.engine.packing, config.engine.convolution = 1, "map", "custom"
    config.engine.checkpoint_seconds = 0.0
    return config
"""


class SoakError(Exception):
    """Something that kills must not cause."""


def prepare(folder: Path) -> None:
    """Writes the study, and sets what all processes will find in their environment."""
    number = np.arange(CASES)
    labels = number // 2 % 2
    images = np.random.default_rng(0).normal(100, 30, (CASES, 8, 8))
    images[labels == 0, ::2] += 40
    subjects = np.asarray([f"s{i // 2}" for i in number])
    pixels = np.clip(images, 0, 255).astype(np.uint8)
    np.savez(folder / "cases.npz", images=pixels, labels=labels, subjects=subjects)
    (folder / "study.py").write_text(CONFIG, encoding="utf-8")
    os.environ |= {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYTHONPATH": str(measure.FOLDER.parent),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    context().set_forkserver_preload(list(PRELOADED))


def context() -> Any:
    """Processes begin as forks of a server."""
    return multiprocessing.get_context("forkserver")


def nachos(words: list[str], folder: str, log: str) -> None:
    """What a process does: one command, its output into a file."""
    os.chdir(folder)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(handle, number)
    sys.argv = ["nachos", *words]
    from nachos_jax.cli.main import main

    sys.exit(main(sys.argv))


class Launch:
    """The processes of one launch.

    Args:
        folder: where study and caches lie.
        command: "evaluate" or "deploy".
        name: of the run directory.
        count: how many processes.
    """

    def __init__(self, folder: Path, command: str, name: str, count: int):
        self.command, self.count, self.gave_up = command, count, 0
        self._workdir = folder / name
        self._before = len(self.files("records"))
        stamp, address = time.monotonic_ns(), f"127.0.0.1:{_free_port()}"
        self._logs = [folder / f"{name}.{command}.{stamp}.{k}.log" for k in range(count)]
        self._processes = []
        for k, log in enumerate(self._logs):
            words = [command, "--config=study.py", f"--workdir={name}"]
            if count > 1:
                words += [f"--coordinator_address={address}", f"--num_processes={count}", f"--process_id={k}"]
                words += [f"--lost_after={LOST_AFTER}"]
            made = context().Process(target=nachos, args=(words, str(folder), str(log)))
            made.start()
            self._processes.append(made)
        self._trainees: set[int] = set()

    @property
    def running(self) -> bool:
        """True while a process lives."""
        return bool(self.alive())

    @property
    def begun(self) -> bool:
        """True when this launch has written a record."""
        return len(self.files("records")) > self._before

    def alive(self) -> list[int]:
        """Numbers of the processes that live."""
        return [k for k, process in enumerate(self._processes) if process.is_alive()]

    def files(self, group: str) -> set[str]:
        """All files below a folder of the run directory, also those that are being written."""
        found: set[str] = set()
        for folder, _, names in os.walk(self._workdir / group):
            found |= {f"{folder}/{name}" for name in names}
        return found

    def kill(self, process: int, guardian: bool) -> None:
        """kill -9, to the one that trains or to the guardian above it, if it has one."""
        pid = self._processes[process].pid
        children = _children(pid) if self.count > 1 else []  # a process alone has no guardian
        self._trainees |= set(children)
        _kill(pid if guardian or not children else children[0])

    def wait(self, hurry: bool = False) -> list[int]:
        """Waits for the end of all; returns their exit codes.

        Args:
            hurry: those who go on for too long are killed, and counted as `gave_up`.

        Raises:
            SoakError: they do not end.
        """
        until = time.monotonic() + (HURRY if hurry else PATIENCE)
        for process in self._processes:
            process.join(max(0.0, until - time.monotonic()))
        late = self.alive()
        for k in late:
            self.kill(k, guardian=True)
        for process in self._processes:
            process.join()
        while any(map(_lives, self._trainees)):  # they die with their guardians, an instant later
            time.sleep(0.001)
        if late and not hurry:
            raise SoakError(f"{self.command} with {self.count} processes hangs:\n{self.output()}")
        self.gave_up = len(late)
        return [process.exitcode for process in self._processes]

    def expected(self, codes: list[int], killed: int) -> bool:
        """True when these exit codes are what so many kills may lead to."""
        if not killed:
            return codes == [0] * self.count
        refused = codes[0] == 2 and any(text in self.output() for text in REFUSALS)
        return all(code in (0, STOPPED, *KILLED) or (code == 2 and refused) for code in codes)

    def output(self) -> str:
        """What all have said."""
        texts = [log.read_text(errors="replace") if log.exists() else "" for log in self._logs]
        return "\n".join(f"--- {k}\n{text}" for k, text in enumerate(texts))


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"  # nobody may be there to bury the dead
    return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
