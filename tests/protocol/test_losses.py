"""Training losses are held against watched ones in one unit: what a number is measured in decides nothing."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nachos_jax
from nachos_jax import ArrayCases
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.replay import recorded
from nachos_jax.protocol.run import begun
from nachos_jax.protocol.study import losses
from nachos_jax.records.store import RunDirectory
from nachos_jax.search.policies.ending import ended
from nachos_jax.splits.folds import Folds
from nachos_jax.tasks import registry as tasks
from tests import tiny, vectors

FOLDS = Folds(np.asarray([[0, 0, 1, 1, 2, 2]]), 3)
YEARS = np.asarray([30.0, 60.0, 45.0, 75.0, 40.0, 50.0])
ASTRAY = (30.0, 1.6, 1.05, 1.0, 1.0)
"""In SDs: a first epoch that went astray, and then the mean of all cases."""
SQUARED_YEARS = (900.0, 240.0, 228.0, 230.0, 229.0)


def told(unit: float, architecture: str = "mlp", **hparams: Any) -> tuple[float | None, ...]:
    record: Any = SimpleNamespace(
        hparams={"architecture": architecture, **hparams}, left_out=(1, 2), training_loss=ASTRAY
    )
    targets: Any = SimpleNamespace(values=YEARS / unit)
    return losses.in_watched_unit(record, tasks.of("regression"), targets, FOLDS)


@pytest.mark.parametrize("unit", [1.0, 15.0, 1e-3, 1e4])
def test_a_fit_that_predicts_the_mean_is_not_at_its_end_in_any_unit(unit):
    assert ended(SQUARED_YEARS, ASTRAY), "as they stand in the records they would be compared so"
    assert told(unit) == pytest.approx([value * (15.0 / unit) ** 2 for value in ASTRAY])
    assert not ended([value / unit**2 for value in SQUARED_YEARS], told(unit))
    fitted = (0.7, 0.3, 0.1, 0.04, *[0.01] * 6)
    record: Any = SimpleNamespace(hparams={"architecture": "cnn"}, left_out=(1, 2), training_loss=fitted)
    targets: Any = SimpleNamespace(values=YEARS / unit)
    known = losses.in_watched_unit(record, tasks.of("regression"), targets, FOLDS)
    learned = (0.7, 0.5, 0.3, 0.2, *[0.21] * 6)
    assert ended([value * (15.0 / unit) ** 2 for value in learned], known)


def test_what_has_no_such_unit_is_told_of_nothing_and_an_estimator_of_its_own():
    assert told(1.0, **{"regression.loss": "huber"}) == ()
    assert told(1.0, "random_forest") == ASTRAY
    record: Any = SimpleNamespace(hparams={"architecture": "cnn"}, left_out=(1,), training_loss=(0.5, None))
    nothing: Any = None
    assert losses.in_watched_unit(record, tasks.of("classification"), nothing, FOLDS) == (0.5, None)


def searched(folder, scale: float) -> dict[tuple, int]:
    """Epochs of every search fit where the number is told in another unit, a power of two; ids stay."""
    values, _, subjects, folds = vectors.arrays()
    number = np.round(np.random.default_rng(1).normal(size=len(values)) * 4) / 4  # nothing but noise to fit
    wait = {"training__epochs": 60, "training__patience": 30, "search__policy": "race-fitted"}
    space = {"model__mlp__width": 64, "search__space__learning_rate": "log(0.02, 0.1)"}
    run = vectors.run_config("mlp", task__name="regression", search__metric="mae", **wait, **space)
    cohort = nachos_jax.cohort(ArrayCases(values, number, subjects, folds=folds), "regression")
    scaled = replace(cohort.targets, values=cohort.targets.values * scale)
    evaluate(run, str(folder), [0], replace(cohort, targets=scaled), quiet=True)
    store = RunDirectory(folder)
    known = store.run()
    assert known is not None
    assert known["losses"] == "told in one unit"
    fits = [record for record in store.fits() if record.curves]
    return {(tuple(sorted(fit.hparams.items())), fit.left_out): fit.epochs for fit in fits}


def test_a_search_trains_the_same_whatever_the_number_is_measured_in(tmp_path):
    assert searched(tmp_path / "large", 64.0) == searched(tmp_path / "small", 1 / 64)


def test_runs_of_an_earlier_version_and_of_other_tasks_are_told_what_is_recorded(tmp_path):
    evaluate(
        tiny.run_config(training__epochs=1, search__trials=1), str(tmp_path), [0], tiny.cohort(), quiet=True
    )
    store = RunDirectory(tmp_path)
    assert begun.before_losses_had_one_unit(store)
    assert begun.before_losses_had_one_unit(RunDirectory(tmp_path / "none"))
    record = next(iter(store.fits()))
    assert recorded._losses(store, "classification")(record) == record.training_loss
