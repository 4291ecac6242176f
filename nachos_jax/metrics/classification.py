"""Classification metrics of one set of cases: pure NumPy, fast enough for every epoch of every lane.

A metric that a set of cases cannot define (no case of a class, probabilities that are not numbers)
is None with the reason in words, never a silent zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import log_softmax

from nachos_jax.metrics import matrices, ranking
from nachos_jax.metrics.calibration import expected_calibration_error
from nachos_jax.metrics.contract import CORRELATION, NOT_NEGATIVE, SHARE, Losses, Metric, find, quiet
from nachos_jax.metrics.value import Value, share

SMALLEST = float(np.finfo(np.float32).tiny)
"""Probabilities below this count as this in the log loss: the smallest normal float32, 1.2e-38."""
TINY = float(np.finfo(np.float64).tiny)
"""Probabilities below this, 2.2e-308, are not told apart: their inverse is no number."""


@dataclass(frozen=True)
class ClassValues:
    """One class against the rest."""

    cases: int  # number of cases of the class
    predicted: int  # number of cases predicted to be of the class
    recall: Value  # share of its cases that were found (sensitivity)
    precision: Value  # share of its predictions that were right
    specificity: Value  # share of the other classes' cases that were not predicted to be of it


def evaluate(name: str, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Value:
    """A metric of N cases, or None with the reason; see `contract.Metrics`.

    Args:
        name: key of `METRICS`.
        labels: [N] int class numbers, 0 to C - 1.
        probabilities: [N, C] float, one row a case.
        classes: C class names, for the notes.
    """
    find(METRICS, name)
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.shape != (len(labels), len(classes)):
        raise ValueError(f"{probabilities.shape} probabilities: ({len(labels)}, {len(classes)}) expected")
    if len(labels) == 0:
        return Value(None, "no cases")
    counts = np.bincount(_checked(labels, len(classes)), minlength=len(classes))
    broken = len(labels) - int(np.isfinite(probabilities).all(axis=1).sum())
    if broken:
        return Value(None, f"probabilities of {broken} of {len(labels)} cases are not numbers")
    if name in COUNTS:
        return _of_counts(name, confusion(labels, predict(probabilities), len(classes)), classes)
    if name in LOSSES:
        note = _clipped(labels, probabilities) if name == "log_loss" else ""
        return Value(float(np.mean(LOSSES[name](labels, probabilities))), note)
    if name in RANKS:
        absent = _named(classes, counts == 0)
        value = float(weighted(name, labels, probabilities, np.ones((1, len(labels))))[0])
        return Value(None, f"no case of {absent}") if absent else Value(value)
    return expected_calibration_error(predict(probabilities) == labels, probabilities.max(axis=1))


def weighted(name: str, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A metric under weights [R, N] -> [R] float64, NaN where undefined; see `contract.Metrics`.

    All but "ece" are evaluated at once, that one on repeated cases.
    """
    find(METRICS, name)
    count = probabilities.shape[1]
    if not np.isfinite(probabilities).all():
        return np.full(len(weights), np.nan)
    if name in COUNTS:
        cell = labels * count + predict(probabilities)
        one = sparse.csr_array((np.ones(len(cell)), (np.arange(len(cell)), cell)), (len(cell), count * count))
        return quiet(COUNTS[name], (weights @ one).reshape(-1, count, count))
    if name in LOSSES:
        return quiet(np.divide, weights @ LOSSES[name](labels, probabilities), weights.sum(axis=1))
    if name in RANKS:
        # Class 1 of two classes, else the unweighted mean over all classes against their rest.
        if name == "auc" and count > 2:
            return np.mean(quiet(ranking.each_auc, labels, probabilities, weights), axis=0)
        scores = {1: ordered(probabilities)} if count == 2 else dict(enumerate(probabilities.T))
        areas = [quiet(RANKS[name], labels == c, column, weights) for c, column in scores.items()]
        return np.mean(areas, axis=0)
    values, names = np.full(len(weights), np.nan), [str(c) for c in range(count)]
    for r, row in enumerate(weights):
        rows = np.repeat(np.arange(len(labels)), row.astype(np.int64))
        value = evaluate(name, labels[rows], probabilities[rows], names).value
        values[r] = np.nan if value is None else value
    return values


def resampled(name: str, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`weighted`, NaN where a class of these cases has lost its weight and the metric would not say so.

    A metric of `BY_CLASS` over the classes left would be another quantity.
    """
    values = weighted(name, labels, probabilities, weights)
    if name not in BY_CLASS:
        return values
    kept = [weights[:, labels == c].any(axis=1) for c in np.unique(labels)]
    return np.where(np.all(kept, axis=0), values, np.nan)


def ordered(probabilities: np.ndarray) -> np.ndarray:
    """Scores [N] float64 that order cases of two classes as the probability [N, 2] of class 1 does.

    Near 1 that probability has no digits left for cases that the one of class 0 still tells apart: logits
    that differ by 40 and by 50 both give 1.0, beside 4e-18 and 2e-22. Areas would depend on which class is
    first.
    """
    other, score = probabilities.astype(np.float64).T
    return np.where(score <= 0.5, score, 1 / np.maximum(other, TINY))


def predict(probabilities: np.ndarray) -> np.ndarray:
    """Predicted class numbers [N] of probabilities [N, C]: the largest, the first among equals."""
    return np.argmax(probabilities, axis=1)


def redrawn(
    name: str, labels: np.ndarray, probabilities: np.ndarray, counts: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """A metric of `COUNTS` of cases drawn again, counts [R, N] -> [R] float64, NaN where undefined.

    Each value is, to the last bit, what `evaluate` gives of cases that stand there as often as drawn.
    """
    cell = labels * len(classes) + predict(probabilities)
    one = sparse.csr_array(
        (np.ones(len(cell), np.int64), (np.arange(len(cell)), cell)), (len(cell), len(classes) ** 2)
    )
    matrices = (counts @ one).reshape(-1, len(classes), len(classes))
    values = [_of_counts(name, matrix, classes).value for matrix in matrices]
    return np.asarray([np.nan if value is None else value for value in values], np.float64)


def confusion(labels: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """Confusion matrix [C, C] int64 of class numbers [N] and [N]: row = true class, column = predicted class.

    Raises:
        ValueError: a number is none of 0 to count - 1.
    """
    cells = _checked(labels, count) * count + _checked(predicted, count)
    return np.bincount(cells, minlength=count * count).reshape(count, count)


def per_class_of_counts(counts: np.ndarray, classes: Sequence[str]) -> dict[str, ClassValues]:
    """Recall, precision and specificity of every class, by class name, from a confusion matrix [C, C]."""
    total, values = int(counts.sum()), {}
    for c, name in enumerate(classes):
        hit, cases, predicted = int(counts[c, c]), int(counts[c].sum()), int(counts[:, c].sum())
        others = total - cases
        values[name] = ClassValues(
            cases,
            predicted,
            share(hit, cases, f"no case of {name}"),
            share(hit, predicted, f"no case predicted to be {name}"),
            share(others - (predicted - hit), others, f"no case that is not {name}"),
        )
    return values


def cross_entropy_from_logits(labels: np.ndarray, logits: np.ndarray) -> Value:
    """Mean negative natural logarithm of the softmax probability of the true class, without clipping.

    Args:
        labels: [N] int class numbers.
        logits: [N, C] float.
    """
    logits = np.asarray(logits, np.float64)
    if len(labels) == 0:
        return Value(None, "no cases")
    if not np.isfinite(logits).all():
        return Value(None, "some logits are not finite numbers")
    return Value(-float(np.mean(log_softmax(logits, axis=1)[np.arange(len(labels)), labels])))


def _checked(numbers: np.ndarray, count: int) -> np.ndarray:
    numbers = np.asarray(numbers, np.int64)
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= count):
        raise ValueError(f"class numbers from {numbers.min()} to {numbers.max()}: 0 to {count - 1} expected")
    return numbers


def _named(classes: Sequence[str], wanted: np.ndarray) -> str:
    return ", ".join(name for name, one in zip(classes, wanted, strict=True) if one)


def _of_counts(name: str, counts: np.ndarray, classes: Sequence[str]) -> Value:
    """A metric of one confusion matrix [C, C], with what a reader must know of it."""
    value = float(quiet(COUNTS[name], counts[None].astype(np.float64))[0])
    cases, predicted = counts.sum(axis=1), counts.sum(axis=0)
    if math.isnan(value):
        both = " and predicted to be of it" if name == "kappa" else ""
        return Value(None, f"all cases are of one class{both}")
    notes = []
    if name == "mcc" and (predicted > 0).sum() == 1:
        notes = ["0 by convention: all cases are predicted to be of one class"]
    if name == "macro_f1" and (wrong := _named(classes, (cases == 0) & (predicted > 0))):
        notes = [f"F1 of a class that is predicted but has no case counts as 0: no case of {wrong}"]
    if name in ("balanced_accuracy", "macro_f1"):
        there = cases > 0 if name == "balanced_accuracy" else cases + predicted > 0
        over = f"over {there.sum()} of {len(classes)} classes: no case of {_named(classes, ~there)}"
        notes += [over] * (not there.all())
    return Value(value, "; ".join(notes))


def _clipped(labels: np.ndarray, probabilities: np.ndarray) -> str:
    """How often the log loss met less than the smallest probability."""
    cases = int((probabilities[np.arange(len(labels)), labels] < SMALLEST).sum())
    where = f"{cases} case{'s' * (cases > 1)}"
    return f"probability 0 of the true class counts as {SMALLEST:.2g} in {where}" if cases else ""


def _right(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return (predict(probabilities) == labels).astype(np.float64)


def _brier(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Squared distance to the one-hot target, 0 to 2 (Brier, 1950)."""
    return np.sum((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2, axis=1)


def _log_loss(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(true, SMALLEST))


def _class_distance(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """|true - predicted class number|, 0 to C - 1: for classes in a meaningful order.

    The unit is classes, and neighbouring classes count as equally far apart (Gaudette and Japkowicz,
    2009, "Evaluation methods for ordinal classification"). Not for rare classes that matter: always
    predicting the middle class scores well.
    """
    return np.abs(predict(probabilities) - labels.astype(np.int64)).astype(np.float64)


HEADLINE: str = "balanced_accuracy"
SHOWN: tuple[str, ...] = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss")
"""Metrics of the tables, beside the one that trials were selected by."""
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy", True, SHARE),
        Metric("balanced_accuracy", "Balanced accuracy", True, SHARE),
        Metric("macro_f1", "Macro F1", True, SHARE),
        # With one class a case, micro-averaged F1 is the accuracy.
        Metric("micro_f1", "Micro F1", True, SHARE),
        Metric("auc", "AUC", True, SHARE, ranks=True),
        Metric("average_precision", "Average precision", True, SHARE, ranks=True),
        Metric("mcc", "Matthews correlation", True, CORRELATION),
        Metric("kappa", "Quadratic-weighted kappa", True, CORRELATION),
        Metric("log_loss", "Log loss", False, NOT_NEGATIVE),
        Metric("brier", "Brier score", False, (0.0, 2.0), scale="sum over classes, 0 to 2"),
        # Biased upwards for few cases, so not for choosing between models.
        Metric("ece", "Expected calibration error", False, SHARE),
        Metric("mean_class_distance", "Mean class distance", False, NOT_NEGATIVE),
    )
}
"""The metrics by name."""
BY_CLASS = frozenset({"balanced_accuracy", "macro_f1", "mcc"})
"""Metrics that average or compare over classes, and give a number when one of them has no case."""
COUNTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "accuracy": matrices.accuracy,
    "micro_f1": matrices.accuracy,
    "balanced_accuracy": matrices.balanced_accuracy,
    "macro_f1": matrices.macro_f1,
    "mcc": matrices.mcc,
    "kappa": matrices.kappa,
}
"""Metrics of weighted confusion matrices [R, C, C]."""
LOSSES: Mapping[str, Losses] = {
    "brier": _brier,
    "log_loss": _log_loss,
    "mean_class_distance": _class_distance,
}
"""Metrics that are means over cases: of these [N]."""
ADDITIVE: Mapping[str, Losses] = {
    "brier": _brier,
    "log_loss": _log_loss,
    "accuracy": _right,
    "micro_f1": _right,
}
"""Those with intervals for means over cases: (labels [N], probabilities [N, C]) -> [N]."""
RANKS: Mapping[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "auc": ranking.auc,
    "average_precision": ranking.average_precision,
}
"""Metrics of one class against the rest by the order of scores."""
