"""Rungs within the first inner fold, then the race over folds."""

from __future__ import annotations

from collections.abc import Iterator

from nachos_jax.search.policies.policy import Asked, Cohort, Known, Stage
from nachos_jax.search.policies.race import PILOTS, Race
from nachos_jax.search.policies.rungs import ask, below, climb

RUNGS = 2
"""Below the whole one, as in Hyperband's first bracket here."""


class RaceHalving(Race):
    """Cheaper than the race where there are many trials; it loses late starters."""

    def opening(self, known: Known, cohort: Cohort) -> list[Asked]:
        """See `Policy`."""
        lowest = [*below(known.limit, RUNGS), known.limit][0]
        return ask(cohort.trials, known.folds[:1], lowest)

    def course(self, known: Known, cohort: Cohort) -> Iterator[Stage]:
        """See `Policy`."""
        yield from climb(known, cohort.trials, known.folds[:1], below(known.limit, RUNGS), PILOTS)
        yield from super().course(known, cohort)
