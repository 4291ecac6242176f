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
"""Places on the horizontal axis at which curves are averaged when the caller names none."""

NUDGE = 1e-12
"""A place of a grid and a rate that are equal on paper differ by rounding: 35 * 0.01 is not 35 / 100."""

CHUNK_BYTES = 2**25
"""Replicates are gone through in chunks of at most this many bytes (at least one replicate)."""


@dataclass(frozen=True)
class Curve:
    """Points of a curve, from the highest threshold to the lowest, P of them.

    Attributes:
        kind: "roc" or "precision_recall".
        x: [P] float64: false positive rate, or recall; never falls.
        y: [P] float64: true positive rate, or precision.
        thresholds: [P] float64: a case is called positive when its score is at least this. The first
            of a ROC curve is infinite: no case is positive.
        note: why the curve is undefined, and then the arrays are empty; else empty.
    """

    kind: Kind
    x: np.ndarray
    y: np.ndarray
    thresholds: np.ndarray
    note: str = ""

    def at(self, grid: np.ndarray) -> np.ndarray:
        """Height [G] over places [G] of the horizontal axis, 0 to 1.

        ROC points are joined by straight lines, which is what choosing between two thresholds by lot
        gives (Fawcett, 2006, "An introduction to ROC analysis", Pattern Recognition Letters 27);
        where the curve rises upright, the upper end counts. Precision is a step: that of the highest
        threshold whose recall is at least the place, at place 0 above 0. A straight line between
        precision-recall points is too high (Davis and Goadrich, 2006, "The relationship between
        precision-recall and ROC curves", ICML). The area under the steps is the average precision.

        Raises:
            ValueError: the curve is undefined.
        """
        if self.note:
            raise ValueError(f"the curve is undefined: {self.note}")
        return _height(self.kind, self.x, self.y, grid)


@dataclass(frozen=True)
class Band:
    """Vertical average of curves with pointwise limits, over G places of the horizontal axis.

    Attributes:
        grid: [G] places, 0 to 1.
        mean: [G] mean height of the curves.
        sd: [G] standard deviation of the heights (ddof 1); None with fewer than two curves.
        low: [G] pointwise quantile (1 - level) / 2 of the heights.
        high: [G] pointwise quantile (1 + level) / 2.
        level: share of the curves between low and high at any one place, 0 to 1.
        curves: number of curves that the band rests on.
        undefined: number of curves left out because they are undefined.
        note: why there is no band, and then mean, low and high are empty; else empty.
    """

    grid: np.ndarray
    mean: np.ndarray
    sd: np.ndarray | None
    low: np.ndarray
    high: np.ndarray
    level: float
    curves: int
    undefined: int
    note: str = ""


def roc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Curve:
    """Receiver operating characteristic: true positive rate over false positive rate.

    At threshold t: TPR = (positive cases with score >= t) / (positive cases), FPR likewise of the
    negative cases (Fawcett, 2006). One point a distinct score, after the point (0, 0). It does not
    depend on the prevalence nor on monotone transformations of the scores. Not for scores of
    different models in one pot: the curve of pooled folds is not the curve of any model.

    Args:
        labels: [N] bool, True for positive cases.
        scores: [N] float, higher means more likely positive.
        weights: [N] float >= 0, how often each case counts; default once.

    Returns:
        The curve; undefined without positive or without negative cases, or with scores that are no
        numbers.

    Raises:
        ValueError: shapes do not fit together or a weight is negative.
    """
    return _curve("roc", labels, scores, weights)


def precision_recall(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> Curve:
    """Precision over recall.

    At threshold t: recall = (positive cases with score >= t) / (positive cases), precision =
    (positive cases with score >= t) / (cases with score >= t). One point a distinct score; the
    point (0, 1) that plots often add is no threshold's and is left out. Precision depends on the
    prevalence: do not compare sets of cases with different shares of positive cases.

    Args:
        labels: [N] bool, True for positive cases.
        scores: [N] float, higher means more likely positive.
        weights: [N] float >= 0, how often each case counts; default once.

    Returns:
        The curve; undefined without positive cases, or with scores that are no numbers.

    Raises:
        ValueError: shapes do not fit together or a weight is negative.
    """
    return _curve("precision_recall", labels, scores, weights)


def band(curves: Sequence[Curve], grid: np.ndarray = GRID, level: float = 0.95) -> Band:
    """Vertical average of several curves of one kind (Fawcett, 2006, section 9.1).

    The curves are those of outer folds, or of bootstrap replicates. Over a few folds low and high say
    how far the folds' curves lie apart: they are no confidence interval. Limits hold at one place at
    a time, not for the whole curve at once.

    Args:
        curves: R curves of one kind; undefined ones are counted and left out.
        grid: [G] places of the horizontal axis, 0 to 1.
        level: share of the curves between low and high, above 0 and below 1.

    Raises:
        ValueError: curves of different kinds, or a wrong level.
    """
    if len({curve.kind for curve in curves}) > 1:
        raise ValueError("curves of different kinds have no common average")
    heights = [curve.at(grid) for curve in curves if not curve.note]
    reason = next((curve.note for curve in curves if curve.note), "no curves")
    return _band(heights, grid, level, len(curves) - len(heights), reason)


def binary_cases(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels [N] as bool and scores [N] as float64.

    Raises:
        ValueError: they are not of one length, or not one-dimensional.
    """
    labels, scores = np.asarray(labels, bool), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"labels {labels.shape} and scores {scores.shape}: both must be (cases,)")
    return labels, scores


def row_chunks(weights: np.ndarray, cases: int) -> Iterator[np.ndarray]:
    """Replicates [R, N] in turn as float64 chunks [r, N] of a bounded size.

    Raises:
        ValueError: the weights are not [R, cases], or one is negative or no number.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or weights.shape[1] != cases:
        raise ValueError(f"weights {weights.shape}: (replicates, {cases}) expected")
    rows = max(1, CHUNK_BYTES // (8 * max(cases, 1)))
    for start in range(0, len(weights), rows):
        chunk = np.asarray(weights[start : start + rows], np.float64)
        if not (np.isfinite(chunk) & (chunk >= 0)).all():
            raise ValueError("weights must be finite and not negative")
        yield chunk


def limits(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles (1 - level) / 2 and (1 + level) / 2 over the first axis of values [R, ...].

    Raises:
        ValueError: the level is not above 0 and below 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: must lie above 0 and below 1")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _curve(kind: Kind, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> Curve:
    labels, scores = binary_cases(labels, scores)
    counts = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    for _ in row_chunks(counts[None], len(labels)):
        there = counts > 0
    labels, scores, counts = labels[there], scores[there], counts[there]
    empty = np.zeros(0)
    if not np.isfinite(scores).all():
        return Curve(kind, empty, empty, empty, "some scores are not finite numbers")
    order, ends = _order(scores)
    hits, alarms = (rows[0] for rows in _cumulated(labels[order], counts[None, order], ends))
    missing = _missing(kind, hits, alarms)
    if missing:
        return Curve(kind, empty, empty, empty, missing)
    thresholds = scores[order][ends]
    if kind == "roc":
        thresholds = np.concatenate([[np.inf], thresholds])
    return Curve(kind, *_rates(kind, hits, alarms), thresholds)


def _order(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cases from the highest score to the lowest, and where each distinct score ends in that order."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(scores) else order
    return order, ends


def _cumulated(positive: np.ndarray, weights: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive and negative weight [R, P] at or above each distinct score."""
    return (
        np.cumsum(weights * positive, axis=1)[:, ends],
        np.cumsum(weights * ~positive, axis=1)[:, ends],
    )


def _missing(kind: Kind, hits: np.ndarray, alarms: np.ndarray) -> str:
    if not len(hits):
        return "no cases"
    if hits[-1] == 0:
        return "no positive case"
    return "no negative case" if kind == "roc" and alarms[-1] == 0 else ""


def _rates(kind: Kind, hits: np.ndarray, alarms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if kind == "roc":
        return np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1])
    called = hits + alarms
    return hits / hits[-1], np.divide(hits, called, out=np.ones_like(hits), where=called > 0)


def _height(kind: Kind, x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    if kind == "roc":
        # Among points at one place np.interp takes the last: the upper end of an upright stretch.
        return np.interp(np.asarray(grid) + NUDGE, x, y)
    return y[np.searchsorted(x, np.maximum(np.asarray(grid) - NUDGE, NUDGE))]


def _band(heights: Sequence[np.ndarray], grid: np.ndarray, level: float, undefined: int, reason: str) -> Band:
    if not heights:
        empty = np.zeros(0)
        return Band(grid, empty, None, empty, empty, level, 0, undefined, reason)
    values = np.stack(heights)
    low, high = limits(values, level)
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else None
    return Band(grid, values.mean(axis=0), sd, low, high, level, len(values), undefined)
