"""Calibration against scikit-learn, scipy's optimisers and plain loops."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from nachos_jax.metrics import calibration as c
from nachos_jax.metrics.value import Value


@st.composite
def cases(draw, least=1):
    """Outcomes [N] and predictions [N] with ties, 0 and 1 among them."""
    n = draw(st.integers(least, 50))
    positive = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    levels = draw(st.integers(1, 40))
    predicted = draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))
    return np.array(positive), np.array(predicted) / levels


def drawn(n: int, slope: float = 1.0, shift: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes whose true log-odds are shift + slope * those predicted."""
    draws = np.random.default_rng(seed)
    log_odds = draws.normal(0, 1.5, n)
    return draws.random(n) < special.expit(shift + slope * log_odds), special.expit(log_odds)


@given(data=cases(), bins=st.integers(1, 20), seed=st.integers(0, 99))
def test_bins_hold_equal_mass_and_never_part_equal_values(data, bins, seed):
    _, values = data
    found = c.equal_mass_bins(values, bins)
    order = np.random.default_rng(seed).permutation(len(values))
    np.testing.assert_array_equal(c.equal_mass_bins(values[order], bins), found[order])
    np.testing.assert_array_equal(c.equal_mass_bins(np.tile(values, 2), bins), np.tile(found, 2))
    assert found.min() >= 0
    assert found.max() < bins
    for value in np.unique(values):
        assert len(set(found[values == value])) == 1
    assert (np.diff(found[np.argsort(values, kind="stable")]) >= 0).all()
    # A bin holds at most its share, one case of rounding, and what equal values bring from either side.
    largest_tie = np.bincount(np.unique(values, return_inverse=True)[1]).max()
    assert np.bincount(found).max() <= len(values) / bins + largest_tie


@pytest.mark.parametrize(("n", "bins"), [(100, 10), (90, 15), (24, 3), (7, 7), (50, 1)])
def test_without_ties_the_curve_is_scikit_learns(n, bins):
    positive, predicted = drawn(n, seed=n)
    observed, mean = calibration_curve(positive, predicted, n_bins=bins, strategy="quantile")
    curve = c.reliability(positive, predicted, bins, np.ones((2, n)))
    np.testing.assert_allclose(curve.observed, observed)
    np.testing.assert_allclose(curve.predicted, mean)
    assert set(curve.count) == {n // bins}
    np.testing.assert_allclose(curve.low, observed)


@given(data=cases(), seed=st.integers(0, 99))
def test_reliability_limits_are_quantiles_over_replicates_of_the_same_bins(data, seed):
    positive, predicted = data
    weights = np.random.default_rng(seed).integers(0, 3, (20, len(positive)))
    curve = c.reliability(positive, predicted, 4, weights, level=0.8)
    numbers = c.equal_mass_bins(predicted, 4)
    for b, number in enumerate(np.unique(numbers)):
        members = np.flatnonzero(numbers == number)
        assert curve.count[b] == len(members)
        repeated = [np.repeat(positive[members], row[members]) for row in weights]
        shares = [one.mean() for one in repeated if len(one)]
        if shares:
            assert curve.low[b] == pytest.approx(np.quantile(shares, 0.1))
            assert curve.high[b] == pytest.approx(np.quantile(shares, 0.9))
        else:
            assert np.isnan(curve.low[b])


@given(data=cases(), bins=st.integers(1, 12))
def test_the_parts_of_the_brier_score_sum_up_exactly(data, bins):
    positive, predicted = data
    parts = c.brier_parts(positive, predicted, bins)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert parts.brier == pytest.approx(brier_score_loss(positive, predicted, pos_label=True), abs=1e-12)
    total = parts.reliability - parts.resolution + parts.uncertainty
    total += parts.within_variance - parts.within_covariance
    assert total == pytest.approx(parts.brier, abs=1e-12)
    swapped = c.brier_parts(~positive, 1 - predicted, bins)
    assert swapped.brier == pytest.approx(parts.brier, abs=1e-12)
    assert swapped.uncertainty == pytest.approx(parts.uncertainty, abs=1e-12)


def test_predictions_equal_within_bins_leave_murphys_three_parts():
    positive = np.array([0, 1, 0, 0, 1, 1, 1, 0], bool)
    predicted = np.array([0.2] * 4 + [0.9] * 4)
    parts = c.brier_parts(positive, predicted, 2)
    assert parts.within_variance == pytest.approx(0)
    assert parts.within_covariance == pytest.approx(0)
    assert parts.reliability == pytest.approx((0.05**2 + 0.15**2) / 2)
    assert parts.resolution == pytest.approx(0.25**2)
    assert parts.uncertainty == 0.25
    with pytest.raises(ValueError, match="no cases"):
        c.brier_parts(positive[:0], predicted[:0])


def negative_log_likelihood(parameters, positive, predicted) -> float:
    eta = parameters[0] + parameters[1] * special.logit(predicted)
    return float(np.mean(np.logaddexp(0, eta) - positive * eta))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.4, -1.0), (2.5, 0.7), (-0.5, 0.2)])
def test_recalibration_is_scipys_maximum_of_the_likelihood(slope, shift, seed):
    positive, predicted = drawn(150, slope, shift, seed)
    found = c.recalibration(positive, predicted)
    best = optimize.minimize(negative_log_likelihood, [0, 1], (positive, predicted), tol=1e-10)
    assert found.intercept.value == pytest.approx(best.x[0], abs=1e-4)
    assert found.slope.value == pytest.approx(best.x[1], abs=1e-4)
    alone: Any = optimize.minimize_scalar(
        lambda a: negative_log_likelihood((a, 1.0), positive, predicted), options={"xtol": 1e-10}
    )
    assert found.in_the_large.value == pytest.approx(alone.x, abs=1e-5)
    assert found.slope.note == ""


@pytest.mark.parametrize("positive", [[0, 0, 1, 1, 0, 1], [1, 1, 0, 0, 1, 0], [0, 1, 0, 1, 1, 0]])
def test_predictions_that_say_nothing_have_a_slope_of_0(positive):
    found = c.recalibration(np.array(positive, bool), np.array([0.05] * 4 + [0.95] * 2))
    assert found.slope.value == pytest.approx(0.0, abs=1e-9)
    assert found.intercept.value == pytest.approx(0.0, abs=1e-9)


def test_recalibration_finds_what_was_put_in():
    found = c.recalibration(*drawn(40_000, 0.5, 0.8))
    assert found.slope.value == pytest.approx(0.5, abs=0.05)
    assert found.intercept.value == pytest.approx(0.8, abs=0.05)


@settings(max_examples=40)
@given(data=cases(least=4), seed=st.integers(0, 99))
def test_recalibration_ignores_order_and_mirrors_with_the_classes(data, seed):
    positive, predicted = data
    predicted = 0.05 + 0.9 * predicted
    order = np.random.default_rng(seed).permutation(len(positive))
    first = c.recalibration(positive, predicted)
    other = c.recalibration(positive[order], predicted[order])
    mirrored = c.recalibration(~positive, 1 - predicted)
    for name, sign in (("in_the_large", -1), ("intercept", -1), ("slope", 1)):
        value = getattr(first, name).value
        if value is None:
            assert getattr(other, name) == getattr(first, name)
            assert getattr(mirrored, name).value is None
        else:
            assert getattr(other, name).value == pytest.approx(value, abs=1e-6, rel=1e-6)
            assert getattr(mirrored, name).value == pytest.approx(sign * value, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("positive", "predicted", "reason"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], "separate"),
        ([0, 0, 1, 1], [0.1, 0.3, 0.3, 0.4], "separate"),
        ([0, 0, 1, 1], [0.4, 0.3, 0.3, 0.2], "separate"),
        ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3], "equal"),
    ],
)
def test_a_slope_that_does_not_exist_has_a_reason(positive, predicted, reason):
    found = c.recalibration(np.array(positive, bool), np.array(predicted))
    assert found.slope.value is None
    assert found.intercept.value is None
    assert reason in found.slope.note
    assert found.in_the_large.value is not None


def test_recalibration_of_one_outcome_and_of_certain_predictions():
    predicted = np.array([0.2, 0.7])
    assert c.recalibration(np.ones(2, bool), predicted).slope == Value(
        None, "the event occurred in every case"
    )
    assert c.recalibration(np.zeros(2, bool), predicted).in_the_large.note == "the event occurred in no case"
    assert c.recalibration(np.zeros(0, bool), np.zeros(0)).slope == Value(None, "no cases")
    found = c.recalibration(np.array([1, 0, 1, 0, 1], bool), np.array([1, 0, 0.3, 0.6, 0], np.float32))
    assert found.slope.note == "3 of 5 predictions of 0 or 1 moved by 2^-24"
    with pytest.raises(ValueError, match="between 0 and 1"):
        c.recalibration(np.ones(2, bool), np.array([0.2, 1.7]))
    with pytest.raises(ValueError, match="between 0 and 1"):
        c.recalibration(np.ones(2, bool), np.array([0.2, np.nan]))


@st.composite
def logits(draw):
    n, count = draw(st.integers(2, 25)), draw(st.integers(2, 4))
    labels = np.array(draw(st.lists(st.integers(0, count - 1), min_size=n, max_size=n)))
    draws = np.random.default_rng(draw(st.integers(0, 10_000)))
    signal = draw(st.floats(0, 3))
    return labels, draws.normal(0, 2, (n, count)) + signal * np.eye(count)[labels]


@given(data=logits(), factor=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_temperature_is_the_minimum_of_the_log_loss(data, factor, shift):
    labels, raw = data
    found = c.fit_temperature(labels, raw * factor + shift)
    if found.value is None:
        largest = (raw.argmax(axis=1) == labels).all()
        useless = np.mean(raw.mean(axis=1) - raw[np.arange(len(labels)), labels]) >= -1e-9
        assert largest or useless or len(set(labels)) == 1
        return

    def loss(exponent: float) -> float:
        logs = special.log_softmax(raw * factor / np.exp(exponent), axis=1)
        return float(-logs[np.arange(len(labels)), labels].mean())

    # The loss is convex in 1 / T: no place around it is lower, so none is.
    here = np.log(found.value)
    assert all(loss(here) <= loss(here + step) + 1e-12 for step in (-2, -0.5, -0.1, -0.01, 0.01, 0.1, 0.5, 2))
    # Log-probabilities are logits, and dividing logits by a number divides T by it.
    logs = special.log_softmax(raw, axis=1)
    assert c.fit_temperature(labels, logs).value == pytest.approx(found.value / factor, rel=1e-6)


@given(data=logits(), temperature=st.floats(0.05, 50))
def test_with_temperature_is_scipys_softmax(data, temperature):
    _, raw = data
    probabilities = c.with_temperature(raw, temperature)
    np.testing.assert_allclose(probabilities, special.softmax(raw / temperature, axis=1), atol=1e-12)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), raw.argmax(axis=1))


def test_the_fitted_temperature_undoes_overconfidence():
    draws = np.random.default_rng(1)
    raw = draws.normal(0, 1.5, (20_000, 3))
    labels = (special.softmax(raw, axis=1).cumsum(axis=1) < draws.random((20_000, 1))).sum(axis=1)
    found = c.fit_temperature(labels, 4 * raw).value
    assert found is not None
    assert found == pytest.approx(4, rel=0.05)
    after = log_loss(labels, c.with_temperature(4 * raw, found))
    assert after < log_loss(labels, c.with_temperature(4 * raw, 1.0))


@pytest.mark.parametrize(
    ("labels", "raw", "reason"),
    [
        ([0, 1], [[2.0, 1.0], [0.0, 3.0]], "T would be 0"),
        ([0, 1, 1], [[2.0, 1.0], [0.0, 3.0], [1.0, 1.0]], "T would be 0"),
        ([0, 1], [[1.0, 2.0], [3.0, 0.0]], "T would be infinite"),
        ([0, 1], [[1.0, 1.0], [2.0, 2.0]], "all equal"),
        ([1, 1], [[1.0, 2.0], [3.0, 0.0]], "of one class"),
        ([0, 1], [[np.inf, 2.0], [3.0, 0.0]], "finite"),
        ([], np.zeros((0, 2)), "no cases"),
    ],
)
def test_a_temperature_that_does_not_exist_has_a_reason(labels, raw, reason):
    found = c.fit_temperature(np.array(labels, int), np.array(raw))
    assert found.value is None
    assert reason in found.note


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        c.with_temperature(np.zeros((1, 2)), 0.0)
    with pytest.raises(ValueError, match="expected"):
        c.fit_temperature(np.array([0, 2]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="expected"):
        c.fit_temperature(np.array([0]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="at least 1"):
        c.equal_mass_bins(np.zeros(3), 0)
