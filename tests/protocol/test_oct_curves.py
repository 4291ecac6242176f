"""Our choices replayed on the published learning curves of the NACHOS study (OCT kidney images).

Nine trials, ten test and ten validation folds, three ways to divide the images. The rule of that study:
the best epoch has the lowest validation loss; a trial's score is its mean validation accuracy there; the
refit runs for the mean best epoch.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.engine import watch
from nachos_jax.protocol.design.selection import score_trial, select
from nachos_jax.records.schema import Curve
from tests.tiers import mostly_thorough

PARTITIONINGS = ("OCT_split1_random", "OCT_split2_volume", "OCT_split3_subject")
TRIALS, FOLDS, EPOCHS, PATIENCE = 9, 10, 50, 20
LOSS, VAL_LOSS, VAL_ACCURACY = 0, 2, 3

ENDS = {
    "OCT_split1_random": {"patience": 2, "limit": 808},
    "OCT_split2_volume": {"patience": 780, "limit": 30},
    "OCT_split3_subject": {"patience": 797, "limit": 12, "cut": 1},
}
"""Trainings by how they end. One of split 3 was cut at epoch 39, three epochs after its best one, with no
NaN: its log is incomplete (trial 0, test fold 5, validation fold 8)."""


@pytest.fixture(scope="module")
def curves(shared_data: Path) -> dict[str, np.ndarray]:
    """[trials, test folds, validation folds, epochs, 4] float64 by partitioning; NaN = not run."""
    path = shared_data / "nachos_oct_curves.npz"
    if not path.exists():
        pytest.skip(f"no {path.name} in ../shared/data")
    with np.load(path) as stored:
        assert stored["columns"].tolist() == ["loss", "accuracy", "val_loss", "val_accuracy"]
        return {name: stored[f"{name}__curves"].astype(np.float64) for name in PARTITIONINGS}


@dataclass(frozen=True)
class Training:
    """One published training: its losses and validation accuracies, epoch by epoch."""

    training_loss: list[float]
    loss: list[float]
    accuracy: list[float]


def training(partitioning: np.ndarray, trial: int, test: int, validation: int) -> Training:
    rows = partitioning[trial, test, validation]
    rows = rows[: int(np.isfinite(rows[:, VAL_LOSS]).sum())]
    assert np.isfinite(rows).all()
    return Training(*(rows[:, column].tolist() for column in (LOSS, VAL_LOSS, VAL_ACCURACY)))


def published(partitioning: np.ndarray, test: int) -> list[tuple[int, int]]:
    """The selected trial and its epochs, by NumPy alone, and then those of all trials in their order."""
    inner = np.delete(partitioning[:, test], test, axis=1)  # [trials, 9, epochs, 4]
    best = np.nanargmin(inner[..., VAL_LOSS], axis=2)  # [trials, 9]
    accuracy = np.take_along_axis(inner[..., VAL_ACCURACY], best[..., None], axis=2)[..., 0]
    epochs = np.rint((best + 1).mean(axis=1)).astype(int)
    # lexsort: the last key counts first. Rounded, so that equal means are equal in any order of addition.
    order = np.lexsort((accuracy.std(axis=1, ddof=1).round(12), -accuracy.mean(axis=1).round(12)))
    return [(int(trial), int(epochs[trial])) for trial in order]


def ours(partitioning: np.ndarray, test: int) -> tuple[int | None, list[int | None]]:
    """The trial that we select, and the epochs of all trials."""
    scores = []
    for trial in range(TRIALS):
        seen = {}
        for validation in range(FOLDS):
            if validation != test:
                run = training(partitioning, trial, test, validation)
                seen[validation] = Curve(tuple(run.loss), tuple(run.accuracy), "patience")
        scores.append(score_trial(seen, parameters=0))
    return select(scores), [score.epochs for score in scores]


@pytest.mark.parametrize("name", PARTITIONINGS)
@pytest.mark.parametrize("test", range(FOLDS))
def test_we_select_what_the_published_rule_selects(curves, name, test):
    selected, epochs = ours(curves[name], test)
    expected = published(curves[name], test)
    assert (selected, epochs[expected[0][0]]) == expected[0]
    assert epochs == [n for _, n in sorted(expected)]


def test_the_selected_trials_and_epochs_stay_what_they_are(
    curves: dict[str, np.ndarray], golden: Callable[[str, str], None]
):
    """{partitioning: [[selected trial, epochs of the refit] of every test fold]}."""
    chosen = {}
    for name in PARTITIONINGS:
        found = [ours(curves[name], test) for test in range(FOLDS)]
        chosen[name] = [[trial, epochs[trial]] for trial, epochs in found if trial is not None]
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(pairs)}" for name, pairs in chosen.items())
    golden("oct_selection.json", f"{{\n{rows}\n}}\n")


def followed(run: Training, patience: int) -> tuple[int, str]:
    """Epochs after which our early stopping ends a training, and why; "cut" when the log ends first."""
    fit = Fit({}, (0,), 0, EpochLimit(EPOCHS, patience), "")
    progress = watch.begin(fit)
    for training_loss, loss, accuracy in zip(run.training_loss, run.loss, run.accuracy, strict=True):
        progress = watch.after_epoch(progress, training_loss, {0: (loss, accuracy)})
        if progress.ended:
            return progress.epochs, progress.watchers[0].end
    return progress.epochs, "cut"


@mostly_thorough("name", PARTITIONINGS, kept=1)
def test_our_early_stopping_ends_where_the_published_trainings_end(curves, name):
    ends: Counter[str] = Counter()
    for trial in range(TRIALS):
        for test in range(FOLDS):
            for validation in range(FOLDS):
                run = training(curves[name], trial, test, validation)
                if test == validation:
                    assert not run.loss
                    continue
                epochs, why = followed(run, PATIENCE)
                assert epochs == len(run.loss), (trial, test, validation, epochs, why)
                ends[why] += 1
    assert dict(ends) == ENDS[name]


@pytest.mark.parametrize("patience", [PATIENCE - 1, PATIENCE + 1])
def test_no_other_patience_explains_where_they_end(curves, patience):
    """The replay above would mean little if it held for any patience."""
    runs = [
        training(curves["OCT_split3_subject"], trial, 0, validation)
        for trial in range(TRIALS)
        for validation in range(1, FOLDS)
    ]
    agree = sum(followed(run, patience) == (len(run.loss), "patience") for run in runs)
    assert agree < len(runs) / 10


def test_published_losses_are_numbers(curves):
    for partitioning in curves.values():
        assert not math.isinf(float(np.nanmax(partitioning)))
