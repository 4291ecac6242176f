"""One epoch for all trials, then the best of them in full (Egele et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nachos_jax.core.types import EpochLimit
from nachos_jax.search.policies.policy import Asked, Cohort, Known, Policy, Stage
from nachos_jax.search.policies.rungs import ask, best

BEST = 3
"""Trials of a cohort that are trained in full."""


class Top(Policy):
    """The baseline that cheaper policies have to beat."""

    def sizes(self, rounds: Sequence[int]) -> list[int]:
        """See `Policy`."""
        return list(rounds)

    def opening(self, known: Known, cohort: Cohort) -> list[Asked]:
        """See `Policy`."""
        return ask(cohort.trials, known.folds, _once(known))

    def course(self, known: Known, cohort: Cohort) -> Iterator[Stage]:
        """See `Policy`."""
        running = [trial for trial in known.alive() if trial in cohort.trials]
        keep = best(known, running, known.folds, _once(known), BEST)
        told = f"not among the best {len(keep)} of {len(running)} after one epoch"
        yield Stage(
            ask(keep, known.folds, known.limit), {trial: told for trial in running if trial not in keep}
        )


def _once(known: Known) -> EpochLimit:
    return replace(known.limit, epochs=1)
