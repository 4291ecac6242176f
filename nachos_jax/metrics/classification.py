"""Classification metrics of one set of cases: pure NumPy, fast enough for every epoch of every lane.

A metric that a set of cases cannot define (no case of a class, probabilities that are not numbers)
is None with the reason in words, never a silent zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics.calibration import expected_calibration_error
from nachos_jax.metrics.value import Value, share

SMALLEST = float(np.finfo(np.float32).tiny)
"""Probabilities below this count as this in the log loss: the smallest normal float32, 1.2e-38."""


@dataclass(frozen=True)
class Metric:
    """One row of `METRICS`.

    Attributes:
        name: key in configs and files.
        label: name for people.
        higher_is_better: False for losses.
        needs_probabilities: False when the predicted class alone decides.
        function: (labels [N], probabilities [N, C], class names) -> Value.
    """

    name: str
    label: str
    higher_is_better: bool
    needs_probabilities: bool
    function: Callable[[np.ndarray, np.ndarray, Sequence[str]], Value]


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
    if name not in METRICS:
        raise UsageError(f"There is no metric {name!r}: choose one of {', '.join(METRICS)}.")
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.shape != (len(labels), len(classes)):
        raise ValueError(f"{probabilities.shape} probabilities: ({len(labels)}, {len(classes)}) expected")
    if len(labels) == 0:
        return Value(None, "no cases")
    _check_labels(labels, len(classes))
    broken = len(labels) - int(np.isfinite(probabilities).all(axis=1).sum())
    if broken:
        return Value(None, f"probabilities of {broken} of {len(labels)} cases are not numbers")
    return METRICS[name].function(labels, probabilities, classes)


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


def _area_under_roc(positive: np.ndarray, scores: np.ndarray) -> float:
    """Chance that a positive case scores above a negative one, ties half (Mann and Whitney, 1947)."""
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    n1 = int(positive.sum())
    return float((ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(scores) - n1)))


def _average_precision_of(positive: np.ndarray, scores: np.ndarray) -> float:
    """Sum of precision times gain in recall over the distinct thresholds, as scikit-learn has it."""
    _, group = np.unique(-scores, return_inverse=True)
    hits = np.cumsum(np.bincount(group, weights=positive))
    precision = hits / np.cumsum(np.bincount(group))
    return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])


def _auc(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Value:
    return _one_against_rest(_area_under_roc, labels, probabilities, classes)


def _average_precision(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Value:
    return _one_against_rest(_average_precision_of, labels, probabilities, classes)


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


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy", True, False, _accuracy),
        Metric("balanced_accuracy", "Balanced accuracy", True, False, _balanced_accuracy),
        Metric("macro_f1", "Macro F1", True, False, _macro_f1),
        # With one class a case, micro-averaged F1 is the accuracy.
        Metric("micro_f1", "Micro F1", True, False, _accuracy),
        Metric("auc", "AUC", True, True, _auc),
        Metric("average_precision", "Average precision", True, True, _average_precision),
        Metric("mcc", "Matthews correlation", True, False, _mcc),
        Metric("kappa", "Quadratic-weighted kappa", True, False, _kappa),
        Metric("log_loss", "Log loss", False, True, _log_loss),
        Metric("brier", "Brier score", False, True, _brier),
        Metric("ece", "Expected calibration error", False, True, _ece),
        Metric("mean_class_distance", "Mean class distance", False, False, _mean_class_distance),
    )
}
"""The metrics by name."""
