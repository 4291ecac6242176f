"""How long search fits are trained under each search policy: the numbers of `nachos_jax.search.policies`.

A report is made from records alone and imports no policy, so their shares stand here again;
`tests/report/test_checklist_stops.py` holds that they are the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

LADDER = (1 / 8, 1 / 4, 1 / 2)
FIRST, WINNER = 1 / 4, 1 / 2
"""Shares of the patience: of later folds of a race, of the first wait, and of the selected trial."""
SHORTEST = 2
ETA = 3
RUNGS = 2
"""Below all epochs, in Hyperband's first bracket and before a race."""
BEST, PILOTS = 3, 4
"""Trials that go on after one epoch, and that take a second fold at least."""


@dataclass(frozen=True)
class Stops:
    """When search fits end, from the config.

    Attributes:
        early: whether a fit ends before its last epoch where its loss stays above its lowest.
        most: epochs at most.
        patience: epochs without a new lowest loss after which a fit ends; `most` where nothing ends early.
        delta: what a new lowest loss is lower by, at least.
    """

    early: bool
    most: int
    patience: int
    delta: float
    best: ClassVar[int] = BEST
    pilots: ClassVar[int] = PILOTS

    @cached_property
    def sooner(self) -> bool:
        """Whether a first fold may wait for less than the patience, and that ends anything."""
        return self.early and self.first < self.patience < self.most

    @cached_property
    def first(self) -> int:
        """Epochs after which a fit has to show that it has fitted its training cases."""
        return self._share(FIRST)

    @cached_property
    def winner(self) -> int:
        """Epochs that the selected trial has waited for at least."""
        return self._share(WINNER)

    @cached_property
    def learned(self) -> list[int]:
        """What later folds may wait for instead of the whole patience, shortest first."""
        return sorted({count for share in LADDER if (count := self._share(share)) < self.patience})

    @cached_property
    def rungs(self) -> list[int]:
        """Epochs of the rungs below all epochs, lowest first."""
        return self.below(RUNGS)

    @cached_property
    def powers(self) -> list[int]:
        """Epochs that successive halving may begin with, highest first: all for one trial or two."""
        return [self.most, *self.below(self.most.bit_length())[::-1]]

    @cached_property
    def brackets(self) -> list[int]:
        """Epochs that Hyperband's brackets begin with."""
        return [[*self.below(number), self.most][0] for number in range(RUNGS, -1, -1)]

    def below(self, number: int) -> list[int]:
        """Epochs of so many rungs below all epochs, lowest first."""
        counts = {max(1, self.most // ETA**step) for step in range(1, number + 1)}
        return sorted(count for count in counts if count < self.most)

    def _share(self, share: float) -> int:
        return min(self.patience, max(SHORTEST, math.ceil(share * self.patience)))
