"""Hyperband: successive halving in brackets that begin at other rungs (Li et al. 2018, algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, cycle, takewhile

from nachos_jax.search.policies.halving import Halving
from nachos_jax.search.policies.policy import Cohort
from nachos_jax.search.policies.rungs import ETA

LOWEST = 2
"""Rungs below the whole one in the first bracket. Two give brackets of 9, 5 and 3 trials, so that a search
of some tens of trials goes through all of them."""


class Hyperband(Halving):
    """Each cohort is a bracket; the last bracket has no rungs, so a late starter wins in it."""

    def sizes(self, rounds: Sequence[int]) -> list[int]:
        """The brackets in turn, for as many trials as there are."""
        total = sum(rounds)
        brackets = [-(-(LOWEST + 1) * ETA**rungs // (rungs + 1)) for rungs in range(LOWEST, -1, -1)]
        ends = [*takewhile(lambda end: end < total, accumulate(cycle(brackets))), total]
        return [end - begin for begin, end in zip([0, *ends], ends, strict=False) if end > begin]

    def rungs(self, cohort: Cohort) -> int:
        """Number of rungs below the whole one."""
        return LOWEST - cohort.index % (LOWEST + 1)
