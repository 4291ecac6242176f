"""A race over inner folds: trials go on while they may still overtake the leader by something that counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nachos_jax.search.policies.patience import learned
from nachos_jax.search.policies.policy import Asked, Cohort, Known, Policy, Stage
from nachos_jax.search.policies.standing import Standing

TOLERANCE = 0.5
"""What all that is left out may be expected to cost, in standard errors of the leader's mean over inner
folds. The one-standard-error rule calls a whole one no difference (Breiman et al. 1984); half of it, as on
published curves 0.7 and more let a race end after two folds with a regret above 2 (synthetic curves do not
tell them apart)."""
PILOTS = 4
"""Trials that take a second fold to tell how much folds differ, when nothing else does."""


class Race(Policy):
    """Trains all trials on the first fold, then fold by fold those that may still win.

    A trial that is left behind is only waiting: it goes on when the leader falls back. The race ends when
    all that is not known is expected to add less than the tolerance to the score of the leader. As a sum of
    expected gains is never less than the expectation of the largest, this counts how many trials there are.

    Folds after the first are trained with a patience that is learned, see `patience.learned`.
    """

    def sizes(self, rounds: Sequence[int]) -> list[int]:
        """See `Policy`."""
        return list(rounds)

    def opening(self, known: Known, cohort: Cohort) -> list[Asked]:
        """See `Policy`."""
        return [Asked(trial, known.folds[0], known.limit) for trial in cohort.trials]

    def course(self, known: Known, cohort: Cohort) -> Iterator[Stage]:  # noqa: ARG002
        """See `Policy`."""
        while asked := self._next(known):
            yield Stage(asked)
        behind = {trial: len(known.scores(trial)) for trial in known.alive() if not known.complete(trial)}
        yield Stage(stopped={trial: f"behind after {seen} inner folds" for trial, seen in behind.items()})

    def _next(self, known: Known) -> list[Asked]:
        """The next fold of all that may win; once only the leader may, all its folds; then nothing."""
        standing = Standing.of(known)
        if standing is None:
            return []
        leader, rivals = standing.leader, standing.rivals
        if not rivals:
            return self._ahead(known, leader, len(known.folds))
        gains = standing.gains()
        if gains is None:
            running = [leader, *standing.first(rivals)[: PILOTS - 1]]
        else:
            running = worth(rivals, gains, TOLERANCE * standing.error())
            if not running:
                return self._ahead(known, leader, len(known.folds))
            furthest = max(standing.seen[trial] for trial in running)
            running += [leader] * (furthest == standing.seen[leader])
        return [asked for trial in running for asked in self._ahead(known, trial, 1)]

    def _ahead(self, known: Known, trial: int, number: int) -> list[Asked]:
        """The next folds of a trial."""
        limit, scores = learned(known, trial), known.scores(trial)
        return [Asked(trial, fold, limit) for fold in known.folds if fold not in scores][:number]


def worth(rivals: Sequence[int], gains: np.ndarray, tolerance: float) -> list[int]:
    """All rivals but those with the least to gain, who together stay within the tolerance."""
    order = np.argsort(gains, kind="stable")
    left = np.cumsum(gains[order]) <= tolerance
    return [rivals[place] for place in order[~left]]
