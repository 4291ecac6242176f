"""Metrics under many weights of the cases at once: what resampling evaluates thousands of times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from nachos_jax.metrics import classification

Function = Callable[[np.ndarray, np.ndarray], float | None]
"""(labels [N], probabilities [N, C]) -> value, None where undefined."""


def weighted(
    metric: str | Function, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """A metric of N cases under many weights, a case of weight w counting as w cases.

    Args:
        metric: key of `classification.METRICS`, or any function; the names of `COUNTS`, `RANKS` and
            `LOSSES` are evaluated at once, others one by one on repeated cases.
        labels: [N] int.
        probabilities: [N, C] float.
        weights: [R, N] whole numbers, 0 or more.

    Returns:
        [R] float64, NaN where undefined.
    """
    count = probabilities.shape[1]
    if not np.isfinite(probabilities).all():
        return np.full(len(weights), np.nan)
    if metric in COUNTS:
        cell = labels * count + classification.predict(probabilities)
        one = sparse.csr_array((np.ones(len(cell)), (np.arange(len(cell)), cell)), (len(cell), count * count))
        return quiet(COUNTS[metric], (weights @ one).reshape(-1, count, count))
    if metric in LOSSES:
        return quiet(np.divide, weights @ LOSSES[metric](labels, probabilities), weights.sum(axis=1))
    if metric in RANKS:
        columns = [1] if count == 2 else range(count)
        areas = [quiet(RANKS[metric], labels == c, probabilities[:, c], weights) for c in columns]
        return np.mean(areas, axis=0)
    return _one_by_one(metric, labels, probabilities, weights)


def quiet(function: Callable[..., np.ndarray], *given: np.ndarray) -> np.ndarray:
    """Calls a function in which 0 / 0 marks what is undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is what marks the undefined
        return function(*given)


def _one_by_one(
    metric: str | Function, labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    names = [str(c) for c in range(probabilities.shape[1])]
    values = np.full(len(weights), np.nan)
    for r, row in enumerate(weights):
        index = np.repeat(np.arange(len(labels)), row.astype(np.int64))
        if isinstance(metric, str):
            value = classification.evaluate(metric, labels[index], probabilities[index], names).value
        else:
            value = metric(labels[index], probabilities[index]) if len(index) else None
        values[r] = np.nan if value is None else value
    return values


def _diagonal(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=1, axis2=2)


def _accuracy(counts: np.ndarray) -> np.ndarray:
    return _diagonal(counts).sum(axis=1) / counts.sum(axis=(1, 2))


def _balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    cases = counts.sum(axis=2)  # an absent class is not counted
    return np.sum(_diagonal(counts) / np.maximum(cases, 1), axis=1) / (cases > 0).sum(axis=1)


def _macro_f1(counts: np.ndarray) -> np.ndarray:
    either = counts.sum(axis=1) + counts.sum(axis=2)
    values = np.sum(2 * _diagonal(counts) / np.maximum(either, 1), axis=1) / (either > 0).sum(axis=1)
    return np.where(counts.sum(axis=(1, 2)) > 0, values, np.nan)


def _mcc(counts: np.ndarray) -> np.ndarray:
    true, predicted, n = counts.sum(axis=2), counts.sum(axis=1), counts.sum(axis=(1, 2))
    spread = (n**2 - np.sum(true**2, axis=1)) * (n**2 - np.sum(predicted**2, axis=1))
    hits = _diagonal(counts).sum(axis=1) * n - np.sum(true * predicted, axis=1)
    values = np.where(spread > 0, hits / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)
    return np.where(n**2 > np.sum(true**2, axis=1), values, np.nan)


def _kappa(counts: np.ndarray) -> np.ndarray:
    numbers = np.arange(counts.shape[1])
    distance = (numbers[:, None] - numbers[None, :]) ** 2
    chance = np.einsum("ri,rj,ij->r", counts.sum(axis=2), counts.sum(axis=1), distance)
    chance /= counts.sum(axis=(1, 2))
    return 1 - np.einsum("rij,ij->r", counts, distance) / np.where(chance > 0, chance, np.nan)


def _right(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return (classification.predict(probabilities) == labels).astype(np.float64)


def _brier(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return np.sum((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2, axis=1)


def _log_loss(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(true, classification.SMALLEST))


def _auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of pairs of a positive and a negative case in which the first scores higher, ties half."""
    order = np.argsort(scores[~positive], kind="stable")
    negative = np.cumsum(weights[:, np.flatnonzero(~positive)[order]], axis=1)
    negative = np.concatenate([np.zeros((len(weights), 1)), negative], axis=1)
    sides = [np.searchsorted(scores[~positive][order], scores[positive], side=s) for s in ("left", "right")]
    below = (negative[:, sides[0]] + negative[:, sides[1]]) / 2
    ours = weights[:, positive]
    return np.einsum("rn,rn->r", ours, below) / (ours.sum(axis=1) * negative[:, -1])


def _average_precision(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum of precision times gain in recall over the distinct thresholds."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    sorted_weights = weights[:, order]
    hits = np.cumsum(sorted_weights * positive[order], axis=1)[:, ends]
    found = np.cumsum(sorted_weights, axis=1)[:, ends]
    gains = np.diff(hits, axis=1, prepend=0.0)
    values = np.sum(gains * hits / np.maximum(found, 1), axis=1) / hits[:, -1]
    return np.where(found[:, -1] > hits[:, -1], values, np.nan)  # as `classification`: both must be there


Table = dict[str | Function, Callable[..., np.ndarray]]
COUNTS: Table = {"accuracy": _accuracy, "micro_f1": _accuracy, "balanced_accuracy": _balanced_accuracy}
COUNTS |= {"macro_f1": _macro_f1, "mcc": _mcc, "kappa": _kappa}
"""Metrics of weighted confusion matrices [R, C, C]."""
LOSSES: Table = {"brier": _brier, "log_loss": _log_loss}
"""Metrics that are means over cases: of these [N]."""
ADDITIVE: Table = {**LOSSES, "accuracy": _right, "micro_f1": _right}
"""The same, and those whose values a case has too: (labels [N], probabilities [N, C]) -> [N]."""
RANKS: Table = {"auc": _auc, "average_precision": _average_precision}
"""Metrics of one class against the rest by the order of scores."""
