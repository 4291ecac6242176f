"""What searchers that learn from scores have in common: when a model proposes, and what stands in for it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nachos_jax.core.hparams import idle_beside, with_absent
from nachos_jax.core.types import HParams, HParamValue, Trial
from nachos_jax.search.drawn_search import DrawnSearch, sobol
from nachos_jax.search.searcher import Heard, History, Proposal, SearchSetting, identity

LOG = logging.getLogger("nachos_jax")

Model = Callable[[SearchSetting, History], HParams | None]
"""Proposes the next trial of a study; None where it has not enough to learn from."""


class LearnedSearch:
    """The default, priors and Sobol points up to `setting.initial` trials, then what a model proposes.

    The model sees the history alone, so an interrupted study goes on as if it had not been. Proposals of the
    same ask count as running trials. Sobol also goes on where the model has nothing to learn from, fails
    or repeats a trial.
    """

    def __init__(self, setting: SearchSetting, name: str, model: Model):
        self._setting, self._name, self._model = setting, name, model
        self._drawn = DrawnSearch(setting, "sobol", sobol)

    def ask(self, count: int, history: History) -> list[Proposal]:
        """See `Searcher.ask`."""
        known = list(history)
        proposals: list[Proposal] = []
        while len(proposals) < count:
            spare = self._drawn.ask(1, known)
            if not spare:
                break
            proposal = self._learned(known) or spare[0]
            proposals.append(proposal)
            trial = Trial(self._setting.study, len(known), proposal.hparams, proposal.origin)
            known.append(Heard(trial))
        return proposals

    def _learned(self, known: History) -> Proposal | None:
        setting, number = self._setting, len(known)
        if number < max(setting.initial, len(setting.given)):
            return None
        try:
            values = self._model(setting, known)
        except Exception as error:
            LOG.warning(
                "Searcher %r made no proposal for trial %d, Sobol did instead: %r", self._name, number, error
            )
            return None
        if values is None:
            return None
        hparams = setting.canonical(values)
        if any(identity(heard.trial.hparams) == identity(hparams) for heard in known):
            LOG.warning(
                "Searcher %r proposed an earlier trial again as trial %d, Sobol did instead.",
                self._name,
                number,
            )
            return None
        return Proposal(hparams, self._name)


def flat_point(setting: SearchSetting, hparams: HParams) -> dict[str, HParamValue] | None:
    """A value for every searched hyperparameter of a trial, as a model of a flat space wants it.

    An inactive one has its default, or the middle of its range where that does not hold the default. None for
    a trial outside the space (the default, if its value is not in the range searched).
    """
    point, idle = {}, idle_beside(hparams, setting.table)
    known = {name: value for name, value in with_absent(hparams, setting.table).items() if name not in idle}
    for axis in setting.searched:
        value = known.get(axis.name, setting.defaults[axis.name])
        if not axis.holds(value):
            if axis.name in known:
                return None
            value = axis.at(0.5)
        point[axis.name] = value
    return point


def in_order(values: tuple[HParamValue, ...]) -> bool:
    """True when choices are numbers, which have an order."""
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
