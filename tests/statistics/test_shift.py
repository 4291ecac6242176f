"""Standardised differences and the intervals beside them, against SciPy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nachos_jax.statistics import shift
from nachos_jax.statistics.intervals import Interval


def moments(values: np.ndarray) -> shift.Moments:
    return len(values), float(values.mean()), float(values.std(ddof=1))


def ends(found: Interval) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_means_and_shares_have_the_intervals_of_scipy():
    values = np.random.default_rng(0).normal(60, 12, 40)
    found = shift.mean(moments(values))
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(ends(found), wanted)
    part = shift.share((7, 40), 0.9)
    wilson = stats.binomtest(7, 40).proportion_ci(0.9, "wilson")
    np.testing.assert_allclose(ends(part), wilson)
    assert (part.unit, part.count) == ("subjects", 40)


def test_differences_are_those_of_the_formulas_and_turn_with_the_sides():
    one, other = (50, 48.0, 10.0), (30, 63.0, 14.0)
    found = shift.of_means(one, other)
    assert found.estimate == pytest.approx(15 / math.sqrt((100 + 196) / 2))
    assert shift.of_means(other, one).estimate == pytest.approx(-15 / math.sqrt((100 + 196) / 2))
    shares = shift.of_shares((10, 50), (18, 30))
    assert shares.estimate == pytest.approx(0.4 / math.sqrt((0.16 + 0.24) / 2))
    low, high = ends(shares)
    assert low < 0.4 / math.sqrt(0.2) < high


def test_intervals_cover_the_true_difference():
    draw, held = np.random.default_rng(1), []
    for _ in range(600):
        one, other = draw.normal(0, 1, 40), draw.normal(0.8, 1, 25)
        found = shift.of_means(moments(one), moments(other))
        held.append(ends(found)[0] <= 0.8 <= ends(found)[1])
    assert 0.92 < np.mean(held) < 0.98


def test_few_subjects_and_what_never_varies_get_the_reason_instead():
    assert shift.mean((4, 50.0, 3.0)).low is None
    assert "4 subjects" in shift.mean((4, 50.0, 3.0)).note
    assert shift.share((0, 0)).estimate is None
    assert shift.of_shares((20, 20), (20, 20)).estimate == 0
    assert shift.of_shares((0, 20), (20, 20)).estimate is None
    assert shift.of_means((1, 50.0, None), (20, 60.0, 5.0)).estimate is None
    found = shift.of_means((9, 50.0, 5.0), (20, 60.0, 5.0))
    assert found.estimate == pytest.approx(2)
    assert found.low is None
