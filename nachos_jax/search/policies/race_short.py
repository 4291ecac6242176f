"""The race with fits that end sooner: where nothing is left to learn, and where the first fold was at its best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from nachos_jax.core.curves import best_epoch, waited
from nachos_jax.core.types import EpochLimit
from nachos_jax.search.policies.ending import ended
from nachos_jax.search.policies.patience import SHORTEST, learned_from
from nachos_jax.search.policies.policy import Asked, Cohort, Known
from nachos_jax.search.policies.race import Race

FIRST = 1 / 4
"""Of the patience, on the first fold: after it a fit has to show that it has come to its end."""


class RaceShort(Race):
    """Decides as the race does, on fits that are shorter in two ways.

    On the first fold a fit waits for a quarter of the patience. It is at its end if it has fitted its training
    cases (see `ending.ended`); every other one, late starters with it, goes on with the whole patience before
    anything is judged.

    On later folds a fit is trained for as many epochs as its first fold took to its best, and a little more. If
    its loss still falls there, it goes on with the patience that is learned from the first fold.
    """

    def opening(self, known: Known, cohort: Cohort) -> list[Asked]:
        """See `Policy`."""
        return [Asked(trial, known.folds[0], _sooner(known.limit)) for trial in cohort.trials]

    def _next(self, known: Known) -> list[Asked]:
        return self._longer(known) or super()._next(known)

    def _ahead(self, known: Known, trial: int, number: int) -> list[Asked]:
        """The next folds of a trial."""
        limit, scores, first = self._learned(known, trial), known.scores(trial), self._first(known, trial)
        limit = replace(limit, epochs=min(limit.epochs, best_epoch(first) + SHORTEST))
        return [Asked(trial, fold, limit) for fold in known.folds if fold not in scores][:number]

    def _longer(self, known: Known) -> list[Asked]:
        """Fits that have to go on before anything is judged."""
        found = []
        for trial in known.alive():
            for fold in known.scores(trial):
                limit = self._beyond(known, trial, fold)
                found += [] if limit is None else [Asked(trial, fold, limit)]
        return found

    def _beyond(self, known: Known, trial: int, fold: int) -> EpochLimit | None:
        """How far a fit has to go on; None if it stays as it is."""
        told = known.furthest(trial, fold)
        assert told is not None
        limit, curve = told
        if fold == known.folds[0]:
            sooner = curve.end == "patience" and limit.patience != known.limit.patience
            return known.limit if sooner and not ended(curve.loss, known.training(trial, fold)) else None
        further = self._learned(known, trial)
        if len(curve.loss) == limit.epochs < further.epochs and waited(curve.loss) < SHORTEST:
            return further
        return None

    def _learned(self, known: Known, trial: int) -> EpochLimit:
        return learned_from(known.limit, [self._first(known, trial)])

    def _first(self, known: Known, trial: int) -> Sequence[float | None]:
        """The loss on the first fold."""
        curve = known.curve(trial, known.folds[0])
        assert curve is not None
        return curve.loss


def _sooner(limit: EpochLimit) -> EpochLimit:
    """A limit with a quarter of the patience."""
    if limit.patience is None:
        return limit
    return replace(limit, patience=min(limit.patience, max(SHORTEST, math.ceil(FIRST * limit.patience))))
