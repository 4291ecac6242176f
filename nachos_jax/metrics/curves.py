"""Receiver operating characteristic and precision-recall curves of one set of cases, and their bands.

Two classes: cases are positive or not. For more classes the caller sets one class against the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["roc", "precision_recall"]

GRID = np.linspace(0.0, 1.0, 101)
"""Places on the horizontal axis at which curves are averaged."""

NUDGE = 1e-12
"""A place of a grid and a rate that are equal on paper differ by rounding: 35 * 0.01 is not 35 / 100."""

CHUNK_BYTES = 2**23
"""Replicates are gone through in chunks of at most this many bytes (at least one), which stay in a cache."""


@dataclass(frozen=True)
class Curve:
    """Points of a curve, from the highest threshold to the lowest, P of them."""

    kind: Kind  # "roc" or "precision_recall"
    x: np.ndarray  # [P] float64: false positive rate, or recall; never falls
    y: np.ndarray  # [P] float64: true positive rate, or precision
    note: str = ""  # why the curve is undefined, and then the arrays are empty; else empty

    def at(self, grid: np.ndarray) -> np.ndarray:
        """Height [G] of a defined curve over places [G] of the horizontal axis, 0 to 1.

        ROC points are joined by straight lines, which is what choosing between two thresholds by lot
        gives (Fawcett, 2006, "An introduction to ROC analysis", Pattern Recognition Letters 27);
        where the curve rises upright, the upper end counts. Precision is a step: that of the highest
        threshold whose recall is at least the place, at place 0 above 0. A straight line between
        precision-recall points is too high (Davis and Goadrich, 2006, "The relationship between
        precision-recall and ROC curves", ICML). The area under the steps is the average precision.
        """
        if self.kind == "roc":
            # Among points at one place np.interp takes the last: the upper end of an upright stretch.
            return np.interp(np.asarray(grid) + NUDGE, self.x, self.y)
        return self.y[np.searchsorted(self.x, np.maximum(np.asarray(grid) - NUDGE, NUDGE))]


@dataclass(frozen=True)
class Band:
    """Vertical average of curves with pointwise limits, over G places of the horizontal axis."""

    grid: np.ndarray  # [G] places, 0 to 1
    mean: np.ndarray  # [G] mean height of the curves
    low: np.ndarray  # [G] pointwise 2.5 % quantile of the heights
    high: np.ndarray  # [G] pointwise 97.5 % quantile


def roc(labels: np.ndarray, scores: np.ndarray) -> Curve:
    """Receiver operating characteristic: true positive rate over false positive rate.

    At threshold t: TPR = (positive cases with score >= t) / (positive cases), FPR likewise of the
    negative cases (Fawcett, 2006). One point a distinct score, after the point (0, 0). It does not
    depend on the prevalence nor on monotone transformations of the scores. Not for scores of
    different models in one pot: the curve of pooled folds is not the curve of any model.

    Args:
        labels: [N] bool, True for positive cases.
        scores: [N] float, higher means more likely positive.

    Raises:
        ValueError: shapes do not fit together.
    """
    from sklearn.metrics import roc_curve  # late: it is slow to import

    labels, scores = binary_cases(labels, scores)
    note = _missing("roc", labels, scores)
    if note:
        return Curve("roc", np.zeros(0), np.zeros(0), note)
    x, y, _ = roc_curve(labels, scores, drop_intermediate=False)
    return Curve("roc", x, y)


def precision_recall(labels: np.ndarray, scores: np.ndarray) -> Curve:
    """Precision over recall; arguments and errors of `roc`.

    At threshold t: recall = (positive cases with score >= t) / (positive cases), precision =
    (positive cases with score >= t) / (cases with score >= t). One point a distinct score; the
    point (0, 1) that plots often add is no threshold's and is left out. Precision depends on the
    prevalence: do not compare sets of cases with different shares of positive cases.
    """
    from sklearn.metrics import precision_recall_curve  # late: it is slow to import

    labels, scores = binary_cases(labels, scores)
    note = _missing("precision_recall", labels, scores)
    if note:
        return Curve("precision_recall", np.zeros(0), np.zeros(0), note)
    y, x, _ = precision_recall_curve(labels, scores)
    return Curve("precision_recall", x[-2::-1], y[-2::-1])


def band(curves: Sequence[Curve]) -> Band:
    """Vertical average of defined curves of one kind, at least one (Fawcett, 2006, section 9.1).

    Over a few folds low and high say how far the folds' curves lie apart: they are no confidence interval.
    Limits hold at one place at a time, not for the whole curve at once.
    """
    heights = np.stack([curve.at(GRID) for curve in curves])
    return Band(GRID, heights.mean(axis=0), *limits(heights, 0.95))


def binary_cases(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels [N] as bool and scores [N] as float64.

    Raises:
        ValueError: they are not of one length, or not one-dimensional.
    """
    labels, scores = np.asarray(labels, bool), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"labels {labels.shape} and scores {scores.shape}: both must be (cases,)")
    return labels, scores


def row_chunks(weights: np.ndarray) -> Iterator[np.ndarray]:
    """Replicates [R, N] in turn as float64 chunks [r, N] of a bounded size."""
    rows = max(1, CHUNK_BYTES // (8 * max(weights.shape[1], 1)))
    for start in range(0, len(weights), rows):
        yield np.asarray(weights[start : start + rows], np.float64)


def limits(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles (1 - level) / 2 and (1 + level) / 2 over the first axis of values [R, ...]."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _missing(kind: Kind, labels: np.ndarray, scores: np.ndarray) -> str:
    """Why cases have no such curve; "" when they have one."""
    if not np.isfinite(scores).all():
        return "some scores are not finite numbers"
    if not len(labels):
        return "no cases"
    if not labels.any():
        return "no positive case"
    return "no negative case" if kind == "roc" and labels.all() else ""
