"""Regression metrics against scikit-learn and scipy, by hand, and where they are undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from nachos_jax.metrics import regression as m
from nachos_jax.metrics.value import Value

AGE = ("age",)
ORACLES = {
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "mse": sk.mean_squared_error,
    "median_absolute_error": sk.median_absolute_error,
    "r2": sk.r2_score,
    "pearson": lambda y, p: stats.pearsonr(y, p)[0],
    "ccc": lambda y, p: 2 * np.cov(y, p, ddof=0)[0, 1] / (y.var() + p.var() + (y.mean() - p.mean()) ** 2),
}


@st.composite
def pairs(draw):
    """Targets and predictions [N] of any scale and offset, with ties."""
    n, scale = draw(st.integers(3, 40)), draw(st.sampled_from([1e-3, 1.0, 1e4]))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    truth = scale * (generator.integers(0, 12, n) + draw(st.sampled_from([0.0, 1000.0])))
    predicted = truth + scale * generator.integers(-6, 7, n)
    assume(np.ptp(truth) > 0)
    assume(np.ptp(predicted) > 0)
    return truth, predicted


def test_every_metric_has_an_oracle():
    assert set(ORACLES) == set(m.METRICS)


@pytest.mark.parametrize("name", ORACLES)
@given(data=pairs())
def test_equals_scikit_learn(name, data):
    assert number(name, data) == pytest.approx(ORACLES[name](*data), rel=1e-9, abs=1e-9)


@given(data=pairs(), shift=st.floats(-100, 100), scale=st.floats(0.1, 100))
def test_units_of_the_target_scale_errors_and_leave_correlations(data, shift, scale):
    moved = [values * scale + shift * scale for values in data]
    for name in ("mae", "rmse", "median_absolute_error"):
        expected = number(name, data) * scale
        assert number(name, moved) == pytest.approx(expected, rel=1e-6, abs=1e-7 * scale)
    for name in ("r2", "pearson", "ccc"):
        assert number(name, moved) == pytest.approx(number(name, data), abs=1e-5)


def number(name, data) -> float:
    truth, predicted = data
    value = m.evaluate(name, truth, predicted, AGE).value
    assert value is not None
    return value


def test_concordance_falls_with_shift_where_pearson_does_not():
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    assert m.evaluate("pearson", truth, truth + 2, AGE).value == pytest.approx(1)
    assert m.evaluate("ccc", truth, truth + 2, AGE).value == pytest.approx(2 * 1.25 / (2.5 + 4))
    assert m.evaluate("ccc", truth, np.full(4, 2.0), AGE).value == 0
    assert m.evaluate("r2", truth, np.full(4, 2.5), AGE).value == 0


def test_a_far_case_without_weight_costs_no_digits():
    truth = np.array([1e12, 1.0, 2.0, 4.0])
    predicted = np.array([-1e12, 1.5, 2.0, 3.0])
    weights = np.array([[0.0, 1.0, 1.0, 2.0]])
    rows = np.array([1, 2, 3, 3])
    for name in m.METRICS:
        expected = m.evaluate(name, truth[rows], predicted[rows], AGE).value
        assert m.weighted(name, truth, predicted, weights)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["r2", "pearson", "ccc"])
def test_one_value_of_the_target_leaves_no_spread_to_explain(name):
    for size in (1, 5):
        truth = np.full(size, 0.1 * 3)
        assert m.evaluate(name, truth, np.arange(size), AGE) == Value(None, "all cases have the same age")
        assert np.isnan(m.weighted(name, truth, np.arange(size), np.ones((2, size)))).all()


def test_undefined_numbers():
    truth = np.arange(4.0)
    assert m.evaluate("pearson", truth, np.ones(4), AGE) == Value(None, "all predictions are the same")
    large = m.evaluate("rmse", truth, np.full(4, 1e200), AGE)
    assert large == Value(None, "the numbers are too large or too small to be squared")
    infinite = m.evaluate("mae", truth, np.array([0.0, np.inf, 1.0, np.nan]), AGE)
    assert infinite == Value(None, "predictions of 2 of 4 cases are not numbers")
    with pytest.raises(ValueError, match="age is no finite number in 1 cases"):
        m.evaluate("mae", np.array([0.0, np.nan]), np.zeros(2), AGE)
    with pytest.raises(ValueError, match="expected"):
        m.evaluate("mae", truth[:, None], truth[:, None], AGE)
    with pytest.raises(ValueError, match="2 names"):
        m.evaluate("mae", truth, truth, ("age", "weight"))
