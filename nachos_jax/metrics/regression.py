"""Regression metrics of one set of cases, one number a case: pure NumPy, in the unit of the target.

Every metric is one function of weights [R, N]; `evaluate` weighs each case once. What a set of cases cannot
define (no spread, predictions that are not numbers) is None with the reason in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nachos_jax.metrics.contract import CORRELATION, NOT_NEGATIVE, Losses, Metric, find, quiet
from nachos_jax.metrics.value import Value

Function = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(truth [N], predicted [N], weights [R, N]) -> [R], NaN where undefined."""


def evaluate(name: str, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Value:
    """A metric of N cases, or None with the reason; see `contract.Metrics`.

    Args:
        name: key of `METRICS`.
        truth: [N] float, the targets.
        predicted: [N] float, in the same unit.
        names: the name of the target, alone, for the notes.
    """
    find(METRICS, name)
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if truth.ndim != 1 or truth.shape != predicted.shape or len(names) != 1:
        raise ValueError(
            f"targets {truth.shape}, predictions {predicted.shape} and {len(names)} names: "
            "(cases,), (cases,) and 1 expected"
        )
    if not np.isfinite(truth).all():
        raise ValueError(f"{names[0]} is no finite number in {int((~np.isfinite(truth)).sum())} cases")
    if len(truth) == 0:
        return Value(None, "no cases")
    broken = int((~np.isfinite(predicted)).sum())
    if broken:
        return Value(None, f"predictions of {broken} of {len(truth)} cases are not numbers")
    value = float(weighted(name, truth, predicted, np.ones((1, len(truth))))[0])
    if not math.isnan(value):
        return Value(value)
    if name in ("r2", "pearson", "ccc") and np.ptp(truth) == 0:
        return Value(None, f"all cases have the same {names[0]}")
    if name == "pearson" and np.ptp(predicted) == 0:
        return Value(None, "all predictions are the same")
    return Value(None, "the numbers are too large or too small to be squared")


def weighted(name: str, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A metric under weights [R, N] -> [R] float64, NaN where undefined; see `contract.Metrics`."""
    find(METRICS, name)
    if not np.isfinite(predicted).all() or not len(truth):
        return np.full(len(weights), np.nan)
    with np.errstate(over="ignore"):  # what is beyond the largest float64 is undefined
        values = quiet(FUNCTIONS[name], truth, predicted, weights)
    return np.where(np.isfinite(values), values, np.nan)


resampled = weighted
"""Nothing that a value is a mean over can be lost: see `contract.Metrics.resampled`."""


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[R] weighted means of values [N] or [R, N]."""
    total = weights @ values if values.ndim == 1 else np.einsum("rn,rn->r", weights, values)
    return total / weights.sum(axis=1)


def _deviations(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[R, N] values less their weighted means; NaN where all cases with weight have the same value."""
    there = weights > 0
    high = np.max(np.where(there, values, -math.inf), axis=1)
    low = np.min(np.where(there, values, math.inf), axis=1)
    deviations = values - _mean(values, weights)[:, None]
    return np.where((high > low)[:, None], deviations, np.nan)


def absolute_errors(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """[N] distance of each prediction from the target, in its unit."""
    return np.abs(predicted - truth)


def squared_errors(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """[N] its square."""
    return (predicted - truth) ** 2


def _mse(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _mean(squared_errors(truth, predicted), weights)


def _median_error(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median of the absolute errors, midway between the two middle ones of an even number of cases."""
    errors = absolute_errors(truth, predicted)
    order = np.argsort(errors, kind="stable")
    up_to = np.cumsum(weights[:, order], axis=1)
    count = up_to[:, -1]
    middle = [np.sum(up_to <= np.floor(place)[:, None], axis=1) for place in ((count - 1) / 2, count / 2)]
    ranked = np.append(errors[order], np.nan)  # no weight at all points behind the last
    return (ranked[middle[0]] + ranked[middle[1]]) / 2


def _r2(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficient of determination: 1 less mean squared error over the variance of the targets."""
    return 1 - _mse(truth, predicted, weights) / _mean(_deviations(truth, weights) ** 2, weights)


def _pearson(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Product-moment correlation (Pearson, 1895): blind to shift and scale, so never alone."""
    a, b = _deviations(truth, weights), _deviations(predicted, weights)
    spread = np.sqrt(_mean(a**2, weights)) * np.sqrt(_mean(b**2, weights))
    return np.clip(_mean(a * b, weights) / spread, -1, 1)


def _ccc(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Concordance correlation (Lin, 1989, Biometrics 45), with variances over N: agreement with y = x.

    2 cov / (var(truth) + var(predicted) + (mean difference)^2); 0 when predictions never vary.
    """
    shift = _mean(predicted, weights) - _mean(truth, weights)
    a = _deviations(truth, weights)
    b = predicted - _mean(predicted, weights)[:, None]
    spread = _mean(a**2, weights) + _mean(b**2, weights) + shift**2
    return np.clip(2 * _mean(a * b, weights) / spread, -1, 1)


FUNCTIONS: Mapping[str, Function] = {
    "mae": lambda truth, predicted, weights: _mean(absolute_errors(truth, predicted), weights),
    "rmse": lambda *given: np.sqrt(_mse(*given)),
    "mse": _mse,
    "median_absolute_error": _median_error,
    "r2": _r2,
    "pearson": _pearson,
    "ccc": _ccc,
}
"""The metrics under weights."""


HEADLINE: str = "mae"
SHOWN: tuple[str, ...] = ("mae", "rmse", "r2", "pearson", "ccc")
"""Metrics of the tables, beside the one that trials were selected by."""
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mae", "Mean absolute error", False, NOT_NEGATIVE, in_unit=True),
        Metric("rmse", "Root mean squared error", False, NOT_NEGATIVE, in_unit=True),
        Metric("mse", "Mean squared error", False, NOT_NEGATIVE, in_unit=True),
        Metric("median_absolute_error", "Median absolute error", False, NOT_NEGATIVE, in_unit=True),
        Metric("r2", "R²", True, (-math.inf, 1.0)),
        Metric("pearson", "Pearson correlation", True, CORRELATION),
        Metric("ccc", "Concordance correlation", True, CORRELATION),
    )
}
"""The metrics by name."""
ADDITIVE: Mapping[str, Losses] = {"mae": absolute_errors, "mse": squared_errors}
"""Metrics that are means over cases: of these [N]."""
