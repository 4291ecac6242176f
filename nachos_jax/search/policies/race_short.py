"""The race with shorter first folds: who has fitted the training cases is not waited for any longer."""

from __future__ import annotations

import math
from dataclasses import replace

from nachos_jax.core.types import EpochLimit
from nachos_jax.search.policies.ending import at_its_end
from nachos_jax.search.policies.patience import SHORTEST, learned_from
from nachos_jax.search.policies.policy import Asked, Cohort, Known
from nachos_jax.search.policies.race import Race

FIRST = 1 / 4
"""Share of the patience after which a fit has to show that it is at its end."""


class RaceShort(Race):
    """Decides as the race does, on first folds that wait for less.

    On the first fold a fit waits for a quarter of the patience. It is at its end if it has fitted its
    training cases (see `ending.ended`); every other one, late starters with it, goes on with the whole
    patience before anything is judged. Later folds are trained as in the race, with the patience that the
    first fold teaches.
    """

    def opening(self, known: Known, cohort: Cohort) -> list[Asked]:
        """See `Policy`."""
        return [Asked(trial, known.folds[0], sooner(known.limit, FIRST)) for trial in cohort.trials]

    def _next(self, known: Known) -> list[Asked]:
        return self._longer(known) or super()._next(known)

    def _longer(self, known: Known) -> list[Asked]:
        """Fits that have to go on before anything is judged."""
        whole = [Asked(trial, known.folds[0], known.limit) for trial in known.alive()]
        return [asked for asked in whole if not at_its_end(known, asked)]

    def _ahead(self, known: Known, trial: int, number: int) -> list[Asked]:
        """The next folds of a trial."""
        limit, scores = taught(known, trial), known.scores(trial)
        return [Asked(trial, fold, limit) for fold in known.folds if fold not in scores][:number]


def taught(known: Known, trial: int) -> EpochLimit:
    """The limit on later folds that a trial's first one teaches, however that one has ended."""
    first = known.curve(trial, known.folds[0])
    return learned_from(known.limit, [] if first is None else [first.loss])


def sooner(limit: EpochLimit, share: float) -> EpochLimit:
    """A limit with a share of the patience."""
    if limit.patience is None or limit.patience >= limit.epochs:  # nothing is to end before the last epoch
        return limit
    return replace(limit, patience=min(limit.patience, max(SHORTEST, math.ceil(share * limit.patience))))
