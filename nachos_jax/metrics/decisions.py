"""From scores to decisions: choosing a threshold, what it does, and the net benefit of acting on it.

A case is called positive when its score is at least the threshold.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics.curves import binary_cases, limits, row_chunks
from nachos_jax.metrics.value import Value, share

CURE = (
    'write "youden", "sensitivity(0.95)", "specificity(0.9)" or "cost(1, 5)" (of a false positive, negative)'
)

ROUNDING = 1e-9
"""A target of 0.9 of 10 cases asks for 9 of them, whatever 0.9 * 10 is in floating point."""


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen.

    Attributes:
        name: "youden", "sensitivity", "specificity" or "cost".
        numbers: nothing; the target, above 0 and at most 1; or the costs of one false positive and of
            one false negative, both above 0.
    """

    name: str
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What a threshold does to a set of cases."""

    threshold: float  # cases with at least this score are called positive
    tp: int  # true positives, a count of cases
    fp: int  # false positives
    fn: int  # false negatives
    tn: int  # true negatives
    sensitivity: Value  # tp / (tp + fn)
    specificity: Value  # tn / (tn + fp)
    ppv: Value  # positive predictive value tp / (tp + fp); holds at the prevalence of these cases only
    npv: Value  # negative predictive value tn / (tn + fn); likewise
    accuracy: Value  # (tp + tn) / all cases; likewise


@dataclass(frozen=True)
class NetBenefit:
    """Decision curves over T thresholds: true positives per case after subtracting the harm."""

    model: np.ndarray  # [T] acting on cases whose predicted probability is at least the threshold
    low: np.ndarray  # [T] pointwise quantile of the same over replicates
    high: np.ndarray  # [T] likewise
    treat_all: np.ndarray  # [T] acting on every case


def parse_rule(text: str) -> Rule:
    """Reads a threshold rule: "youden", "sensitivity(0.95)", "specificity(0.9)" or "cost(fp, fn)".

    Raises:
        UsageError: the text is none of these, or a number is out of range.
    """
    found = re.fullmatch(r"\s*([a-z]+)\s*(?:\(([^()]*)\))?\s*", text)
    wanted = {"youden": 0, "sensitivity": 1, "specificity": 1, "cost": 2}
    if not found or found[1] not in wanted:
        raise UsageError(f"threshold rule {text!r} is none that exists: {CURE}.")
    name, parts = found[1], found[2].split(",") if found[2] is not None else []
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError as error:
        raise UsageError(f"threshold rule {text!r} holds something that is no number: {CURE}.") from error
    if len(numbers) != wanted[name]:
        raise UsageError(f"threshold rule {text!r} needs {wanted[name]} numbers, not {len(numbers)}: {CURE}.")
    if wanted[name] == 1 and not 0 < numbers[0] <= 1:
        raise UsageError(f"threshold rule {text!r}: the target must be above 0 and at most 1; {CURE}.")
    if name == "cost" and not all(math.isfinite(cost) and cost > 0 for cost in numbers):
        raise UsageError(f"threshold rule {text!r}: both costs must be finite and above 0; {CURE}.")
    return Rule(name, numbers)


def choose(rule: Rule, labels: np.ndarray, scores: np.ndarray) -> Value:
    """Threshold that a rule picks on a set of cases; choose on other cases than those reported on.

    Candidates lie midway between neighbouring distinct scores, as the scores say nothing of where
    between them to cut; besides, the lowest score (every case positive) and the next number above the
    highest (no case positive). Rules:
        youden: largest sensitivity + specificity - 1 (Youden, 1950, Cancer 3).
        sensitivity(s): highest threshold whose sensitivity is at least s.
        specificity(s): lowest threshold whose specificity is at least s.
        cost(fp, fn): smallest fp * false positives + fn * false negatives (Metz, 1978, Seminars in
            Nuclear Medicine 8), at the prevalence of these cases.
    Among equals the lowest threshold, the most sensitive. A target of 0.95 met here is met on new cases
    only about: with few cases of the class far from it.

    Args:
        rule: see `parse_rule`.
        labels: [N] bool, True for positive cases.
        scores: [N] float, higher means more likely positive.

    Returns:
        The threshold; None when a class is missing, a score is no finite number, or the target is
        reached only by calling every case, or no case, positive. A note when the best of youden or cost is
        to call all cases alike.

    Raises:
        ValueError: shapes do not fit together.
    """
    labels, scores = binary_cases(labels, scores)
    if not np.isfinite(scores).all():
        return Value(None, "some scores are not finite numbers")
    if labels.all() or not labels.any():
        return Value(None, f"no {'negative' if len(labels) and labels.all() else 'positive'} case")
    thresholds = _candidates(scores)
    tp, fp = _called(labels, scores, thresholds)
    positives, negatives = tp[0], fp[0]
    if rule.name == "sensitivity":
        best = int(np.flatnonzero(tp >= rule.numbers[0] * positives - ROUNDING)[-1])
    elif rule.name == "specificity":
        best = int(np.flatnonzero(negatives - fp >= rule.numbers[0] * negatives - ROUNDING)[0])
    elif rule.name == "youden":
        # Whole numbers, so that equals are exactly equal.
        best = int(np.argmax(tp * negatives - fp * positives))
    else:
        cost_fp, cost_fn = rule.numbers
        best = int(np.argmin(cost_fp * fp + cost_fn * (positives - tp)))
    alike = {0: "every case", len(thresholds) - 1: "no case"}.get(best)
    if alike and rule.name in ("sensitivity", "specificity"):
        return Value(None, f"{rule.name} {rule.numbers[0]:g} is reached only by calling {alike} positive")
    return Value(float(thresholds[best]), f"no better than calling {alike} positive" if alike else "")


def applied(threshold: float, labels: np.ndarray, scores: np.ndarray) -> Decision:
    """Counts and rates of the decisions that a threshold makes.

    Args:
        threshold: cases with at least this score are called positive.
        labels: [N] bool, True for positive cases.
        scores: [N] float.

    Returns:
        Each rate is None with the reason where no case enters it.

    Raises:
        ValueError: shapes do not fit together, or the threshold or a score is not a number.
    """
    labels, scores = binary_cases(labels, scores)
    if math.isnan(threshold) or np.isnan(scores).any():
        raise ValueError("threshold and scores must be numbers to be compared")
    called = scores >= threshold
    tp, fp = int((called & labels).sum()), int((called & ~labels).sum())
    fn, tn = int((~called & labels).sum()), int((~called & ~labels).sum())
    return Decision(
        *(threshold, tp, fp, fn, tn),
        sensitivity=share(tp, tp + fn, "no positive case"),
        specificity=share(tn, tn + fp, "no negative case"),
        ppv=share(tp, tp + fp, "no case called positive"),
        npv=share(tn, tn + fn, "no case called negative"),
        accuracy=share(tp + tn, len(labels), "no cases"),
    )


def net_benefit(
    labels: np.ndarray,
    probabilities: np.ndarray,
    thresholds: np.ndarray,
    weights: np.ndarray,
    level: float = 0.95,
) -> NetBenefit:
    """Decision curve analysis: net benefit tp / N - fp / N * t / (1 - t) at threshold probability t.

    Source: Vickers and Elkin (2006), Medical Decision Making 26. The odds t / (1 - t) are what a false
    positive costs in units of the gain of a true positive. Assumes calibrated probabilities and the
    prevalence of the target population: not for case-control data. Look only at thresholds at which
    someone would act.

    Args:
        labels: [N] bool, True for positive cases.
        probabilities: [N] float, predicted probability of being positive.
        thresholds: [T] threshold probabilities, at least 0 and below 1.
        weights: [R, N] >= 0, how often each case counts in each replicate.
        level: share of the replicates inside the band at any one threshold.

    Raises:
        ValueError: shapes do not fit together, or probabilities or thresholds are out of range.
    """
    labels, probabilities = binary_cases(labels, probabilities)
    thresholds = np.asarray(thresholds, np.float64)
    if not ((thresholds >= 0) & (thresholds < 1)).all():
        raise ValueError("threshold probabilities must be at least 0 and below 1")
    if not ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all():
        raise ValueError("predicted probabilities must lie between 0 and 1")
    model = _benefits(labels, probabilities, thresholds, np.ones((1, len(labels))))[0]
    prevalence = labels.mean()
    everyone = prevalence - (1 - prevalence) * thresholds / (1 - thresholds)
    replicates = _benefits(labels, probabilities, thresholds, weights)
    return NetBenefit(model, *limits(replicates, level), everyone)


def _candidates(scores: np.ndarray) -> np.ndarray:
    """Thresholds in rising order, one more than there are distinct scores."""
    levels = np.unique(scores)
    middle = levels[:-1] + np.diff(levels) / 2
    # Between two neighbouring floating-point numbers lies none: the upper one parts them as well.
    middle = np.where(middle > levels[:-1], middle, levels[1:])
    return np.concatenate([levels[:1], middle, [np.nextafter(levels[-1], np.inf)]])


def _called(labels: np.ndarray, scores: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers [T] of positive and of negative cases at or above each threshold, int64."""
    positive, negative = np.sort(scores[labels]), np.sort(scores[~labels])
    below = np.searchsorted(positive, thresholds), np.searchsorted(negative, thresholds)
    return len(positive) - below[0], len(negative) - below[1]


def _benefits(
    labels: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Net benefit [R, T] of the model, over replicates that hold a case."""
    order = np.argsort(-probabilities, kind="stable")
    positive = labels[order]
    called = np.searchsorted(-probabilities[order], -thresholds, side="right")
    harm = thresholds / (1 - thresholds)
    models = []
    for chunk in row_chunks(weights):
        rows = chunk[chunk.sum(axis=1) > 0][:, order]
        total = rows.sum(axis=1, keepdims=True)
        hits, alarms = (_first(rows * kind, called) / total for kind in (positive, ~positive))
        models.append(hits - alarms * harm)
    return np.concatenate(models)


def _first(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[R, T] sums over the first `counts` [T] columns."""
    return np.where(counts > 0, np.cumsum(rows, axis=1)[:, counts - 1], 0.0)
