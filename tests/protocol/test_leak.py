"""The metamorphic leak test: what is done to a test fold's cases cannot be seen from inside its study."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nachos_jax
from nachos_jax import ArrayCases
from nachos_jax.core.errors import UsageError
from nachos_jax.data.store import Dense
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.study import noise
from nachos_jax.records.store import RunDirectory
from tests import tiny, vectors
from tests.inputs import dense
from tests.tiers import mostly_thorough

OUTER = 2


def shuffled(labels: np.ndarray) -> np.ndarray:
    """Hardly one is right, and each class is as frequent as before."""
    return np.roll(labels, 3)


def spoilt(cohort: Cohort, relabelled: Callable[[np.ndarray], np.ndarray] = shuffled) -> Cohort:
    """Fold OUTER's pixels are NaN and its labels are others."""
    assert cohort.table.folds is not None
    fold = np.flatnonzero(cohort.table.folds == OUTER)
    images, labels = np.array(dense(cohort)), np.array(cohort.targets.values)
    images[fold] = np.nan
    labels[fold] = relabelled(labels[fold])
    assert (labels != cohort.targets.values).sum() > 5
    strata = dataclasses.replace(cohort.targets.strata, numbers=labels)
    has = np.eye(len(cohort.targets.names), dtype=bool)[labels]
    targets = dataclasses.replace(cohort.targets, values=labels, strata=strata, has=has)
    return dataclasses.replace(cohort, store=Dense(images), targets=targets, hash="spoilt")


def seen_from_inside(workdir: Path) -> tuple:
    """All that the study of fold OUTER made: trials, scores, choice, epochs, weights of the refit."""
    store = RunDirectory(workdir)
    outcome = store.outcome(OUTER)
    assert outcome is not None
    refit = next(record for record in store.fits() if record.left_out == (OUTER,))
    weights = store.payload(refit, "weights.safetensors")
    chosen = (outcome.trials, outcome.scores, outcome.selected, outcome.epochs)
    return (*chosen, refit.hparams, refit.training_loss, weights)


@pytest.mark.parametrize("relabelled", [shuffled, np.zeros_like])  # the latter where classes are counted
@mostly_thorough(
    ("searcher", "make"),
    [
        ("random", tiny.cohort),
        ("ax", tiny.cohort),
        pytest.param("random", tiny.volumes, marks=pytest.mark.thorough),
    ],
    kept=1,
)
def test_nothing_of_a_test_fold_reaches_its_study(
    searcher: str, make: Callable, relabelled: Callable, tmp_path: Path
):
    run = tiny.run_config(
        data__equal_images="accept",
        search__searcher=searcher,
        search__trials=4 if searcher == "ax" else 3,
        search__initial=3,
        training__epochs=3,
        training__class_weight_exponent=1.0,
        training__balanced_sampling=0.5,
        augmentation__brightness=0.2,
    )
    clean = make("float32")
    evaluate(run, str(tmp_path / "clean"), [OUTER], clean, quiet=True)
    # The other studies do see fold OUTER, as they should, and cannot be finished with NaN in it.
    with pytest.raises(UsageError, match=r"Outer fold 0 could not be finished") as refused:
        evaluate(run, str(tmp_path / "spoilt"), None, spoilt(clean, relabelled), quiet=True)
    assert f"Outer fold {OUTER} could" not in str(refused.value)
    assert seen_from_inside(tmp_path / "clean") == seen_from_inside(tmp_path / "spoilt")


def test_the_spoilt_fold_would_be_noticed_if_it_were_read(tmp_path: Path):
    """The test above can fail: the same spoiling in an inner fold changes what the study sees."""
    run = tiny.run_config(data__equal_images="accept", training__epochs=2, search__trials=1)
    clean = tiny.cohort("float32")
    evaluate(run, str(tmp_path / "clean"), [0], clean, quiet=True)
    with pytest.raises(UsageError, match="Outer fold 0 could not be finished"):
        evaluate(run, str(tmp_path / "spoilt"), [0], spoilt(clean), quiet=True)


def test_nothing_of_the_numbers_of_a_test_fold_reaches_its_race(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """New numbers, not permuted ones: fifths of all of them would group the cases of other folds anew."""
    told: list[float | None] = []
    plain = noise.between

    def heard(*args):
        ask = plain(*args)
        return lambda *pair: told.append(ask(*pair)) or told[-1]

    monkeypatch.setattr(noise, "between", heard)
    values, _, subjects, folds = vectors.arrays()
    numbers = np.random.default_rng(1).normal(size=len(values))
    new = np.where(folds == OUTER, numbers - 20, numbers)
    search = {"search__policy": "race-fitted", "search__metric": "mae", "search__trials": 4}
    run = vectors.run_config("mlp", task__name="regression", **search)
    found = []
    for name, known in (("clean", numbers), ("new", new)):
        told.clear()
        cohort = nachos_jax.cohort(ArrayCases(values, known, subjects, folds=folds), "regression")
        evaluate(run, str(tmp_path / name), [OUTER], cohort, quiet=True)
        found.append((list(told), seen_from_inside(tmp_path / name)))
    assert any(told)
    assert found[0] == found[1]
