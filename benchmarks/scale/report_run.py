"""A finished run of any number of tiny cases, as records: what `benchmarks.scale.report_size` reports on."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import save

from nachos_jax import default_config
from nachos_jax.core.types import EpochLimit, Fit, Trial, TrialScore
from nachos_jax.records.case_table import CaseRecord
from nachos_jax.records.schema import Curve, FitRecord, Outcome, OuterTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.splits.folds import Folds

FOLDS, SITES, LOSSES = 5, 4, (0.9, 0.6, 0.5, 0.45)
CLASSES = ("benign", "malignant")


def build(path: str, cases: int) -> None:
    """Commits a study of one trial in each of 5 outer folds; two cases a subject, three columns of groups."""
    rng, directory = np.random.default_rng(0), RunDirectory(path)
    subjects = np.arange(cases) // 2
    labels = (rng.random(subjects.max() + 1) < 0.3).astype(np.int64)[subjects]
    folds = rng.permutation(subjects.max() + 1)[subjects] % FOLDS
    names = np.array([f"images/{i:07d}.png" for i in range(cases)])
    sites = np.array([f"site-{i}" for i in range(SITES)])[subjects % SITES]
    people = np.array([f"patient-{i:07d}" for i in range(subjects.max() + 1)])[subjects]
    division = Folds(folds[None].astype(np.int32), FOLDS, 1)
    directory.commit_cases(CaseRecord(names, people, sites, labels, division))
    _describe(directory, labels, len(np.unique(subjects)))
    sexes = np.array(["female", "male"])[subjects % 2].tolist()
    directory.write_groups({"sex": sexes})
    settings = {**default_config().report.to_dict(), "subgroups": ["sex"]}
    directory.write_settings({key: list(v) if isinstance(v, tuple) else v for key, v in settings.items()})
    for fold in range(FOLDS):
        _outer_fold(directory, fold, labels, folds, names)


def _outer_fold(
    directory: RunDirectory, fold: int, labels: np.ndarray, folds: np.ndarray, names: np.ndarray
) -> None:
    trial = Trial(fold, 0, {"learning_rate": 0.01, "batch_size": 32}, "default")
    directory.commit_trial(trial)
    inner = [v for v in range(FOLDS) if v != fold]
    fits = [Fit(trial.hparams, tuple(sorted((fold, v))), 0, EpochLimit(30, 8), "cases") for v in inner]
    for fit in fits:
        curves = {v: Curve(LOSSES, tuple(1 - loss for loss in LOSSES), "patience") for v in fit.left_out}
        kept = {str(v): _logits(labels[folds == v], 100 + v) for v in fit.left_out}
        directory.commit_fit(
            FitRecord(fit.id, fit.left_out, fit.hparams, 30, "done", 4, 9000, LOSSES, curves),
            {"inner.safetensors": save(kept)},
        )
    score = TrialScore(0.8, 0.01, 4, 9000, "done", dict.fromkeys(inner, 0.8))
    ids = (tuple(fit.id for fit in fits),)
    directory.commit_outcome(Outcome(fold, "balanced_accuracy", "best", (trial,), (score,), ids, 0, 4))
    refit, inside = Fit(trial.hparams, (fold,), 0, EpochLimit(4), "cases"), folds == fold
    record = FitRecord(refit.id, refit.left_out, refit.hparams, 4, "done", 4, 9000, LOSSES)
    directory.commit_fit(record, {"weights.safetensors": b"weights"})
    logits = _logits(labels[inside], fold).astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    told = {"labels": labels[inside], "probabilities": probabilities.astype(np.float32).astype(np.float64)}
    directory.commit_test(OuterTest(fold, refit.id, tuple(names[inside].tolist()), told, LOSSES))


def _logits(labels: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (len(labels), len(CLASSES)))
    return (2.1 * np.eye(len(CLASSES))[labels] + noise).astype(np.float32)


def _describe(directory: RunDirectory, labels: np.ndarray, subjects: int) -> None:
    folds = {"scheme": "stratified", "count": FOLDS, "repeats": 1}
    directory.commit_run(
        {
            "schema": 1,
            "config": {"seed": 0, "folds": folds, "search": {"trials": 1, "metric": "balanced_accuracy"}},
            "cases": "cases",
            "classes": list(CLASSES),
            "counts": dict(zip(CLASSES, np.bincount(labels).tolist(), strict=True)),
            "n_cases": len(labels),
            "n_subjects": subjects,
            "n_sites": SITES,
            "waived": False,
            "folds": folds,
            "inner_metric": "balanced_accuracy",
        }
    )
