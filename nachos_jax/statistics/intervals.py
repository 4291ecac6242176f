"""Intervals for a cross-validated metric: corrected t over outer folds, Bayle's, influence curve of AUC.

Each function says what its unit is, and gives the reason instead of numbers where it is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

FEWEST_FOLDS = 3
"""Outer folds below which no interval over folds is given."""
FEWEST_SUBJECTS = 10
"""Subjects below which no interval over subjects is given."""
FEW_SUBJECTS = 30
"""Subjects below which an interval over subjects is said to be too narrow."""

Bounds = tuple[float, float]
UNBOUNDED: Bounds = (-math.inf, math.inf)
SHARE: Bounds = (0.0, 1.0)


@dataclass(frozen=True)
class Interval:
    """A confidence interval, or the reason why there is none."""

    method: str  # key for files, e.g. "corrected_t".
    label: str  # name for people
    unit: str  # what was counted as independent: "outer folds", "subjects" or "cases"
    count: int  # how many of these
    level: float  # nominal coverage, e.g. 0.95.
    estimate: float | None  # the number in question; None when it is undefined itself
    low: float | None  # lower end; None when undefined
    high: float | None  # upper end; None when undefined
    note: str = ""  # the reason when undefined, else a qualification; empty when there is nothing to say


@dataclass(frozen=True)
class Kind:
    """What an interval is, before its numbers; fields as in `Interval`."""

    method: str
    label: str
    unit: str
    count: int
    level: float

    def undefined(self, reason: str, estimate: float | None = None) -> Interval:
        """No interval, and why."""
        return Interval(**vars(self), estimate=estimate, low=None, high=None, note=reason)

    def around(
        self, estimate: float, ends: Sequence[float] | np.ndarray, bounds: Bounds = UNBOUNDED, note: str = ""
    ) -> Interval:
        """The interval, its ends cut at the metric's bounds, which the note then says."""
        low, high = max(float(ends[0]), bounds[0]), min(float(ends[1]), bounds[1])
        passed = (low > float(ends[0]), high < float(ends[1]))
        cut = " and ".join(f"{bound:g}" for bound, beyond in zip(bounds, passed, strict=True) if beyond)
        told = "; ".join(text for text in (note, cut and f"cut at {cut}, the metric's bound") if text)
        return Interval(**vars(self), estimate=float(estimate), low=low, high=high, note=told)


def corrected_t(
    values: Sequence[float | None],
    folds: int,
    level: float = 0.95,
    *,
    bounds: Bounds = UNBOUNDED,
    ratio: float | None = None,
    scale: Literal["metric", "logit", "inside"] = "metric",
) -> Interval:
    """Corrected resampled t interval over J scores of R repeats of K outer folds: the headline.

    SE^2 = (1/J + n_test/n_train) s^2 with J - 1 degrees of freedom (Nadeau and Bengio, 2003, Machine
    Learning 52, the "corrected resampled t"); s^2 is the sample variance of the scores. For K folds
    n_test/n_train = 1/(K - 1), so SE is 1.50 (K = 5) or 1.45 (K = 10) times the descriptive SE.

    Unit: outer folds. Target: the expected performance of the procedure at n (K - 1)/K cases.
    Assumes: scores exchangeable over folds, about normal, and correlated by n_test / (n_test + n_train).
    It was derived for random splits; for K folds it is a heuristic, a good one in comparisons
    (Schulz-Kuempel et al., 2024), and in `benchmarks/statistics` rather too wide for a stable learner. Do
    not use it for folds that are sites: s^2 then measures sites.

    The logit scale takes the interval of logit(mean) with the SE of the delta method and turns its ends
    back. It stays inside the bounds, also where some folds score 1, for which logits of single scores would
    not exist. It is not the default, because the plain interval is the one published and compared; ends cut
    at a bound are said in the note. "inside" takes it where the plain interval would leave finite bounds:
    near 1 the plain one then covers too rarely (0.93 at AUC 0.989, the logit scale 0.98 to 0.99).

    Args:
        values: R K scores in any order; None where a fold's is undefined. These are left out, said in the
            note; J is the number of the others.
        folds: K, the outer folds of one repeat.
        level: nominal coverage.
        bounds: smallest and largest value of the metric; ends cut at one are said in the note.
        ratio: n_test / n_train, the mean over folds where these differ; default 1 / (K - 1).
        scale: where the interval is symmetric; "inside": on the metric's own where that stays in its bounds.

    Raises:
        ValueError: the logit scale was asked for without finite bounds.
    """
    defined = np.array([value for value in values if value is not None], np.float64)
    kind = Kind("corrected_t", "Corrected t (Nadeau and Bengio)", "outer folds", len(defined), level)
    if scale == "logit" and not np.isfinite(bounds).all():
        raise ValueError(f"bounds {bounds}: the logit scale needs finite ones")
    missing = len(values) - len(defined)
    skipped = f"{missing} of {len(values)} outer folds undefined and left out" if missing else ""
    mean = float(defined.mean()) if len(defined) else None
    reason = _no_spread_over_folds(defined, folds)
    if mean is None or reason:
        return kind.undefined("; ".join(filter(None, (reason, skipped))), mean)
    share = 1 / (folds - 1) if ratio is None else ratio
    se = math.sqrt((1 / len(defined) + share) * defined.var(ddof=1))
    half = float(special.stdtrit(len(defined) - 1, (1 + level) / 2)) * se
    beyond = mean - half < bounds[0] or mean + half > bounds[1]
    if scale == "logit":
        return _on_logit_scale(kind, mean, half, bounds, skipped)
    if scale == "inside" and beyond and np.isfinite(bounds).all() and bounds[0] < mean < bounds[1]:
        told = f"the plain one, {mean - half:.3f} to {mean + half:.3f}, would leave the metric's range"
        return _on_logit_scale(kind, mean, half, bounds, "; ".join(filter(None, (told, skipped))))
    return kind.around(mean, (mean - half, mean + half), bounds, skipped)


def _on_logit_scale(kind: Kind, mean: float, half: float, bounds: Bounds, note: str) -> Interval:
    """mean +- half to first order, symmetric in the logit of the mean."""
    kind = replace(kind, method="corrected_t_logit", label="Corrected t on the logit scale")
    if not bounds[0] < mean < bounds[1]:
        return kind.undefined("the mean lies on the metric's bound: its logit is infinite", mean)
    width = bounds[1] - bounds[0]
    part = (mean - bounds[0]) / width
    slope = 1 / (width * part * (1 - part))
    ends = special.expit(special.logit(part) + slope * half * np.array([-1.0, 1.0]))
    return kind.around(mean, bounds[0] + width * ends, bounds, note)


def prediction_t(values: Sequence[float], level: float = 0.95, bounds: Bounds = UNBOUNDED) -> Interval:
    """Prediction interval for the score of one further site, by the scores of J folds that each are a site.

    Mean +- t(J - 1) s sqrt(1 + 1/J), as for one further draw from a normal distribution. Unit: outer folds.
    Assumes that sites are drawn from one population of sites.

    Args:
        values: the sites' scores.
        level: nominal coverage.
        bounds: smallest and largest value of the metric.
    """
    defined = np.array(values, np.float64)
    kind = Kind("prediction_t", "A further site, t prediction", "outer folds", len(defined), level)
    mean = float(defined.mean()) if len(defined) else None
    reason = _no_spread_over_folds(defined, max(len(defined), FEWEST_FOLDS))
    if reason or mean is None:
        return kind.undefined(reason, mean)
    spread = math.sqrt((1 + 1 / len(defined)) * defined.var(ddof=1))
    half = float(special.stdtrit(len(defined) - 1, (1 + level) / 2)) * spread
    return kind.around(mean, (mean - half, mean + half), bounds)


def _no_spread_over_folds(defined: np.ndarray, folds: int) -> str:
    if not len(defined):
        return "undefined in every outer fold"
    if folds < FEWEST_FOLDS:
        return f"{folds} outer folds: an interval needs at least {FEWEST_FOLDS}"
    if len(defined) < FEWEST_FOLDS:
        return f"defined in {len(defined)} outer folds: an interval needs at least {FEWEST_FOLDS}"
    if np.ptp(defined) <= 1e-12 * max(1.0, float(np.abs(defined).max())):
        return "the same value in all outer folds: their spread tells nothing"
    return ""


def cluster_variance(residuals: np.ndarray, subjects: np.ndarray) -> float:
    """Variance of a sum of residuals [N] with mean 0 that are independent between subjects [N] only.

    G / (G - 1) times the sum over G subjects of (the sum of a subject's residuals)^2; with one case a
    subject this is N times the sample variance (Liang and Zeger, 1986, with the usual factor for few
    clusters).
    """
    groups, index = np.unique(subjects, return_inverse=True)
    sums = np.bincount(index, weights=residuals)
    return float(np.sum(sums**2) * len(groups) / (len(groups) - 1))


def bayle(
    values: np.ndarray, subjects: np.ndarray, level: float = 0.95, bounds: Bounds = UNBOUNDED
) -> Interval:
    """Central limit theorem for cross-validation: the mean of N out-of-fold losses, normal.

    SE^2 = s^2 / N with s^2 the sample variance of all losses around their mean, the "all-pairs" estimator
    (Bayle, Bayle, Janson and Mackey, 2020, arXiv 2007.12671); with several cases a subject, the sum over
    subjects of (the sum of a subject's residuals)^2 takes the place of N s^2.

    Unit: subjects. Target: the mean true performance of these K models, weighted by the cases of their
    folds, not that of the procedure on other training cases. Assumes an additive metric (accuracy, Brier,
    log loss) and a stable learner: deep networks are not known to be. Do not use it to claim what training
    anew would give, nor for AUC or F1.

    Args:
        values: [N] loss of each out-of-fold prediction (or 0 and 1 for accuracy).
        subjects: [N] subject of each case.
        level: nominal coverage.
        bounds: smallest and largest value of the metric.
    """
    values = np.asarray(values, np.float64)
    count = len(np.unique(subjects))
    kind = Kind("bayle", "CLT for cross-validation (Bayle et al.)", "subjects", count, level)
    if not len(values) or not np.isfinite(values).all():
        return kind.undefined("no cases" if not len(values) else "some losses are not finite numbers")
    mean = float(values.mean())
    if count < FEWEST_SUBJECTS:
        return kind.undefined(too_few(count), mean)
    if np.ptp(values) == 0:
        return kind.undefined("the same loss for all cases: their spread tells nothing", mean)
    variance = cluster_variance(values - mean, subjects)
    if variance <= 1e-12 * float(np.sum((values - mean) ** 2)):
        return kind.undefined("the same mean loss for all subjects: their spread tells nothing", mean)
    se = math.sqrt(variance) / len(values)
    return kind.around(mean, normal_ends(mean, se, level), bounds, narrow(count))


def auc_influence(
    labels: np.ndarray, scores: np.ndarray, folds: np.ndarray, subjects: np.ndarray, level: float = 0.95
) -> Interval:
    """Influence-curve interval of the mean of per-fold AUCs, two classes.

    A case with score s in fold v has the influence (F0_v(s) - AUC_v) / n1_v when positive and
    (1 - F1_v(s) - AUC_v) / n0_v when negative, where F0_v(s) is the share of the fold's negative cases
    below s and 1 - F1_v(s) that of its positive ones above, ties half. SE^2 = sum of squares / K^2
    (LeDell, Petersen and van der Laan, 2015, Electronic Journal of Statistics 9, with the fold's own class
    counts in place of those of all cases: the same in stratified folds of one size); influences of a
    subject's cases are summed first. For one fold it is DeLong's variance (1988) but for the factors
    n1 / (n1 - 1) and n0 / (n0 - 1).

    Unit: subjects. Target: the mean true AUC of these K models. Assumes independent subjects and folds
    of some size: with few positive cases in a fold the normal distribution is a poor fit, and a class with a
    single case has no influence at all, so there is then no interval. Do not use it near AUC 1, and never on
    scores pooled over folds: different models' scores do not compare.

    Args:
        labels: [N], 1 for the positive class, 0 else.
        scores: [N] float, higher for positive.
        folds: [N] outer fold of each case.
        subjects: [N] subject of each case.
        level: nominal coverage.

    Raises:
        ValueError: a label is neither 0 nor 1.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    count, numbers = len(np.unique(subjects)), np.unique(folds)
    kind = Kind("auc_influence", "Influence curve of the mean AUC (LeDell et al.)", "subjects", count, level)
    if not np.isfinite(scores).all():
        return kind.undefined("some scores are not finite numbers")
    influence, areas = np.zeros(len(labels)), []
    for number in numbers:
        rows = np.flatnonzero(folds == number)
        if np.ptp(labels[rows]) == 0:
            return kind.undefined(f"outer fold {number} holds one class only")
        if np.bincount(labels[rows].astype(np.int64), minlength=2).min() < 2:
            return kind.undefined(
                f"outer fold {number} holds a single case of a class: its spread is not known"
            )
        area, influence[rows] = _auc_of_fold(labels[rows] == 1, scores[rows])
        areas.append(area)
    mean = float(np.mean(areas)) if areas else None
    if mean is None or count < FEWEST_SUBJECTS:
        return kind.undefined(too_few(count), mean)
    if not np.any(influence):
        return kind.undefined("the classes are separated perfectly: the variance would be zero", mean)
    _, index = np.unique(subjects, return_inverse=True)
    sums = np.bincount(index, weights=influence) / len(numbers)
    rarer = min(len(np.unique(np.asarray(subjects)[labels == c])) for c in (0, 1))
    note = narrow(rarer, " of the rarer class")
    return kind.around(mean, normal_ends(mean, float(np.sqrt(np.sum(sums**2))), level), SHARE, note)


def _auc_of_fold(positive: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """AUC, and [N] the influence of each case on it."""
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    wins = np.empty(len(scores))
    ends = [np.searchsorted(below, scores[positive], side=side) for side in ("left", "right")]
    wins[positive] = (ends[0] + ends[1]) / 2 / len(below)
    ends = [np.searchsorted(above, scores[~positive], side=side) for side in ("left", "right")]
    wins[~positive] = 1 - (ends[0] + ends[1]) / 2 / len(above)
    area = float(wins[positive].mean())
    return area, (wins - area) / np.where(positive, len(above), len(below))


def too_few(subjects: int) -> str:
    """Why there is no interval over so few subjects."""
    return f"{subjects} subjects: an interval over subjects needs at least {FEWEST_SUBJECTS}"


def narrow(subjects: int, which: str = "") -> str:
    """What to say of few subjects; empty when there are enough."""
    return f"{subjects} subjects{which}: likely too narrow" if subjects < FEW_SUBJECTS else ""


def normal_ends(mean: float, se: float, level: float) -> tuple[float, float]:
    """Ends of a normal interval."""
    z = float(special.ndtri((1 + level) / 2))
    return mean - z * se, mean + z * se
