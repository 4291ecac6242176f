"""The confusion matrix of a run, and what it says of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics.classification import confusion, per_class_of_counts, predict
from nachos_jax.report.reading.evidence import Evidence

NEARLY_ALL = 0.95
"""Share of predictions from which the reader is told that one class gets nearly all."""


def matrix(evidence: Evidence) -> dict[str, Any]:
    """Out-of-fold counts, all together and as mean and SE over outer folds; what they say of each class."""
    by_fold, left_out = [], 0
    for fold, (labels, probabilities) in evidence.predictions.items():
        if fold in evidence.whole:
            by_fold.append(confusion(labels, predict(probabilities), len(evidence.classes)))
        else:
            left_out += len(labels)
    nothing = np.zeros((0, *(len(evidence.classes),) * 2), np.int64)
    stack = np.stack(by_fold) if by_fold else nothing
    counts = stack.sum(axis=0)
    folds = len(stack)
    se = stack.std(axis=0, ddof=1) / np.sqrt(min(folds, evidence.count)) if folds > 1 else None
    return {
        "rows": "true class",
        "columns": "predicted class",
        "classes": list(evidence.classes),
        "counts": counts.tolist(),
        "mean": stack.mean(axis=0).tolist() if folds else None,
        "se": None if se is None else se.tolist(),
        **_shares(stack, evidence.count),
        "predictions": int(counts.sum()),
        "without_numbers": left_out,
        "per_class": {
            name: asdict(value) for name, value in per_class_of_counts(counts, evidence.classes).items()
        },
    }


def nearly_one(confusion: Mapping[str, Any]) -> dict[str, Any] | None:
    """The class that nearly all predictions are of, its share among them and among the cases; else None."""
    counts = np.array(confusion["counts"])
    total = int(counts.sum())
    if not total or len(counts) < 2:
        return None
    predicted, true = counts.sum(axis=0) / total, counts.sum(axis=1) / total
    most = int(predicted.argmax())
    if predicted[most] < NEARLY_ALL:
        return None
    share, cases = float(predicted[most]), float(true[most])
    return {"class": confusion["classes"][most], "share": share, "share_of_cases": cases}


def _shares(stack: np.ndarray, folds: int) -> dict[str, Any]:
    """Mean and SE over outer folds of the shares of each row; None where a class has no case to share."""
    rows = stack.sum(axis=2, keepdims=True)
    shares = np.where(rows > 0, stack / np.maximum(rows, 1), np.nan)
    mean, se = np.full(stack.shape[1:], np.nan), np.full(stack.shape[1:], np.nan)
    for i, j in np.ndindex(mean.shape):
        known = shares[:, i, j][np.isfinite(shares[:, i, j])]
        if len(known):
            mean[i, j] = known.mean()
        if len(known) > 1:
            se[i, j] = known.std(ddof=1) / np.sqrt(min(len(known), folds))
    plain = {"share_mean": mean, "share_se": se}
    if not len(stack):
        return dict.fromkeys(plain)
    return {
        key: [[x if np.isfinite(x) else None for x in row] for row in values.tolist()]
        for key, values in plain.items()
    }
