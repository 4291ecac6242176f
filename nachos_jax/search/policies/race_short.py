"""The race with shorter first folds: who has fitted the training cases is not waited for any longer."""

from __future__ import annotations

import math
from dataclasses import replace

from nachos_jax.core.types import EpochLimit
from nachos_jax.search.policies.ending import ended
from nachos_jax.search.policies.patience import SHORTEST, learned_from
from nachos_jax.search.policies.policy import Asked, Cohort, Known
from nachos_jax.search.policies.race import Race

FIRST = 1 / 4
"""Share of the patience after which a fit on the first fold has to show that it is at its end."""


class RaceShort(Race):
    """Decides as the race does, on first folds that wait for less.

    On the first fold a fit waits for a quarter of the patience. It is at its end if it has fitted its
    training cases (see `ending.ended`); every other one, late starters with it, goes on with the whole
    patience before anything is judged. Later folds are trained as in the race, with the patience that the
    first fold teaches.
    """

    def opening(self, known: Known, cohort: Cohort) -> list[Asked]:
        """See `Policy`."""
        sooner = _sooner(known.limit)
        return [Asked(trial, known.folds[0], sooner) for trial in cohort.trials]

    def _next(self, known: Known) -> list[Asked]:
        longer = [trial for trial in known.alive() if self._waits(known, trial)]
        if longer:
            return [Asked(trial, known.folds[0], known.limit) for trial in longer]
        return super()._next(known)

    def _ahead(self, known: Known, trial: int, number: int) -> list[Asked]:
        """The next folds of a trial."""
        first, scores = known.curve(trial, known.folds[0]), known.scores(trial)
        limit = learned_from(known.limit, [] if first is None else [first.loss])
        return [Asked(trial, fold, limit) for fold in known.folds if fold not in scores][:number]

    def _waits(self, known: Known, trial: int) -> bool:
        """Whether the trial's first fold ended on a patience that may have been too short for it."""
        fold = known.folds[0]
        told = known.furthest(trial, fold)
        if told is None or told[0] == known.limit or told[1].end != "patience":
            return False
        if told[0].patience is None or len(told[1].loss) <= told[0].patience:
            return False  # what is not trained in epochs has ended by itself
        return not ended(told[1].loss, known.training(trial, fold))


def _sooner(limit: EpochLimit) -> EpochLimit:
    """A limit with a quarter of the patience."""
    if limit.patience is None or limit.patience >= limit.epochs:  # nothing is to end before the last epoch
        return limit
    return replace(limit, patience=min(limit.patience, max(SHORTEST, math.ceil(FIRST * limit.patience))))
