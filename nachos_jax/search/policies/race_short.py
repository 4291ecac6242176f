"""The race with fits that wait for less: those that have fitted their training cases are at their end."""

from __future__ import annotations

import math
from dataclasses import replace

from nachos_jax.core.types import EpochLimit
from nachos_jax.search.policies.ending import ended
from nachos_jax.search.policies.patience import SHORTEST, learned_from
from nachos_jax.search.policies.policy import Asked, Cohort, Known
from nachos_jax.search.policies.race import Race

FIRST, LATER = 1 / 4, 1 / 8
"""Shares of the patience after which a fit has to show that it is at its end: on the first fold, and on those
that follow. They are the same for all studies, so that two studies ask for the same fit."""


class RaceShort(Race):
    """Decides as the race does, on fits that wait for less.

    On the first fold a fit waits for a quarter of the patience. It is at its end if it has fitted its
    training cases (see `ending.ended`); every other one, late starters with it, goes on with the whole
    patience before anything is judged.

    A trial that was at its end then waits for an eighth of the patience on later folds. A fit that has not
    fitted its training cases by then goes on with the patience that the first fold teaches, as in the race.
    """

    def opening(self, known: Known, cohort: Cohort) -> list[Asked]:
        """See `Policy`."""
        sooner = _shortened(known.limit, FIRST)
        return [Asked(trial, known.folds[0], sooner) for trial in cohort.trials]

    def _next(self, known: Known) -> list[Asked]:
        return self._longer(known) or super()._next(known)

    def _ahead(self, known: Known, trial: int, number: int) -> list[Asked]:
        """The next folds of a trial."""
        limit, scores, first = self._learned(known, trial), known.scores(trial), known.folds[0]
        if (
            known.curve(trial, first, known.limit) is None
        ):  # it was at its end after a quarter of the patience
            limit = min(limit, _shortened(known.limit, LATER), key=lambda one: one.patience or 0)
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
        whole = known.limit if fold == known.folds[0] else self._learned(known, trial)
        waits = curve.end == "patience" and (limit.patience or 0) < (whole.patience or 0)
        return whole if waits and not ended(curve.loss, known.training(trial, fold)) else None

    def _learned(self, known: Known, trial: int) -> EpochLimit:
        """What the first fold teaches of the patience on others."""
        first = known.curve(trial, known.folds[0])
        return learned_from(known.limit, [] if first is None else [first.loss])


def _shortened(limit: EpochLimit, share: float) -> EpochLimit:
    """A limit with a share of the patience."""
    if limit.patience is None:
        return limit
    return replace(limit, patience=min(limit.patience, max(SHORTEST, math.ceil(share * limit.patience))))
