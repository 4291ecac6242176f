"""Signs of life: each process counts on, and process 0 sees by its own clock who has stopped."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from nachos_jax.cluster.board import Board
from nachos_jax.core.stopping import StoppedError

PULSE = 2.0
"""Seconds between two pulses."""


@contextlib.contextmanager
def beating(board: Board) -> Iterator[None]:
    """Counts on in a thread, also while this process compiles, until the context ends."""
    over = threading.Event()

    def count_on() -> None:
        count = 0
        with contextlib.suppress(StoppedError):  # process 0 has gone: the main thread will tell
            while not over.is_set():
                board.pulse(count := count + 1)
                over.wait(PULSE)

    thread = threading.Thread(target=count_on, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Silence:
    """How long each of several counters has stood still.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._start = clock()
        self._last: dict[int, tuple[int, float]] = {}

    def hear(self, counts: Mapping[int, int]) -> None:
        """Takes in the counters as they are now."""
        for process, count in counts.items():
            if process not in self._last or self._last[process][0] != count:
                self._last[process] = (count, self._clock())

    def restart(self, process: int) -> None:
        """The silence of this process begins now."""
        self._last[process] = (-1, self._clock())

    def seconds(self, process: int) -> float:
        """Since the counter of this process has changed; since the start when it was never heard."""
        return self._clock() - (self._last[process][1] if process in self._last else self._start)
