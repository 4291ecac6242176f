"""Signs of life: each process counts on, and who listens sees by its own clock which of them has stopped."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from nachos_jax.cluster.board import LEADER, Party
from nachos_jax.runtime.periodic import every
from nachos_jax.runtime.stopping import EXIT_CODE

log = logging.getLogger("nachos_jax")

PULSE = 2.0
"""Seconds between two pulses."""

MARGIN = 60.0
"""Seconds that process 0 waits for itself after the others have given it up: they say first why they end."""

_TELLING = 5.0
"""Seconds for the last message: what hangs may hold the log."""


def beating(
    party: Party,
    end: Callable[[int], object] = os._exit,
    clock: Callable[[], float] = time.monotonic,
) -> AbstractContextManager[None]:
    """Counts on in a thread, also while this process compiles, until the context has ended.

    Process 0 ends itself when it hangs. Nobody else would: its service lives on, so its scheduler sees a job
    at work, and never puts it back.

    Args:
        party: the processes of the launch.
        end: ends this process on the spot with an exit code.
        clock: seconds that never go back.
    """
    board, standstill = party.board, Standstill(clock)

    def tick(count: int) -> None:
        if board.process == LEADER and standstill.seconds(board.beaten) > party.stalled_after + MARGIN:
            _tell_of_hang(party.stalled_after + MARGIN)
            end(EXIT_CODE)
        board.pulse(count)

    return every(PULSE, tick, "pulse")


def _tell_of_hang(seconds: float) -> None:
    """Says why this process ends, from a thread of its own: the main thread may hang in the log itself."""
    words = (
        "process 0 has not ended an epoch for %.0f seconds and seems to hang: it ends with exit code %d, and "
        "the same command goes on from what is finished. If an epoch or a compilation does take so long, "
        "raise --stalled_after."
    )
    telling = threading.Thread(target=log.error, args=(words, seconds, EXIT_CODE), daemon=True)
    telling.start()
    telling.join(_TELLING)


class Standstill:
    """For how long this process's own beats have stood still.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock, self._looked = clock, clock()
        self._beaten: int | None = None
        self._stood = 0.0

    def seconds(self, beaten: int | None) -> float:
        """Since this count has changed, as far as somebody looked; 0 while there is none."""
        now = self._clock()
        passed, self._looked = now - self._looked, now
        if beaten is None or beaten != self._beaten:
            self._stood = 0.0
        else:
            # A process that was stopped as a whole (SIGSTOP) does not hang: its looks stood still as well.
            self._stood += min(passed, 5 * PULSE)
        self._beaten = beaten
        return self._stood


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
