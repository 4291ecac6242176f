"""Classification metrics of one set of cases: pure NumPy, fast enough for every epoch of every lane.

A metric that a set of cases cannot define (no case of a class, probabilities that are not numbers)
is None with the reason in words, never a silent zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from nachos_jax.metrics import matrices, ranking
from nachos_jax.metrics.calibration import expected_calibration_error
from nachos_jax.metrics.contract import (
    CORRELATION,
    NOT_NEGATIVE,
    SHARE,
    Losses,
    Metric,
    find,
    one_by_one,
    quiet,
)
from nachos_jax.metrics.value import Value, share

SMALLEST = float(np.finfo(np.float32).tiny)
"""Probabilities below this count as this in the log loss: the smallest normal float32, 1.2e-38."""


@dataclass(frozen=True)
class ClassValues:
    """One class against the rest.

    Attributes:
        cases: number of cases of the class.
        predicted: number of cases predicted to be of the class.
        recall: share of its cases that were found (sensitivity).
        precision: share of its predictions that were right.
        specificity: share of the other classes' cases that were not predicted to be of it.
    """

    cases: int
    predicted: int
    recall: Value
    precision: Value
    specificity: Value


def evaluate(name: str, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Value:
    """A metric of N cases.

    Args:
        name: key of `METRICS`.
        labels: [N] int class numbers, 0 to C - 1.
        probabilities: [N, C] float, one row a case.
        classes: C class names, for the notes.

    Returns:
        The value, or None with the reason.

    Raises:
        UsageError: there is no metric of this name.
        ValueError: the shapes do not fit together or a label is no class number.
    """
    metric = find(METRICS, name)
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.shape != (len(labels), len(classes)):
        raise ValueError(f"{probabilities.shape} probabilities: ({len(labels)}, {len(classes)}) expected")
    if len(labels) == 0:
        return Value(None, "no cases")
    _check_labels(labels, len(classes))
    broken = len(labels) - int(np.isfinite(probabilities).all(axis=1).sum())
    if broken:
        return Value(None, f"probabilities of {broken} of {len(labels)} cases are not numbers")
    return metric.function(labels, probabilities, classes)


def predict(probabilities: np.ndarray) -> np.ndarray:
    """Predicted class numbers [N] of probabilities [N, C]: the largest, the first among equals."""
    return np.argmax(probabilities, axis=1)


def confusion(labels: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """Confusion matrix.

    Args:
        labels: [N] int true class numbers.
        predicted: [N] int predicted class numbers.
        count: C, the number of classes.

    Returns:
        [C, C] int64 counts: row = true class, column = predicted class.

    Raises:
        ValueError: a number is no class number.
    """
    labels, predicted = np.asarray(labels, np.int64), np.asarray(predicted, np.int64)
    _check_labels(labels, count)
    _check_labels(predicted, count)
    return np.bincount(labels * count + predicted, minlength=count * count).reshape(count, count)


def per_class(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> dict[str, ClassValues]:
    """Recall, precision and specificity of every class, by class name.

    Args:
        labels: [N] int class numbers.
        probabilities: [N, C] float.
        classes: C class names.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if np.isfinite(probabilities).all():
        return per_class_of_counts(confusion(labels, predict(probabilities), len(classes)), classes)
    undefined = Value(None, "some probabilities are not numbers")
    cases = np.bincount(labels, minlength=len(classes))
    return {
        name: ClassValues(int(n), 0, undefined, undefined, undefined)
        for name, n in zip(classes, cases, strict=True)
    }


def per_class_of_counts(counts: np.ndarray, classes: Sequence[str]) -> dict[str, ClassValues]:
    """The same from a confusion matrix [C, C]."""
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
    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    if len(labels) == 0:
        return Value(None, "no cases")
    if not np.isfinite(logits).all():
        return Value(None, "some logits are not finite numbers")
    shifted = logits - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    return Value(float(np.mean(normaliser - shifted[np.arange(len(labels)), labels])))


def _check_labels(labels: np.ndarray, count: int) -> None:
    if len(labels) and (labels.min() < 0 or labels.max() >= count):
        raise ValueError(f"class numbers from {labels.min()} to {labels.max()}: 0 to {count - 1} expected")


def _counts(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return confusion(labels, predict(probabilities), probabilities.shape[1])


def _absent(labels: np.ndarray, classes: Sequence[str]) -> list[str]:
    present = np.bincount(labels, minlength=len(classes)) > 0
    return [name for name, there in zip(classes, present, strict=True) if not there]


def _no_case(absent: Sequence[str]) -> str:
    return f"no case of {', '.join(absent)}"


def _accuracy(labels: np.ndarray, probabilities: np.ndarray, _classes: Sequence[str]) -> Value:
    return Value(float(np.mean(predict(probabilities) == labels)))


def _balanced_accuracy(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Value:
    counts = _counts(labels, probabilities)
    cases = counts.sum(axis=1)
    there = cases > 0
    value = float(np.mean(np.diag(counts)[there] / cases[there]))
    absent = _absent(labels, classes)
    note = f"over {there.sum()} of {len(classes)} classes: {_no_case(absent)}" if absent else ""
    return Value(value, note)


def _macro_f1(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Value:
    counts = _counts(labels, probabilities)
    either = counts.sum(axis=0) + counts.sum(axis=1)
    there = either > 0
    value = float(np.mean(2 * np.diag(counts)[there] / either[there]))
    wrong = [name for name, n, one in zip(classes, counts.sum(axis=1), there, strict=True) if one and not n]
    gone = [name for name, one in zip(classes, there, strict=True) if not one]
    notes = [f"F1 of a class that is predicted but has no case counts as 0: {_no_case(wrong)}"] * bool(wrong)
    notes += [f"over {there.sum()} of {len(classes)} classes: {_no_case(gone)}"] * bool(gone)
    return Value(value, "; ".join(notes))


def _one_against_rest(
    curve: Callable[[np.ndarray, np.ndarray], float],
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
) -> Value:
    """Class 1 of two classes, else the unweighted mean over all C classes against their rest."""
    absent = _absent(labels, classes)
    if absent:
        return Value(None, _no_case(absent))
    columns = [1] if len(classes) == 2 else range(len(classes))
    return Value(float(np.mean([curve(labels == c, probabilities[:, c]) for c in columns])))


def _auc(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Value:
    return _one_against_rest(ranking.auc, labels, probabilities, classes)


def _average_precision(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Value:
    return _one_against_rest(ranking.average_precision, labels, probabilities, classes)


def _mcc(labels: np.ndarray, probabilities: np.ndarray, _classes: Sequence[str]) -> Value:
    """Correlation of true and predicted class (Gorodkin, 2004); 0 when predictions never vary."""
    counts = _counts(labels, probabilities).astype(np.float64)
    true, predicted, n = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    if n**2 == true @ true:
        return Value(None, "all cases are of one class")
    spread = (n**2 - true @ true) * (n**2 - predicted @ predicted)
    if spread == 0:
        return Value(0.0, "0 by convention: all cases are predicted to be of one class")
    return Value(float((np.trace(counts) * n - true @ predicted) / np.sqrt(spread)))


def _kappa(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Value:
    """Quadratic-weighted kappa (Cohen, 1968): for classes in a meaningful order."""
    counts = _counts(labels, probabilities).astype(np.float64)
    numbers = np.arange(len(classes))
    weights = (numbers[:, None] - numbers[None, :]) ** 2
    chance = counts.sum(axis=1)[:, None] * counts.sum(axis=0)[None, :] / counts.sum()
    if np.sum(weights * chance) == 0:
        return Value(None, "all cases are of one class and predicted to be of it")
    return Value(float(1 - np.sum(weights * counts) / np.sum(weights * chance)))


def _mean_class_distance(labels: np.ndarray, probabilities: np.ndarray, _classes: Sequence[str]) -> Value:
    """Mean of |true - predicted class number|, 0 to C - 1: for classes in a meaningful order.

    The unit is classes, and neighbouring classes count as equally far apart (Gaudette and Japkowicz,
    2009, "Evaluation methods for ordinal classification"). Not for rare classes that matter: always
    predicting the middle class scores well.
    """
    return Value(float(np.mean(np.abs(predict(probabilities) - labels.astype(np.int64)))))


def _ece(labels: np.ndarray, probabilities: np.ndarray, _classes: Sequence[str]) -> Value:
    """Expected calibration error of the predicted class, 15 equal-mass bins, 0 to 1.

    Biased upwards for small n, so not for choosing between models: see `expected_calibration_error`
    (Naeini et al., 2015; Roelofs et al., 2022).
    """
    right = predict(probabilities) == labels
    return expected_calibration_error(right, probabilities.max(axis=1))


def _log_loss(labels: np.ndarray, probabilities: np.ndarray, _classes: Sequence[str]) -> Value:
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    clipped = int((true < SMALLEST).sum())
    where = f"{clipped} case{'s' * (clipped > 1)}"
    note = f"probability 0 of the true class counts as {SMALLEST:.2g} in {where}" if clipped else ""
    return Value(float(-np.mean(np.log(np.maximum(true, SMALLEST)))), note)


def _brier(labels: np.ndarray, probabilities: np.ndarray, _classes: Sequence[str]) -> Value:
    """Mean over cases of the squared distance to the one-hot target, 0 to 2 (Brier, 1950)."""
    distance = probabilities.astype(np.float64)
    distance[np.arange(len(labels)), labels] -= 1.0
    return Value(float(np.mean(np.sum(distance**2, axis=1))))


def _right(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return (predict(probabilities) == labels).astype(np.float64)


def _brier_of_cases(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return np.sum((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2, axis=1)


def _log_loss_of_cases(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(true, SMALLEST))


HEADLINE: str = "balanced_accuracy"
SHOWN: tuple[str, ...] = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss")
"""Metrics of the tables, beside the one that trials were selected by."""
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy", True, _accuracy, SHARE),
        Metric("balanced_accuracy", "Balanced accuracy", True, _balanced_accuracy, SHARE),
        Metric("macro_f1", "Macro F1", True, _macro_f1, SHARE),
        # With one class a case, micro-averaged F1 is the accuracy.
        Metric("micro_f1", "Micro F1", True, _accuracy, SHARE),
        Metric("auc", "AUC", True, _auc, SHARE, ranks=True),
        Metric("average_precision", "Average precision", True, _average_precision, SHARE, ranks=True),
        Metric("mcc", "Matthews correlation", True, _mcc, CORRELATION),
        Metric("kappa", "Quadratic-weighted kappa", True, _kappa, CORRELATION),
        Metric("log_loss", "Log loss", False, _log_loss, NOT_NEGATIVE),
        Metric("brier", "Brier score", False, _brier, (0.0, 2.0)),
        Metric("ece", "Expected calibration error", False, _ece, SHARE),
        Metric("mean_class_distance", "Mean class distance", False, _mean_class_distance, NOT_NEGATIVE),
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
LOSSES: Mapping[str, Losses] = {"brier": _brier_of_cases, "log_loss": _log_loss_of_cases}
"""Metrics that are means over cases: of these [N]."""
ADDITIVE: Mapping[str, Losses] = {**LOSSES, "accuracy": _right, "micro_f1": _right}
"""The same, and those whose values a case has too: (labels [N], probabilities [N, C]) -> [N]."""
RANKS: Mapping[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "auc": ranking.weighted_auc,
    "average_precision": ranking.weighted_average_precision,
}
"""Metrics of one class against the rest by the order of scores."""


def weighted(name: str, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A metric of N cases under many weights, a case of weight w counting as w cases.

    Args:
        name: key of `METRICS`; those of `COUNTS`, `RANKS` and `LOSSES` are evaluated at once, others one by
            one on repeated cases.
        labels: [N] int.
        probabilities: [N, C] float.
        weights: [R, N] whole numbers, 0 or more.

    Returns:
        [R] float64, NaN where undefined.

    Raises:
        UsageError: there is no metric of this name.
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
        columns = [1] if count == 2 else range(count)
        areas = [quiet(RANKS[name], labels == c, probabilities[:, c], weights) for c in columns]
        return np.mean(areas, axis=0)
    names = [str(c) for c in range(count)]
    return one_by_one(lambda y, p: evaluate(name, y, p, names), labels, probabilities, weights)


def resampled(name: str, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`weighted`, NaN where a class of these cases has lost its weight and the metric would not say so.

    A metric of `BY_CLASS` over the classes left would be another quantity.
    """
    values = weighted(name, labels, probabilities, weights)
    if name not in BY_CLASS:
        return values
    kept = [weights[:, labels == c].any(axis=1) for c in np.unique(labels)]
    return np.where(np.all(kept, axis=0), values, np.nan)
