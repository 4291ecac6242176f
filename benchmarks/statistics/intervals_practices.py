"""Three common practices against the truth: one set of folds for all, one held-out set, leaking subjects."""

from __future__ import annotations

import numpy as np

from benchmarks.statistics import intervals_study
from benchmarks.statistics import intervals_world as world
from nachos_jax.metrics import classification
from nachos_jax.metrics.classification import evaluate
from nachos_jax.metrics.contract import statistic
from nachos_jax.statistics.bbc import bbc
from nachos_jax.statistics.bootstrap import Cases, Resampling

MISS = 0.05
"""A reported accuracy that is off by more than this counts as a miss."""
BBC_REPLICATES = 200
"""Enough for a mean."""


def told(errors: list[float]) -> dict[str, float]:
    """Mean, spread and misses of errors: reported less true."""
    values = np.array([error for error in errors if np.isfinite(error)])
    low, high = np.quantile(values, [0.025, 0.975])
    return {
        "studies": len(values),
        "bias": float(values.mean()),
        "bias_se": float(values.std(ddof=1) / np.sqrt(len(values))),
        "sd": float(values.std(ddof=1)),
        "low": float(low),
        "high": float(high),
        "missed": float(np.mean(np.abs(values) > MISS)),
    }


def tuning(setting: world.Setting, studies: int, seed: int, _replicates: int) -> dict[str, dict[str, float]]:
    """Accuracy of the best trial on the folds that chose it, of nested cross-validation, and of BBC."""
    errors: dict[str, list[float]] = {"same folds": [], "nested": [], "BBC": []}
    truths = []
    for number, study in enumerate(intervals_study.studies(setting, studies, seed)):
        flat = intervals_study.hits(study.flat, study.labels).mean(axis=(1, 2))
        truth = float(study.flat_accuracies.mean())
        folds = np.repeat(np.arange(setting.folds), study.labels.shape[1])
        cases = Cases(study.labels.ravel(), folds, study.subjects.ravel())
        scores = intervals_study.probabilities_of(study.flat.reshape(len(study.flat), -1))
        options = Resampling(replicates=BBC_REPLICATES, seed=number)
        trials = [statistic(classification, "accuracy", cases.strata, one) for one in scores]
        estimate = bbc(trials, cases, options).estimate
        right = intervals_study.hits(study.scores, study.labels).mean()
        errors["same folds"].append(float(flat[study.best]) - truth)
        errors["nested"].append(float(right - study.accuracies.mean()))
        errors["BBC"].append((np.nan if estimate is None else estimate) - truth)
        truths.append(truth)
    return {"truth": {"mean": float(np.mean(truths))}, **{name: told(e) for name, e in errors.items()}}


def held_out(
    setting: world.Setting, studies: int, seed: int, _replicates: int
) -> dict[str, dict[str, float]]:
    """Accuracy on one held-out fold, and the mean over all folds, against the true one of the same models."""
    errors: dict[str, list[float]] = {"one held-out set": [], "all folds": []}
    truths = []
    for study in intervals_study.studies(setting, studies, seed):
        right = intervals_study.hits(study.scores, study.labels).mean(axis=1)
        errors["one held-out set"].append(float(right[0] - study.accuracies[0]))
        errors["all folds"].append(float(right.mean() - study.accuracies.mean()))
        truths.append(float(study.accuracies.mean()))
    return {"truth": {"mean": float(np.mean(truths))}, **{name: told(e) for name, e in errors.items()}}


def leak(setting: world.Setting, studies: int, seed: int, _replicates: int) -> dict[str, dict[str, float]]:
    """Accuracy and AUC of nested cross-validation against the true ones for new subjects."""
    errors: dict[str, list[float]] = {"accuracy": [], "auc": []}
    truths = []
    for study in intervals_study.studies(setting, studies, seed):
        right = intervals_study.hits(study.scores, study.labels).mean()
        probabilities = intervals_study.probabilities_of(study.scores)
        values = [evaluate("auc", study.labels[k], p, ("0", "1")).value for k, p in enumerate(probabilities)]
        areas = [np.nan if value is None else value for value in values]
        errors["accuracy"].append(float(right - study.accuracies.mean()))
        errors["auc"].append(float(np.mean(areas) - study.areas.mean()))
        truths.append(float(study.accuracies.mean()))
    return {"truth": {"mean": float(np.mean(truths))}, **{name: told(e) for name, e in errors.items()}}
