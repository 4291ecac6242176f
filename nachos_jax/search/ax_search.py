"""Bayesian proposals by Ax; the only importer of ax and torch, which takes seconds, so it is done late.

Ax learns a flat space: a conditional hyperparameter is always there, at its default where it is
inactive, and is dropped from the proposal. Ax's own conditional spaces (`dependent_parameters`) are
flattened in the same way before the model sees them, and they refuse a hyperparameter that two
values of another make active ("contains a cycle"; ax.core.search_space, 1.3.1), as beta1 is for adam
and adamw.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nachos_jax.core.hparams import with_absent
from nachos_jax.core.space import Dimension
from nachos_jax.core.types import HParams, HParamValue, Trial, digest
from nachos_jax.search.random_search import DrawnSearch, sobol_points
from nachos_jax.search.searcher import History, Proposal, SearchSetting, contains, identity

LOG = logging.getLogger("nachos_jax")
NOISY = r"(ax|botorch|gpytorch|linear_operator|torch)(\.|$)"
"""Modules whose warnings are for their developers."""


class AxSearch:
    """The default, Sobol points up to `setting.initial` trials, then Gaussian-process proposals.

    The client is rebuilt from the history for every proposal, so an interrupted study goes on as if it
    had not been. Sobol also goes on while fewer than half of the initial trials (at least two) have a
    score, the number that Ax itself waits for, and where Ax fails or repeats a trial.
    """

    def __init__(self, setting: SearchSetting):
        self._setting = setting
        self._drawn = DrawnSearch(setting, "sobol", sobol_points)

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
            known.append((Trial(self._setting.study, len(known), proposal.hparams, proposal.origin), None))
        return proposals

    def _learned(self, known: History) -> Proposal | None:
        setting, number = self._setting, len(known)
        scored = sum(score is not None and score.score is not None for _, score in known)
        if number < setting.initial or scored < max(2, setting.initial // 2) or not _axes(setting):
            return None
        seed = int(digest(["ax", setting.seed, setting.study, number], 8), 16)
        try:
            values = propose(setting, observations(setting, known), seed)
        except Exception as error:
            LOG.warning("Ax made no proposal for trial %d, Sobol did instead: %r", number, error)
            return None
        hparams = setting.canonical(values)
        if any(identity(trial.hparams) == identity(hparams) for trial, _ in known):
            LOG.warning("Ax proposed an earlier trial again as trial %d, Sobol did instead.", number)
            return None
        return Proposal(hparams, "ax")


@dataclass(frozen=True)
class Observation:
    """One trial as the model sees it."""

    point: Mapping[str, float | int]  # Ax's value of every axis
    score: float | None  # higher is better; None while the trial runs


def observations(setting: SearchSetting, history: History) -> list[Observation]:
    """What the trials of a study teach the model.

    A failed trial has the worst score seen, so that the model turns away from it. A trial outside the
    space (the default, if its value is not in the range searched) is left out: the model's
    logarithms and lists of choices do not reach there.
    """
    scores = [score.score for _, score in history if score is not None and score.score is not None]
    worst = min(scores, default=None)
    seen = []
    for trial, score in history:
        point = _point(setting, trial.hparams)
        if point is None:
            continue
        value = None if score is None else score.score
        seen.append(Observation(point, worst if score is not None and value is None else value))
    return seen


def propose(setting: SearchSetting, seen: list[Observation], seed: int) -> dict[str, HParamValue]:
    """One proposal of Ax's default model for the space, a value for every searched hyperparameter.

    A Gaussian process, and the log of noisy expected improvement (Ament et al. 2023) over it; running trials
    count as pending. The seed names the random numbers of model fit and acquisition.
    """
    with _quiet_ax() as (client_class, configs):
        client = client_class(random_seed=seed)
        client.configure_experiment([_parameter(axis, configs) for axis in _axes(setting)])
        client.configure_optimization("score")
        client.configure_generation_strategy(initialization_budget=0, initialize_with_center=False)
        for observation in seen:
            index = client.attach_trial(observation.point)
            if observation.score is not None:
                client.complete_trial(index, {"score": observation.score})
        ((_, point),) = client.get_next_trials(1).items()
    single = {axis.name: axis.values[0] for axis in setting.searched if len(axis.values) == 1}
    return single | {axis.name: _decode(axis, point[axis.name]) for axis in _axes(setting)}


@contextmanager
def _quiet_ax() -> Iterator[tuple[Any, Any]]:
    """Ax's client class and configs, with one thread and without messages below an error."""
    # It says at its import that SQLAlchemy is installed, after Ax has set its level and before we can.
    logging.getLogger("ax.storage.sqa_store.with_db_settings_base").addFilter(lambda _: False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from ax.api import client, configs
        from ax.utils.common.logger import set_ax_logger_levels

    set_ax_logger_levels(logging.ERROR)
    # From here on not catch_warnings: it undoes what another thread does to the filters meanwhile.
    warnings.filterwarnings("ignore", module=NOISY)
    # The matrices are tiny. With two threads on two busy cores a proposal took 30 s instead of 1 s,
    # and its last digits depended on the number of cores.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield client.Client, configs
    finally:
        torch.set_num_threads(threads)


def _axes(setting: SearchSetting) -> tuple[Dimension, ...]:
    return tuple(dimension for dimension in setting.searched if len(dimension.values) != 1)


def _parameter(axis: Dimension, configs: Any) -> Any:
    if axis.kind == "choice":
        return configs.ChoiceParameterConfig(
            axis.name, list(range(len(axis.values))), "int", is_ordered=_ordered(axis)
        )
    whole = axis.kind in ("integer", "log_integer")
    return configs.RangeParameterConfig(
        axis.name,
        (int(axis.low), int(axis.high)) if whole else (axis.low, axis.high),
        "int" if whole else "float",
        scaling="log" if axis.kind.startswith("log") else "linear",
    )


def _point(setting: SearchSetting, hparams: HParams) -> dict[str, float | int] | None:
    point, known = {}, with_absent(hparams, setting.table)
    for axis in setting.searched:
        value = known.get(axis.name, setting.defaults[axis.name])
        if not contains(axis, value):
            if axis.name in known:
                return None
            value = axis.at(0.5)
        point[axis.name] = _encode(axis, value)
    return {axis.name: point[axis.name] for axis in _axes(setting)}


def _encode(axis: Dimension, value: Any) -> float | int:
    return _choices(axis).index(value) if axis.kind == "choice" else value


def _decode(axis: Dimension, value: Any) -> HParamValue:
    if axis.kind == "choice":
        return _choices(axis)[int(value)]
    value = min(max(value, axis.low), axis.high)
    return float(value) if axis.kind in ("uniform", "log") else int(value)


def _choices(axis: Dimension) -> list[HParamValue]:
    # Ax gets places in this list: sizes such as 16, 32, 64 are then evenly spaced, and any mixture of
    # types will do.
    return sorted(axis.values) if _ordered(axis) else list(axis.values)  # type: ignore[type-var]


def _ordered(axis: Dimension) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in axis.values)
