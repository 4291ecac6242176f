"""Who decodes: threads of this process, or processes of their own, which a crashing decoder ends alone."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, Protocol

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.pixels import Pixels, ReadCase
from nachos_jax.data.reading import Opening, Told, read_rows, unpacked
from nachos_jax.runtime import cores, processes, scratch

Rows = Sequence[int]
BLOCK = 32
"""Cases that are decoded before they are reported: small enough for a smooth progress bar."""
MOST, MOST_LARGE = 64, 16
"""Processes; of those that decode volumes, each holds a whole one, before and after it is prepared."""
FEW = 200
"""Cases below which starting processes costs more than it saves."""
PLAIN = (".png", ".jpg", ".jpeg")
"""Formats whose decoders check what they are given; those of others have crashed."""
PATIENCE = 300.0
"""Seconds that an order may take; one that takes longer is tried case by case, and then refused."""
_CURE = "replace the file by an intact one, or drop its row"
_WAIT = "free memory, use fewer cores, or drop its row"
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGXCPU)
"""Ends that others give a process, the system too where memory runs out; no file does."""
_NO_MEMORY = ("MemoryError", "bad_alloc")
"""Last words of a process without memory."""
_THREADS: tuple[str, ...] = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ONE_THREAD = {name: "1" for name in _THREADS}


class Crew(Protocol):
    """Decodes blocks of rows."""

    def told(self, blocks: Iterable[Rows], images: np.ndarray | None) -> Iterator[list[Told]]:
        """What became of each block, in their order; the caller may stop at any of them."""
        ...


def blocks_of(pixels: Pixels) -> list[range]:
    """All rows in their order: volumes one by one, and of few images blocks that keep all cores busy."""
    count = pixels.count
    size = 1 if _large(pixels) else min(BLOCK, max(1, count // (8 * cores.available())))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _large(pixels: Pixels) -> bool:
    return isinstance(pixels.open, Opening) and pixels.open.large


@contextlib.contextmanager
def crew(pixels: Pixels, preparation: Mapping[str, Any]) -> Generator[Crew]:
    """Processes where they can open the files and are worth their start, else threads."""
    plain = all(file.suffix.lower() in PLAIN for file in pixels.files)
    if isinstance(pixels.open, Opening) and (pixels.count >= FEW or not plain):
        most = MOST_LARGE if _large(pixels) else MOST
        count = min(most, cores.available(), len(blocks_of(pixels)))
        with Processes(count, pixels.open, preparation) as several:
            yield several
    else:
        yield Threads(pixels.open(), preparation)


@dataclasses.dataclass(frozen=True)
class Threads:
    """Threads of this process.

    Attributes:
        read: reads a case.
        preparation: see `preparation.prepare`.
    """

    read: ReadCase
    preparation: Mapping[str, Any]

    def told(self, blocks: Iterable[Rows], images: np.ndarray | None) -> Iterator[list[Told]]:
        """As `Crew`."""
        if images is None:  # the caller looks for one, and most often stops at the first
            yield from (read_rows(self.read, rows, self.preparation, None) for rows in blocks)
            return
        pool = ThreadPoolExecutor(min(16, cores.available()))
        try:
            yield from pool.map(lambda rows: read_rows(self.read, rows, self.preparation, images), blocks)
        finally:
            pool.shutdown(cancel_futures=True)


@dataclasses.dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[str]
    errors: IO[bytes]
    number: int = -1
    rows: Rows = ()
    since: float = 0.0
    answered: bool = False


class Processes:
    """Processes of their own, started at once, and anew where one was lost; a context that ends them.

    Args:
        count: how many.
        opening: of the cases.
        preparation: see `preparation.prepare`.
    """

    def __init__(self, count: int, opening: Opening, preparation: Mapping[str, Any]):
        self._count, self._opening, self._preparation = count, opening, preparation
        self._kept = contextlib.ExitStack()
        self._workers: list[_Worker] = []

    def __enter__(self) -> Processes:
        self._ready = self._kept.enter_context(selectors.DefaultSelector())
        folder = self._kept.enter_context(scratch.folder())
        self._order = folder / "what.json"
        what = {"opening": dataclasses.asdict(self._opening), "preparation": dict(self._preparation)}
        self._order.write_text(json.dumps(what), encoding="utf-8")
        for _ in range(self._count):  # all now: they take as long to start as a hundred images to decode
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._end(worker)
        self._kept.close()

    def told(self, blocks: Iterable[Rows], images: np.ndarray | None) -> Iterator[list[Told]]:
        """As `Crew`; the array, where there is one, is a memory map that the processes open too."""
        into = "" if images is None else str(images.filename)  # pyrefly: ignore[missing-attribute]
        ahead = 1 if images is None else 8 * self._count
        numbered, coming = enumerate(blocks), None
        done: dict[int, list[Told]] = {}
        try:
            for number in itertools.count():
                while number not in done:
                    # Not far ahead, so that what is done and not yet told stays little.
                    if coming is None and len(done) + sum(1 for one in self._workers if one.rows) < ahead:
                        coming = next(numbered, None)
                    free = self._free() if coming else None
                    if coming and free:
                        self._send(free, *coming, into)
                        coming = None
                    elif any(worker.rows for worker in self._workers):
                        self._hear(done, images)
                    else:
                        return
                yield done.pop(number)
        finally:
            for worker in [worker for worker in self._workers if worker.rows]:
                self._end(worker)

    def _free(self) -> _Worker | None:
        """A process without an order."""
        if len(self._workers) < self._count:
            self._start()
        return next((worker for worker in self._workers if not worker.rows), None)

    def _start(self) -> None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the process ends)
        module = "nachos_jax.data.decode_worker"
        worker = _Worker(processes.start(module, [str(self._order)], _ONE_THREAD, errors), errors)
        self._workers.append(worker)
        self._ready.register(processes.pipe(worker.process.stdout), selectors.EVENT_READ, worker)

    def _send(self, worker: _Worker, number: int, rows: Rows, into: str) -> None:
        worker.number, worker.rows, worker.since = number, rows, time.monotonic()
        with contextlib.suppress(BrokenPipeError):  # its end is heard
            order = json.dumps({"rows": list(rows), "into": into})
            print(order, file=processes.pipe(worker.process.stdin), flush=True)

    def _hear(self, done: dict[int, list[Told]], images: np.ndarray | None) -> None:
        """Waits for answers, of which a process gives one an order."""
        for worker in self._answering(1.0):
            line = processes.pipe(worker.process.stdout).readline()
            if line:
                done[worker.number] = unpacked(line)
                worker.rows, worker.answered = (), True
            else:
                self._lost(worker, done, images)
        late = [one for one in self._workers if one.rows and time.monotonic() - one.since > PATIENCE]
        # This process may have slept, or written for long: an answer that has come by now is in time.
        come = self._answering(0.0) if late else []
        for worker in late:
            if worker not in come:
                self._lost(worker, done, images, late=True)

    def _answering(self, seconds: float) -> list[_Worker]:
        """Processes that have answered or ended, after so long a wait for the first of them."""
        return [key.data for key, _ in self._ready.select(seconds)]

    def _lost(
        self, worker: _Worker, done: dict[int, list[Told]], images: np.ndarray | None, late: bool = False
    ) -> None:
        """Refuses the case that a process was lost with; of several, each is tried alone."""
        code, last = self._end(worker, 0.0 if late else 10.0)
        if code > 0 and not worker.answered:
            raise UsageError(f"a process that decodes images cannot start ({last or code}).")
        if len(worker.rows) == 1:
            why = f"was still at work after {PATIENCE:.0f} s" if late else f"has crashed ({_name(code)})"
            transient = late or code in _FROM_OUTSIDE or any(word in last for word in _NO_MEMORY)
            cure = _WAIT if transient else _CURE
            done[worker.number] = [Told(worker.rows[0], f"its decoder {why}; {cure}", transient=transient)]
        elif worker.rows:
            with Processes(1, self._opening, self._preparation) as alone:
                singly = alone.told([[row] for row in worker.rows], images)
                done[worker.number] = [one for block in singly for one in block]

    def _end(self, worker: _Worker, seconds: float = 0.0) -> tuple[int, str]:
        """Ends a process that has so long to end by itself; its exit status and its last words."""
        process = worker.process
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        code = process.wait()
        self._workers.remove(worker)
        self._ready.unregister(processes.pipe(process.stdout))
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                processes.pipe(stream).close()
        with worker.errors as errors:
            errors.seek(0)
            return code, errors.read()[-2000:].decode(errors="replace").strip().rpartition("\n")[2]


def _name(code: int) -> str:
    """What ended a process."""
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"
