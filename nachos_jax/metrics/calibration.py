"""Whether predicted probabilities come true: reliability, the Brier score's parts, recalibration.

All but the temperature look at one event of two outcomes: "the case is of this class", or "the
predicted class is right". For many classes the caller takes one at a time.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from nachos_jax.metrics.curves import binary_cases, limits, row_chunks
from nachos_jax.metrics.value import Value

ECE_BINS = 15
"""Bins of the expected calibration error, as Guo et al. (2017) have."""

EDGE = 2.0**-24
"""Predictions nearer to 0 or 1 have no log-odds in float32, whose last step below 1 is twice this."""

CONVERGED = 1e-12
"""A logistic fit ends where its mean gradient, of predictors scaled to a variance of 1, is no larger."""

DOUBLINGS = 60.0
"""Beyond a factor of 2^60 on logits scaled to 1 a minimum cannot be told from the limit T -> 0."""


@dataclass(frozen=True)
class Reliability:
    """Observed against predicted share in M bins that hold cases, from low predictions to high."""

    count: np.ndarray  # [M] int64 number of cases
    predicted: np.ndarray  # [M] mean predicted probability
    observed: np.ndarray  # [M] share of cases in which the event occurred
    low: np.ndarray  # [M] pointwise quantile (1 - level) / 2 over replicates; NaN where none holds a case
    high: np.ndarray  # [M] quantile (1 + level) / 2, likewise


@dataclass(frozen=True)
class BrierParts:
    """brier = reliability - resolution + uncertainty + within_variance - within_covariance."""

    brier: float  # mean squared distance of prediction and outcome, 0 (best) to 1
    reliability: float  # mean squared distance of a bin's mean prediction and observed share; 0 is best
    resolution: float  # mean squared distance of a bin's observed share and the overall one; high is best
    uncertainty: float  # variance of the outcome, o (1 - o): of the cases, not of the predictions
    within_variance: float  # variance of the predictions within bins
    within_covariance: float  # twice the covariance of prediction and outcome within bins


@dataclass(frozen=True)
class Recalibration:
    """Logistic recalibration, in log-odds."""

    in_the_large: Value  # intercept with the slope held at 1: above 0 when predictions are too low
    intercept: Value  # fitted together with the slope
    slope: Value  # 1 is best; below 1 predictions are too extreme, above 1 not extreme enough


def equal_mass_bins(values: np.ndarray, bins: int) -> np.ndarray:
    """Bin number [N], 0 to bins - 1, of values [N], such that bins hold about equally many cases.

    Equal values are never parted: all of them go where the middle of their ranks lies, so bins can
    be of unequal size, and empty, when there are ties or fewer cases than bins. Neither the order
    of the cases nor counting every case twice changes a bin.

    Raises:
        ValueError: fewer than one bin.
    """
    if bins < 1:
        raise ValueError(f"{bins} bins: at least 1 expected")
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    twice_the_middle = 2 * np.cumsum(sizes) - sizes
    return (twice_the_middle * bins // (2 * max(len(values), 1)))[group]


def expected_calibration_error(right: np.ndarray, confidence: np.ndarray, bins: int = ECE_BINS) -> Value:
    """Expected calibration error over equal-mass bins: sum over bins of n_b / N |right_b - confidence_b|.

    Source: Naeini, Cooper and Hauskrecht (2015), AAAI; equal-mass bins after Nguyen and O'Connor
    (2015), EMNLP. 0 (best) to 1. Biased upwards, most for few cases and for well-calibrated models
    (Roelofs et al., 2022, AISTATS): 0 is out of reach with few cases, and sets of different size
    cannot be compared. It says nothing of how well cases are told apart: read it beside the Brier score.

    Args:
        right: [N] bool, whether the predicted class is right.
        confidence: [N] float, probability of the predicted class.
        bins: number of bins; with ties or few cases fewer hold cases (`equal_mass_bins`).
    """
    right, confidence = binary_cases(right, confidence)
    if len(right) == 0:
        return Value(None, "no cases")
    parts = equal_mass_bins(confidence, bins)
    gaps = np.bincount(parts, weights=right) - np.bincount(parts, weights=confidence)
    return Value(float(np.abs(gaps).sum() / len(right)))


def reliability(
    positive: np.ndarray, predicted: np.ndarray, bins: int, weights: np.ndarray, level: float = 0.95
) -> Reliability:
    """Reliability curve over equal-mass bins (DeGroot and Fienberg, 1983, The Statistician 32).

    Ties stay together (`equal_mass_bins`). The limits are percentiles over replicates with the bins
    of the whole set held fixed, so they are limits of these bins' shares. Not for fewer than about
    10 cases a bin.

    Args:
        positive: [N] bool, whether the event occurred.
        predicted: [N] float, its predicted probability.
        bins: at most this many bins.
        weights: [R, N] >= 0, how often each case counts in each replicate.
        level: share of the replicates between low and high.

    Raises:
        ValueError: shapes do not fit together, or predictions outside 0 to 1.
    """
    positive, predicted = _checked(positive, predicted)
    _, parts = np.unique(equal_mass_bins(predicted, bins), return_inverse=True)
    count = np.bincount(parts)
    member = (parts[:, None] == np.arange(len(count))).astype(np.float64)
    chunks = list(row_chunks(weights))
    cases = np.concatenate([chunk @ member for chunk in chunks])
    events = np.concatenate([(chunk * positive) @ member for chunk in chunks])
    low, high = np.full(len(count), np.nan), np.full(len(count), np.nan)
    for b in range(len(count)):
        there = cases[:, b] > 0
        if there.any():
            low[b], high[b] = limits(events[there, b] / cases[there, b], level)
    mean, share = (np.bincount(parts, weights=values) / count for values in (predicted, positive))
    return Reliability(count, mean, share, low, high)


def brier_parts(positive: np.ndarray, predicted: np.ndarray, bins: int = 10) -> BrierParts:
    """The Brier score of one event and its parts over equal-mass bins; they sum up exactly.

    Source: Murphy (1973), Journal of Applied Meteorology 12; the terms within bins, without which the
    three parts of Murphy do not sum up for predictions that differ within a bin, after Stephenson,
    Coelho and Jolliffe (2008), Weather and Forecasting 23, equation 7. The metric `brier` sums over
    all classes, so for two classes it is twice this. Reliability is biased upwards and resolution
    too, for few cases a bin.

    Args:
        positive: [N] bool, whether the event occurred, N > 0.
        predicted: [N] float, its predicted probability.
        bins: at most this many bins.

    Raises:
        ValueError: no cases, shapes do not fit together, or predictions outside 0 to 1.
    """
    positive, predicted = _checked(positive, predicted)
    if len(positive) == 0:
        raise ValueError("no cases: the Brier score has no parts")
    outcome, overall = positive.astype(np.float64), float(positive.mean())
    _, parts = np.unique(equal_mass_bins(predicted, bins), return_inverse=True)
    count = np.bincount(parts)
    observed = (np.bincount(parts, weights=outcome) / count)[parts]
    forecast = (np.bincount(parts, weights=predicted) / count)[parts]
    return BrierParts(
        brier=float(np.mean((predicted - outcome) ** 2)),
        reliability=float(np.mean((forecast - observed) ** 2)),
        resolution=float(np.mean((observed - overall) ** 2)),
        uncertainty=overall * (1 - overall),
        within_variance=float(np.mean((predicted - forecast) ** 2)),
        within_covariance=float(2 * np.mean((outcome - observed) * (predicted - forecast))),
    )


def recalibration(positive: np.ndarray, predicted: np.ndarray) -> Recalibration:
    """Calibration intercept and slope: maximum-likelihood fit of logit P(event) = a + b logit(prediction).

    Source: Cox (1958), Biometrika 45; names and use after Van Calster et al. (2016), Journal of
    Clinical Epidemiology 74. Unit: log-odds (natural logarithm). Predictions beyond 2^-24 of 0 or 1
    count as at that distance, with a note. Undefined with the reason when one outcome is missing, when
    all predictions are equal (the slope) and when the predictions separate the outcomes, for then the
    slope runs to infinity. Assumes independent cases; unstable with fewer than about 200 events and
    200 non-events.

    Args:
        positive: [N] bool, whether the event occurred.
        predicted: [N] float, its predicted probability, 0 to 1.

    Raises:
        ValueError: shapes do not fit together, or predictions outside 0 to 1.
    """
    from scipy.special import logit

    positive, predicted = _checked(positive, predicted)
    reason = _one_outcome(positive)
    if reason:
        return Recalibration(*[Value(None, reason)] * 3)
    clipped = int(((predicted < EDGE) | (predicted > 1 - EDGE)).sum())
    note = f"{clipped} of {len(predicted)} predictions of 0 or 1 moved by 2^-24" if clipped else ""
    log_odds = logit(np.clip(predicted, EDGE, 1 - EDGE))
    in_the_large = Value(_shift(positive, log_odds), note)
    reason = _without_slope(log_odds[positive], log_odds[~positive])
    if reason:
        return Recalibration(in_the_large, Value(None, reason), Value(None, reason))
    fitted = _logistic(positive, log_odds)
    if fitted is None:
        undefined = Value(None, "the logistic fit did not converge: the predictions all but separate")
        return Recalibration(in_the_large, undefined, undefined)
    return Recalibration(in_the_large, *(Value(value, note) for value in fitted))


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> Value:
    """Temperature T > 0 that minimises the mean negative log-likelihood of softmax(logits / T).

    Source: Guo, Pleiss, Sun and Weinberger (2017), ICML. The loss is convex in 1 / T, so its
    derivative, mean over cases of (expected logit - logit of the true class), has one root, which is
    bracketed and found by Brent's method. T above 1 softens; the predicted class never changes.
    Fit it on cases that were not trained on, and never on the test fold.

    Args:
        labels: [N] int class numbers.
        logits: [N, C] float logits, or logarithms of probabilities: softmax does not change when a
            case's logits all shift by one number.

    Returns:
        T, or None with the reason: one class only; a logit that is not finite; every case's true class
        has its largest logit (T -> 0); or logits that on average do not favour the true class
        (T -> infinity).

    Raises:
        ValueError: shapes do not fit together or a label is no class number.
    """
    from scipy.optimize import root_scalar

    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"labels {labels.shape} and logits {logits.shape}: (N,) and (N, C) expected")
    if len(labels) and (labels.min() < 0 or labels.max() >= logits.shape[1]):
        raise ValueError(f"labels {labels.min()} to {labels.max()}: 0 to {logits.shape[1] - 1} expected")
    reason = _without_temperature(labels, logits)
    if reason:
        return Value(None, reason)
    shifted = logits - logits.max(axis=1, keepdims=True)
    scale = -float(shifted.min())
    shifted /= scale
    true = shifted[np.arange(len(labels)), labels]

    def slope(exponent: float) -> float:
        weights = with_temperature(shifted, 2.0**-exponent)
        return float(np.mean((weights * shifted).sum(axis=1) - true))

    if slope(-DOUBLINGS) > 0:
        return Value(None, "the logits do not favour the true class: T would be infinite")
    if slope(DOUBLINGS) < 0:
        return Value(None, "every case's true class all but has its largest logit: T would be 0")
    root = root_scalar(slope, bracket=(-DOUBLINGS, DOUBLINGS), xtol=1e-13).root
    return Value(float(scale * 2.0**-root))


def with_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities softmax(logits / T) [N, C] float64 of logits or log-probabilities [N, C].

    Raises:
        ValueError: T is not a finite number above 0.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature {temperature}: must be a finite number above 0")
    logits = np.asarray(logits, np.float64)
    weights = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return weights / weights.sum(axis=1, keepdims=True)


def _checked(positive: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positive, predicted = binary_cases(positive, predicted)
    # A sum of float32 probabilities can pass 1 by rounding.
    if not ((predicted >= 0) & (predicted <= 1 + 1e-6)).all():
        raise ValueError("predicted probabilities must lie between 0 and 1")
    return positive, predicted


def _one_outcome(positive: np.ndarray) -> str:
    if len(positive) == 0:
        return "no cases"
    if positive.all():
        return "the event occurred in every case"
    return "" if positive.any() else "the event occurred in no case"


def _shift(positive: np.ndarray, log_odds: np.ndarray) -> float:
    """The a for which the mean of sigmoid(a + log-odds) is the observed share."""
    from scipy.optimize import root_scalar
    from scipy.special import expit, logit

    observed = float(positive.mean())
    target = float(logit(observed))
    low, high = target - float(log_odds.max()) - 1e-6, target - float(log_odds.min()) + 1e-6

    def gap(a: float) -> float:
        return float(expit(a + log_odds).mean()) - observed

    return float(root_scalar(gap, bracket=(low, high), xtol=1e-13).root)


def _without_slope(events: np.ndarray, others: np.ndarray) -> str:
    everything = np.concatenate([events, others])
    if everything.min() == everything.max():
        return "all predictions are equal"
    if events.min() >= others.max() or events.max() <= others.min():
        return "the predictions separate the outcomes: the slope would be infinite"
    return ""


def _logistic(outcome: np.ndarray, x: np.ndarray) -> tuple[float, float] | None:
    """Maximum-likelihood (a, b) of P = sigmoid(a + b x); None where the search for it fails."""
    from sklearn.exceptions import ConvergenceWarning  # late: slow to import
    from sklearn.linear_model import LogisticRegression

    centre, spread = float(x.mean()), float(x.std())
    scaled = (x - centre) / spread
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=CONVERGED, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(scaled[:, None], outcome)
    # A start that is the solution already cannot be improved, which the solver warns of like of a failure.
    error = model.predict_proba(scaled[:, None])[:, 1] - outcome
    if max(abs(error.mean()), abs((error * scaled).mean())) > 10 * CONVERGED:
        return None
    b = float(np.asarray(model.coef_)[0, 0]) / spread
    return float(np.asarray(model.intercept_)[0]) - b * centre, b


def _without_temperature(labels: np.ndarray, logits: np.ndarray) -> str:
    if len(labels) == 0:
        return "no cases"
    if len(np.unique(labels)) == 1:
        return "all cases are of one class"
    if not np.isfinite(logits).all():
        return "some logits are not finite numbers"
    true, largest = logits[np.arange(len(labels)), labels], logits.max(axis=1)
    if (logits == largest[:, None]).all():
        return "the logits of each case are all equal"
    if (true == largest).all():
        return "every case's true class has its largest logit: T would be 0"
    if np.mean(logits.mean(axis=1) - true) >= 0:
        return "the logits do not favour the true class: T would be infinite"
    return ""
