"""Successive halving over epochs, on all inner folds (Karnin et al. 2013; Jamieson and Talwalkar 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nachos_jax.search.policies.policy import Asked, Cohort, Known, Policy, Stage
from nachos_jax.search.policies.rungs import ETA, ask, below, climb


class Halving(Policy):
    """As many rungs as leave one or two trials of a cohort for all epochs."""

    def sizes(self, rounds: Sequence[int]) -> list[int]:
        """See `Policy`."""
        return list(rounds)

    def opening(self, known: Known, cohort: Cohort) -> list[Asked]:
        """See `Policy`."""
        lowest = [*below(known.limit, self.rungs(cohort)), known.limit][0]
        return ask(cohort.trials, known.folds, lowest)

    def course(self, known: Known, cohort: Cohort) -> Iterator[Stage]:
        """See `Policy`."""
        yield from climb(known, cohort.trials, known.folds, below(known.limit, self.rungs(cohort)))

    def rungs(self, cohort: Cohort) -> int:
        """Number of rungs below the whole one."""
        number, left = 0, len(cohort.trials)
        while left >= ETA:
            number, left = number + 1, left // ETA
        return number
