"""Fits that wait for a place of a bucket: a lane, or a process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from nachos_jax.core.types import Fit


class FitQueue:
    """What waits, beside what is at work; whoever has places says how many, and how many are taken."""

    def __init__(self) -> None:
        self._pending: deque[Fit] = deque()

    @property
    def places(self) -> int:
        """How many fits are at work at once."""
        raise NotImplementedError

    @property
    def busy(self) -> int:
        """Places with a fit."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """Fits without a place."""
        return len(self._pending)

    @property
    def full(self) -> bool:
        """True when there are fits for all places."""
        return self.busy + self.waiting >= self.places

    @property
    def room(self) -> int:
        """Places that are free and have no fit waiting for them."""
        return max(0, self.places - self.busy - self.waiting)

    def submit(self, fits: Iterable[Fit]) -> None:
        """Queues fits of this bucket."""
        self._pending.extend(fits)
