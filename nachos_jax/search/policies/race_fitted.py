"""The race in which nobody waits for long once the training cases are fitted, on whatever fold."""

from __future__ import annotations

from dataclasses import replace

from nachos_jax.search.policies.ending import at_its_end, in_epochs, trained
from nachos_jax.search.policies.policy import Asked, Known, reach
from nachos_jax.search.policies.race_short import FIRST, RaceShort, sooner, taught

WINNER = 1 / 2
"""Share of the patience that the selected trial has waited for at least on each fold: twice that of a trial
that is only compared, as another fold may keep it waiting for twice as long (see `patience.MARGIN`)."""


class RaceFitted(RaceShort):
    """Asks on all folds what `RaceShort` asks on the first one.

    A later fold waits for a quarter of the patience, or for what the first fold teaches where that is less.
    If it has not fitted its training cases by then, it waits for what the first fold teaches. The selected
    trial waits for half of the patience on every fold, and for the whole one where it has not fitted them.

    All studies ask for first folds, and few for the others: there a fit ends with what is asked of it.
    """

    winner = WINNER

    def completion(self, known: Known, trial: int) -> list[Asked]:
        """See `Policy`."""
        half = [Asked(trial, fold, sooner(known.limit, self.winner)) for fold in known.folds]
        asked = [fit for fit in half if not trained(known, fit)]
        return _alone(known, asked or [fit for fit in known.completed(trial) if not at_its_end(known, fit)])

    def _next(self, known: Known) -> list[Asked]:
        return _alone(known, super()._next(known))

    def _longer(self, known: Known) -> list[Asked]:
        later = [
            Asked(trial, fold, taught(known, trial))
            for trial in known.alive()
            for fold in known.scores(trial)
            if fold != known.folds[0]
        ]
        return super()._longer(known) + [fit for fit in later if not at_its_end(known, fit)]

    def _ahead(self, known: Known, trial: int, number: int) -> list[Asked]:
        """The next folds of a trial."""
        limit = min(taught(known, trial), sooner(known.limit, FIRST), key=reach)
        return [Asked(trial, fit.fold, limit) for fit in super()._ahead(known, trial, number)]


def _alone(known: Known, asked: list[Asked]) -> list[Asked]:
    """The same, ending with what is asked of one fold, but where no epochs could be spared."""
    if sooner(known.limit, FIRST) == known.limit:
        return asked
    return [replace(fit, alone=in_epochs(known, replace(fit, fold=known.folds[0]))) for fit in asked]
