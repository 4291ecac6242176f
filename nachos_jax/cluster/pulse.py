"""Signs of life: each process counts on, and who listens sees by its own clock which of them has stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from nachos_jax.cluster.board import Board
from nachos_jax.core.periodic import every

PULSE = 2.0
"""Seconds between two pulses."""


def beating(board: Board) -> AbstractContextManager[None]:
    """Counts on in a thread, also while this process compiles, until the context or process 0 has ended."""
    return every(PULSE, board.pulse, "pulse")


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
        self._last[process] = (-1, self._clock())  # whatever it counts next is news

    def seconds(self, process: int) -> float:
        """Since the counter of this process has changed; since the start when it was never heard."""
        return self._clock() - (self._last[process][1] if process in self._last else self._start)
