"""Areas under the curves of one class against the rest, by the order of scores, under many weights."""

from __future__ import annotations

import numpy as np

FEW = 64
"""Positive cases up to which comparing each with all others takes less than sorting and summing up."""


MOST = 2048
"""Cases up to which all are compared with all for the areas of many classes: that takes N x N numbers."""


def each_auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`auc` of every class against the rest, to the bit: of [N] int, [N, C] and [R, N], [C, R] float64."""
    count = scores.shape[1]
    if len(weights) < count or len(labels) > MOST:
        return np.stack([auc(labels == c, scores[:, c], weights) for c in range(count)])
    own, theirs = scores[np.arange(len(labels)), labels], scores[:, labels]
    won = np.where(labels[:, None] == labels, 0.0, (own > theirs) + (own == theirs) / 2)
    of_class = (labels[:, None] == np.arange(count)).astype(np.float64)
    number = weights @ of_class
    pairs = number * (weights.sum(axis=1, keepdims=True) - number)
    # Laid out as by the other way: the mean over classes is summed in the order of memory.
    return np.ascontiguousarray((((weights @ won) * weights) @ of_class / pairs).T)


def auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Chance that a positive case scores above a negative one, ties half (Mann and Whitney, 1947).

    Of [N] bool, [N] float and weights [R, N] of the cases: [R] float64, 0 / 0 where one class has no weight.
    Weights are whole numbers, so that sums are exact, whichever way they are taken.
    """
    return (_by_pairs if positive.sum() <= FEW else _by_order)(positive, scores, weights)


def _by_pairs(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    ours, own = weights[:, positive], scores[positive][:, None]
    won = np.where(positive, 0.0, (own > scores) + (own == scores) / 2)
    number = ours.sum(axis=1)
    pairs = number * (weights.sum(axis=1) - number)
    return np.einsum("rn,rn->r", ours @ won, weights) / pairs


def _by_order(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(scores[~positive], kind="stable")
    negative = np.cumsum(weights[:, np.flatnonzero(~positive)[order]], axis=1)
    negative = np.concatenate([np.zeros((len(weights), 1)), negative], axis=1)
    sides = [np.searchsorted(scores[~positive][order], scores[positive], side=s) for s in ("left", "right")]
    below = (negative[:, sides[0]] + negative[:, sides[1]]) / 2
    ours = weights[:, positive]
    return np.einsum("rn,rn->r", ours, below) / (ours.sum(axis=1) * negative[:, -1])


def average_precision(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum of precision times gain in recall over the distinct thresholds, as scikit-learn has it.

    Of [N] bool, [N] float and weights [R, N] of the cases: [R] float64, NaN unless both classes have weight.
    """
    if not len(scores):
        return np.full(len(weights), np.nan)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    sorted_weights = weights[:, order]
    hits = np.cumsum(sorted_weights * positive[order], axis=1)[:, ends]
    found = np.cumsum(sorted_weights, axis=1)[:, ends]
    gains = np.diff(hits, axis=1, prepend=0.0)
    values = np.sum(gains * (hits / np.maximum(found, 1)), axis=1) / hits[:, -1]
    return np.where(found[:, -1] > hits[:, -1], values, np.nan)
