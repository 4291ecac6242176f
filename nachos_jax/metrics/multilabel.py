"""Metrics of several yes-or-no labels a case, in pure NumPy; a label that is not known (NaN) counts nowhere.

A label is called positive at a probability of at least 0.5. A macro mean leaves out labels that these cases
do not define, and its note names them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nachos_jax.metrics import decisions, ranking
from nachos_jax.metrics.classification import SMALLEST
from nachos_jax.metrics.contract import NOT_NEGATIVE, SHARE, Losses, Metric, find, quiet
from nachos_jax.metrics.value import Value, share

HALF = 0.5


def evaluate(name: str, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Value:
    """A metric of N cases with L labels, or None with the reason; see `contract.Metrics`.

    Args:
        name: key of `METRICS`.
        truth: [N, L] float: 1, 0, or NaN where the label is not known.
        predicted: [N, L] float, probability of each label.
        names: L label names, for the notes.
    """
    find(METRICS, name)
    truth, predicted = _checked(truth, predicted, names)
    if len(truth) == 0:
        return Value(None, "no cases")
    known = ~np.isnan(truth)
    if not known.any():
        return Value(None, "no label is known")
    broken = int((known & ~np.isfinite(predicted)).any(axis=1).sum())
    if broken:
        return Value(None, f"probabilities of {broken} of {len(truth)} cases are not numbers")
    value = float(weighted(name, truth, predicted, np.ones((1, len(truth))))[0])
    note = ""
    if name in MACRO:
        note = _left_out(name, truth, predicted, names)
    elif name == "log_loss":
        clipped = int(((truth == 1) & (predicted < SMALLEST) | (truth == 0) & (predicted >= 1)).sum())
        note = f"probability 0 of the truth counts as {SMALLEST:.2g} in {clipped} labels" * bool(clipped)
    if math.isnan(value):
        return Value(None, note or "no label is there or predicted")
    return Value(value, note)


def weighted(name: str, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A metric under weights [R, N] -> [R] float64, NaN where undefined; see `contract.Metrics`."""
    find(METRICS, name)
    known = ~np.isnan(truth)
    if not np.isfinite(predicted[known]).all():
        return np.full(len(weights), np.nan)
    if name in MACRO:
        values = quiet(MACRO[name], truth, predicted, weights)
        there = ~np.isnan(values)
        return quiet(np.divide, np.where(there, values, 0.0).sum(axis=1), there.sum(axis=1).astype(float))
    if name in ENTRIES:
        losses = np.where(known, ENTRIES[name](truth, predicted), 0.0).sum(axis=1)
        return quiet(np.divide, weights @ losses, weights @ known.sum(axis=1).astype(float))
    tp, wrong = (counts.sum(axis=1) for counts in _hits_and_errors(truth, predicted, weights))
    return quiet(np.divide, 2 * tp, 2 * tp + wrong)


def resampled(name: str, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`weighted`, NaN where a label has lost its positive cases (or negative, where both are compared).

    A macro mean over the labels left would be another quantity.
    """
    values = weighted(name, truth, predicted, weights)
    if name not in MACRO:
        return values
    kept = np.full(len(weights), True)
    for side in (1, 0) if METRICS[name].ranks else (1,):
        of_side = (truth == side).astype(np.float64)
        lost = (weights @ of_side == 0) & of_side.any(axis=0)
        kept &= ~lost.any(axis=1)
    return np.where(kept, values, np.nan)


def choose_thresholds(
    truth: np.ndarray, predicted: np.ndarray, names: Sequence[str], rule: decisions.Rule
) -> dict[str, Value]:
    """The threshold of every label that a rule picks; choose on other cases than those reported on.

    Args:
        truth: [N, L] float: 1, 0 or NaN.
        predicted: [N, L] probabilities.
        names: L label names.
        rule: see `decisions.choose`.

    Returns:
        By label name; None with the reason where the rule finds none.
    """
    truth, predicted = _checked(truth, predicted, names)
    found = {}
    for column, name in enumerate(names):
        known = ~np.isnan(truth[:, column])
        found[name] = decisions.choose(rule, truth[known, column] == 1, predicted[known, column])
    return found


def rates(truth: np.ndarray, predicted: np.ndarray, name: str, threshold: float) -> dict[str, Value]:
    """F1, sensitivity and specificity of one label, called positive from a threshold on.

    Args:
        truth: [N] float: 1, 0 or NaN.
        predicted: [N] probabilities.
        name: of the label, for the notes.
        threshold: at least this is positive.
    """
    known = ~np.isnan(truth)
    y, called = truth[known, None], (predicted[known, None] >= threshold).astype(np.float64)
    positive, negative = y == 1, y == 0
    return {
        "f1": evaluate("macro_f1", y, called, [name]),
        "sensitivity": share(called[positive].sum(), positive.sum(), f"no positive case of {name}"),
        "specificity": share((1 - called)[negative].sum(), negative.sum(), f"no negative case of {name}"),
    }


def cross_entropy_from_logits(truth: np.ndarray, logits: np.ndarray) -> Value:
    """Mean binary cross-entropy over known labels, in natural logarithms and without clipping.

    Args:
        truth: [N, L] float: 1, 0 or NaN.
        logits: [N, L] float.
    """
    known = ~np.isnan(truth)
    if not known.any():
        return Value(None, "no label is known" if len(truth) else "no cases")
    if not np.isfinite(logits).all():
        return Value(None, "some logits are not finite numbers")
    y, z = np.asarray(truth, np.float64)[known], np.asarray(logits, np.float64)[known]
    return Value(float(np.mean(np.logaddexp(0.0, z) - y * z)))


def _checked(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if truth.shape != (len(truth), len(names)) or predicted.shape != truth.shape:
        raise ValueError(
            f"truth {truth.shape} and probabilities {predicted.shape}: ({len(truth)}, {len(names)}) expected"
        )
    if not (np.isnan(truth) | (truth == 0) | (truth == 1)).all():
        raise ValueError("the truth of a label must be 0, 1, or NaN where it is not known")
    return truth, predicted


# --- of every label --------------------------------------------------------------------------------------

Area = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _areas(area: Area, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[R, L] area of each label, NaN where one of its classes has no weight."""
    values = np.empty((len(weights), truth.shape[1]))
    for column in range(truth.shape[1]):
        known = np.flatnonzero(~np.isnan(truth[:, column]))
        positive, scores = truth[known, column] == 1, predicted[known, column]
        values[:, column] = area(positive, scores, weights[:, known])
    return values


def _hits_and_errors(
    truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [R, L] of true positives, and of false positives and false negatives together."""
    called = predicted >= HALF
    hits, errors = called & (truth == 1), ~np.isnan(truth) & (called != (truth == 1))
    return weights @ hits.astype(np.float64), weights @ errors.astype(np.float64)


def _f1s(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[R, L] F1 of each label, NaN where it is neither there nor predicted."""
    tp, wrong = _hits_and_errors(truth, predicted, weights)
    return 2 * tp / (2 * tp + wrong)


def _cross_entropies(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """[N, L], whatever where the label is not known."""
    return -np.log(np.maximum(np.where(truth == 1, predicted, 1 - predicted), SMALLEST))


def _squares(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return (predicted - truth) ** 2


def _left_out(name: str, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> str:
    """Which labels a macro mean is not over, and which count as 0 by convention."""
    values = quiet(MACRO[name], truth, predicted, np.ones((1, len(truth))))[0]
    gone = [label for label, value in zip(names, values, strict=True) if math.isnan(value)]
    why = "no positive or no negative case" if name in AREAS else "neither there nor predicted"
    notes = []
    if name == "macro_f1":
        absent = ~(truth == 1).any(axis=0) & (values == 0)
        zeros = [label for label, one in zip(names, absent, strict=True) if one]
        zero = "F1 of a label that is predicted but has no positive case counts as 0"
        notes += [f"{zero}: {', '.join(zeros)}"] * bool(zeros)
    over = f"over {len(names) - len(gone)} of {len(names)} labels"
    return "; ".join([*notes, *[f"{over}: {why} of {', '.join(gone)}"] * bool(gone)])


AREAS: Mapping[str, Area] = {
    "macro_auc": functools.partial(_areas, ranking.auc),
    "macro_average_precision": functools.partial(_areas, ranking.average_precision),
}
"""Areas under curves of each label: (truth [N, L], predicted [N, L], weights [R, N]) -> [R, L]."""
MACRO: Mapping[str, Area] = {**AREAS, "macro_f1": _f1s}
"""Metrics that are means over labels: of these [R, L]."""
ENTRIES: Mapping[str, Losses] = {"log_loss": _cross_entropies, "brier": _squares}
"""Metrics that are means over all known labels of all cases: of these [N, L]."""
HEADLINE: str = "macro_auc"
SHOWN: tuple[str, ...] = ("macro_auc", "macro_average_precision", "macro_f1", "micro_f1", "log_loss")
"""Metrics of the tables, beside the one that trials were selected by."""
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("macro_auc", "Macro AUC", True, SHARE, ranks=True),
        Metric("macro_average_precision", "Macro average precision", True, SHARE, ranks=True),
        Metric("macro_f1", "Macro F1", True, SHARE),
        Metric("micro_f1", "Micro F1", True, SHARE),
        Metric("log_loss", "Log loss", False, NOT_NEGATIVE),
        Metric("brier", "Brier score", False, SHARE),
    )
}
"""The metrics by name."""


def _of_cases(entries: Losses) -> Losses:
    """Losses of cases; NaN of a case with a label that is not known.

    Such a case weighs less than others in the mean over known labels, which is then no mean over cases.
    """

    def losses(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return np.mean(np.where(np.isnan(truth), np.nan, entries(truth, predicted)), axis=1)

    return losses


ADDITIVE: Mapping[str, Losses] = {name: _of_cases(entries) for name, entries in ENTRIES.items()}
"""Metrics that are means over cases when every label is known: (truth [N, L], predicted [N, L]) -> [N]."""
