"""Bayesian proposals by Ax; the only importer of ax and torch, which takes seconds, so it is done late.

Ax learns a flat space: a conditional hyperparameter is always there, at its default where it is
inactive, and is dropped from the proposal. Ax's own conditional spaces (`dependent_parameters`) are
flattened in the same way before the model sees them, and they refuse a hyperparameter that two
values of another make active ("contains a cycle"; ax.core.search_space, 1.3.1), as beta1 is for adam
and adamw.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nachos_jax.core.space import Dimension
from nachos_jax.core.types import HParams, HParamValue, digest
from nachos_jax.search.learned_search import flat_point, in_order
from nachos_jax.search.searcher import History, SearchSetting

NOISY = r"(ax|botorch|gpytorch|linear_operator|torch)(\.|$)"
"""Modules whose warnings are for their developers."""
NARROW = 100 * 1.5e-7
"""Width that Ax wants a range to have at least; the values of narrower ones are scaled up."""
REAL = ("uniform", "log")
"""Kinds of ranges of real numbers."""


def learned(setting: SearchSetting, history: History) -> dict[str, HParamValue] | None:
    """Ax's next trial of a study; None while too few trials have a score to learn from.

    Half of the initial trials, at least two, is the number that Ax itself waits for. The client is rebuilt
    from the history for every proposal.
    """
    scored = sum(heard.score is not None for heard in history)
    if scored < max(2, setting.initial // 2) or not _axes(setting):
        return None
    seed = int(digest(["ax", setting.seed, setting.study, len(history)], 8), 16)
    return propose(setting, observations(setting, history), seed)


@dataclass(frozen=True)
class Observation:
    """One trial as the model sees it."""

    point: Mapping[str, float | int]  # Ax's value of every axis
    score: float | None  # higher is better; None while the trial runs
    error: float = 0.0  # standard error of the score


def observations(setting: SearchSetting, history: History) -> list[Observation]:
    """What the trials of a study teach the model.

    A failed trial has the worst score seen, so that the model turns away from it. A trial outside the
    space (the default, if its value is not in the range searched) is left out: the model's
    logarithms and lists of choices do not reach there.
    """
    worst = min((heard.score for heard in history if heard.score is not None), default=None)
    seen = []
    for heard in history:
        point = _point(setting, heard.trial.hparams)
        if point is not None:
            seen.append(
                Observation(point, worst, 0.0)
                if heard.failed
                else Observation(point, heard.score, heard.error)
            )
    return seen


def propose(setting: SearchSetting, seen: list[Observation], seed: int) -> dict[str, HParamValue]:
    """One proposal of Ax's default model for the space, a value for every searched hyperparameter.

    A Gaussian process, and the log of noisy expected improvement (Ament et al. 2023) over it; running trials
    count as pending. The seed names the random numbers of model fit and acquisition. The noise of the scores
    is learned; it is told where the error of any score is known to be more than 0.
    """
    with _quiet_ax() as (client_class, configs):
        client = client_class(random_seed=seed)
        client.configure_experiment([_parameter(axis, configs) for axis in _axes(setting)])
        client.configure_optimization("score")
        client.configure_generation_strategy(initialization_budget=0, initialize_with_center=False)
        told = any(observation.error > 0 for observation in seen)
        for observation in seen:
            index = client.attach_trial(observation.point)
            if observation.score is not None:
                score = observation.score
                client.complete_trial(index, {"score": (score, observation.error) if told else score})
        ((_, point),) = client.get_next_trials(1).items()
    single = {axis.name: axis.values[0] for axis in setting.searched if len(axis.values) == 1}
    return single | {axis.name: _decode(axis, point[axis.name]) for axis in _axes(setting)}


def prepare() -> None:
    """Imports Ax."""
    with _quiet_ax():
        pass


@contextmanager
def _quiet_ax() -> Generator[tuple[Any, Any]]:
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
            axis.name, list(range(len(axis.values))), "int", is_ordered=in_order(axis.values)
        )
    whole = axis.kind in ("integer", "log_integer")
    return configs.RangeParameterConfig(
        axis.name,
        (int(axis.low), int(axis.high)) if whole else (axis.low * _scale(axis), axis.high * _scale(axis)),
        "int" if whole else "float",
        scaling="log" if axis.kind.startswith("log") else "linear",
    )


def _point(setting: SearchSetting, hparams: HParams) -> dict[str, float | int] | None:
    point = flat_point(setting, hparams)
    if point is None:
        return None
    return {axis.name: _encode(axis, point[axis.name]) for axis in _axes(setting)}


def _scale(axis: Dimension) -> float:
    """By which Ax gets the values of a range, a power of ten: it refuses narrow ones."""
    width = axis.high - axis.low
    narrow = axis.kind in REAL and 0 < width < NARROW
    return 10.0 ** math.ceil(-math.log10(width)) if narrow else 1.0


def _encode(axis: Dimension, value: Any) -> Any:
    if axis.kind == "choice":
        return _choices(axis).index(value)
    return value * _scale(axis) if axis.kind in REAL else value


def _decode(axis: Dimension, value: Any) -> HParamValue:
    if axis.kind == "choice":
        return _choices(axis)[int(value)]
    value = min(max(value / _scale(axis), axis.low), axis.high)
    return float(value) if axis.kind in REAL else int(value)


def _choices(axis: Dimension) -> list[HParamValue]:
    # Ax gets places in this list: sizes such as 16, 32, 64 are then evenly spaced, and any mixture of
    # types will do.
    return sorted(axis.values) if in_order(axis.values) else list(axis.values)
