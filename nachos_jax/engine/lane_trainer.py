"""The lane pool without a protocol: fit many configurations on one data set."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from safetensors.numpy import load

from nachos_jax.config import parsing
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.curves import best_epoch
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import active, by_name, with_absent
from nachos_jax.core.space import Dimension
from nachos_jax.core.types import EpochLimit, Fit, HParams, HParamValue
from nachos_jax.data.table import Cohort
from nachos_jax.engine import planned
from nachos_jax.engine.pool import LanePool
from nachos_jax.engine.windows import divide
from nachos_jax.models import registry
from nachos_jax.records.schema import FitRecord
from nachos_jax.splits.folds import Folds

Check = Callable[[RunConfig, Cohort, HParams], None]
"""(the run, the cases, a value of every hyperparameter) -> refuses a fit that would fail later."""
_TRAIN, _VALIDATION = 0, 1


@dataclass(frozen=True)
class LaneFit:
    """A configuration that was trained; see `nachos_jax.fit_lanes`.

    Attributes:
        hparams: all active hyperparameters.
        training_loss: mean training loss of each epoch.
        validation_loss: loss on the validation cases after each epoch; empty without validation.
        validation_score: selection metric after each epoch; empty without validation.
        best_epoch: first epoch, from 1, with the lowest validation loss; None without validation, or when
            the fit met NaN.
        status: "done" or "diverged".
        weights: arrays by path when there is no validation (a fit of exactly `epochs` epochs), else empty.
    """

    hparams: Mapping[str, Any]
    training_loss: tuple[float | None, ...]
    validation_loss: tuple[float | None, ...]
    validation_score: tuple[float | None, ...]
    best_epoch: int | None
    status: str
    weights: Mapping[str, np.ndarray]


def train(
    cohort: Cohort,
    configurations: Sequence[Mapping[str, Any]],
    run: RunConfig,
    validation: np.ndarray | None,
    on_fit: Callable[[int, LaneFit], None] | None,
    check: Check,
) -> list[LaneFit]:
    """Trains every configuration that `check` takes; see `nachos_jax.fit_lanes`."""
    run = planned.applied(run, cohort)
    folds = _folds(cohort, validation)
    left_out = () if validation is None else (_VALIDATION,)
    settings = [_settings(configuration, place, run) for place, configuration in enumerate(configurations)]
    for place, values in enumerate(settings):
        try:
            check(run, cohort, values)
        except UsageError as error:
            raise UsageError(f"configurations[{place}]: {error}") from error
    hparams = [active(values, run.table) for values in settings]
    solved, run = run.limit, _unshortened(run, hparams)
    fits = []
    for values in hparams:
        limit = solved if registry.solved([values["architecture"]]) else run.limit
        limit = limit if left_out else EpochLimit(limit.epochs)
        fits.append(Fit(values, left_out, run.seed, limit, cohort.hash))
    windows = divide(len(cohort.table), run.data.window, run.seed)
    _check_batches(fits, windows.fewest(folds.training(left_out)))
    places: dict[str, list[int]] = {}
    for place, fit in enumerate(fits):
        places.setdefault(fit.id, []).append(place)
    results: dict[int, LaneFit] = {}
    pool = LanePool(cohort, folds, _searching(fits, run))
    with contextlib.closing(pool):
        pool.submit({fit.id: fit for fit in fits}.values())
        while pool.busy or pool.waiting:
            for result in pool.step():
                for place in places[result.record.fit]:
                    results[place] = _lane_fit(result.record, result.payload)
                    if on_fit is not None:
                        on_fit(place, results[place])
    return [results[place] for place in range(len(fits))]


def _folds(cohort: Cohort, validation: np.ndarray | None) -> Folds:
    if validation is None:
        return Folds(np.zeros((1, len(cohort.table)), np.int32), 1)
    chosen = np.asarray(validation)
    if chosen.shape != (len(cohort.table),) or chosen.dtype != bool or not 0 < chosen.sum() < len(chosen):
        raise UsageError(
            f"validation of shape {chosen.shape}, dtype {chosen.dtype}: must be [{len(cohort.table)}] bool "
            "with some cases True and some False."
        )
    return Folds(np.where(chosen, _VALIDATION, _TRAIN).astype(np.int32)[None], 2)


def _settings(configuration: Mapping[str, Any], place: int, run: RunConfig) -> dict[str, Any]:
    """A value of every hyperparameter, active or not."""
    rows, values = by_name(run.table), dict(run.defaults)
    for name, value in configuration.items():
        if name not in rows:
            raise UsageError(
                f"configurations[{place}]: there is no hyperparameter {name!r}; known: {', '.join(rows)}."
            )
        values[name] = rows[name].settled(value, f"configurations[{place}][{name!r}]")
    return values


def _unshortened(run: RunConfig, hparams: Sequence[HParams]) -> RunConfig:
    """The run with all epochs where one of the networks needs them; the config's own may be one that is
    solved, for which one epoch is all.
    """
    if registry.solved(values["architecture"] for values in hparams):
        return run
    return replace(run, limit=parsing.limit(run.raw["training"]))


def _check_batches(fits: Sequence[Fit], cases: int) -> None:
    for place, fit in enumerate(fits):
        if int(fit.hparams.get("batch_size", 1)) > cases:
            raise UsageError(
                f"configurations[{place}]: batch_size {fit.hparams['batch_size']} and only {cases} training "
                "cases: lower it."
            )


def _searching(fits: Sequence[Fit], run: RunConfig) -> RunConfig:
    """The run whose search space is what the fits change, so that all they use is compiled in."""
    values: dict[str, set[HParamValue]] = {}
    for fit in fits:
        for name, value in with_absent(fit.hparams, run.table).items():
            if value != run.defaults[name]:
                values.setdefault(name, set()).add(value)
    space = [Dimension(name, "choice", values=tuple(found)) for name, found in values.items()]
    return replace(run, search=replace(run.search, space=tuple(space)))


def _lane_fit(record: FitRecord, payload: Mapping[str, bytes]) -> LaneFit:
    curve = record.curves.get(_VALIDATION)
    finite = curve is not None and curve.end != "nan"
    weights = load(payload["weights.safetensors"]) if "weights.safetensors" in payload else {}
    return LaneFit(
        hparams=record.hparams,
        training_loss=record.training_loss,
        validation_loss=curve.loss if curve else (),
        validation_score=curve.score if curve else (),
        best_epoch=best_epoch(curve.loss) if curve and finite else None,
        status=record.status,
        weights=weights,
    )
