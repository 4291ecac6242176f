"""Intervals against their formulas by hand, DeLong's components, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from nachos_jax.statistics.intervals import SHARE, auc_influence, bayle, corrected_t, prediction_t

SCORES = [0.8, 0.9, 0.85, 0.7, 0.75]
SHARES = st.lists(st.floats(0.01, 0.99), min_size=3, max_size=12)


def width(interval) -> float:
    return interval.high - interval.low


def both(interval):
    return np.array([interval.low, interval.high], float)


def test_corrected_t_by_hand():
    found = corrected_t(SCORES, 5)
    half = 2.7764451 * math.sqrt((1 / 5 + 1 / 4) * 0.00625)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.8, 0.8 - half, 0.8 + half))
    assert (found.unit, found.count, found.note) == ("outer folds", 5, "")
    assert width(found) == pytest.approx(2 * half)


@given(values=SHARES, repeats=st.integers(1, 4), level=st.floats(0.5, 0.99))
def test_corrected_t_is_the_formula_for_any_repeats(values, repeats, level):
    assume(np.ptp(values) > 1e-6)
    scores = np.tile(values, repeats)
    found = corrected_t(list(scores), len(values), level)
    count = len(scores)
    se = math.sqrt((1 / count + 1 / (len(values) - 1)) * np.var(scores, ddof=1))
    expected = stats.t.interval(level, count - 1, loc=np.mean(scores), scale=se)
    np.testing.assert_allclose(both(found), expected)
    naive = stats.sem(scores)
    assert se > naive


@given(values=SHARES, seed=st.integers(0, 99))
def test_order_does_not_matter_and_errors_mirror_hits(values, seed):
    assume(np.ptp(values) > 1e-6)
    first = corrected_t(values, len(values), bounds=SHARE)
    shuffled = list(np.random.default_rng(seed).permutation(values))
    np.testing.assert_allclose(both(corrected_t(shuffled, len(values), bounds=SHARE)), both(first))
    errors = corrected_t([1 - value for value in values], len(values), bounds=SHARE)
    np.testing.assert_allclose(1 - both(errors)[::-1], both(first), atol=1e-9)
    assert np.all(np.diff([0, both(first)[0], np.mean(values), both(first)[1], 1]) >= 0)


def test_ends_beyond_a_bound_are_cut_and_said():
    plain = corrected_t([1.0, 1.0, 0.9, 0.95, 1.0], 5, bounds=SHARE)
    assert plain.high == 1.0
    assert plain.note == "cut at 1, the metric's bound"
    wide = corrected_t([-0.9, 0.9, 0.2], 3, bounds=(-1.0, 1.0))
    assert wide.note == "cut at -1 and 1, the metric's bound"


def test_undefined_folds_are_left_out_and_said():
    found = corrected_t([*SCORES, None], 6)
    assert found.count == 5
    assert found.note == "1 of 6 outer folds undefined and left out"
    half = stats.t.ppf(0.975, 4) * math.sqrt((1 / 5 + 1 / 5) * 0.00625)
    assert found.high == pytest.approx(0.8 + half)


@pytest.mark.parametrize(
    ("values", "folds", "reason"),
    [
        ([0.8, 0.9], 2, "at least 3"),
        ([0.8, 0.9] * 5, 2, "2 outer folds: an interval needs at least 3"),
        ([0.8, None, 0.9], 3, "defined in 2 outer folds"),
        ([1.0, 1.0, 1.0], 3, "same value"),
        ([0.1 * 3, 0.3, 0.3], 3, "same value"),
        ([None, None, None], 3, "every outer fold"),
        ([], 3, "every outer fold"),
    ],
)
def test_corrected_t_gives_a_reason_where_it_is_undefined(values, folds, reason):
    found = corrected_t(values, folds)
    assert (found.low, found.high) == (None, None)
    assert reason in found.note
    defined = [value for value in values if value is not None]
    assert found.estimate == (pytest.approx(np.mean(defined)) if defined else None)


# --- Bayle -----------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 500), copies=st.integers(2, 4))
def test_bayle_is_the_normal_interval_and_copies_of_cases_add_nothing(seed, copies):
    generator = np.random.default_rng(seed)
    losses, subjects = generator.exponential(size=60), np.arange(60)
    found = bayle(losses, subjects)
    expected = stats.norm.interval(0.95, loc=losses.mean(), scale=stats.sem(losses))
    np.testing.assert_allclose(both(found), expected)
    assert found.note == ""
    order = generator.permutation(60 * copies)
    again = bayle(np.repeat(losses, copies)[order], np.repeat(subjects, copies)[order])
    np.testing.assert_allclose(both(again), expected)
    assert (again.unit, again.count) == ("subjects", 60)


def test_bayle_undefined_and_narrow():
    assert "at least 10" in bayle(np.arange(9.0), np.arange(9)).note
    assert "likely too narrow" in bayle(np.arange(12.0), np.arange(12)).note
    assert bayle(np.ones(40), np.arange(40)).low is None
    assert bayle(np.array([1.0, np.nan] * 20), np.arange(40)).note == "some losses are not finite numbers"
    assert bayle(np.zeros(0), np.zeros(0)).note == "no cases"
    assert bayle(np.repeat([0.0, 1.0], [1, 39]), np.arange(40), bounds=SHARE).note.startswith("cut at 1")


# --- AUC -------------------------------------------------------------------------------------------------


def delong(labels, scores):
    """DeLong's structural components by loops: AUC, components of positive and of negative cases."""
    positive, negative = scores[labels == 1], scores[labels == 0]
    wins = np.array([[(p > n) + 0.5 * (p == n) for n in negative] for p in positive])
    return wins.mean(), wins.mean(axis=1), wins.mean(axis=0)


def two_classes(seed, count=60, levels=0):
    generator = np.random.default_rng(seed)
    labels = np.tile([0, 1, 1], count // 3)
    scores = generator.normal(size=count) + labels
    return labels, np.round(scores, 1) if levels else scores


@given(seed=st.integers(0, 500), levels=st.integers(0, 1))
def test_one_fold_is_delong_but_for_its_small_sample_factors(seed, levels):
    labels, scores = two_classes(seed, levels=levels)
    area, v10, v01 = delong(labels, scores)
    m, n = len(v10), len(v01)
    variance = v10.var(ddof=1) * (m - 1) / m / m + v01.var(ddof=1) * (n - 1) / n / n
    found = auc_influence(labels, scores, np.zeros(60), np.arange(60))
    expected = stats.norm.interval(0.95, loc=area, scale=math.sqrt(variance))
    np.testing.assert_allclose(both(found), np.clip(expected, 0, 1))


@given(seed=st.integers(0, 200))
def test_auc_interval_of_folds_subjects_and_swapped_labels(seed):
    labels, scores = two_classes(seed)
    folds, subjects = np.arange(60) // 3 % 4, np.arange(60)
    found = auc_influence(labels, scores, folds, subjects)
    areas, variances = [], []
    for k in range(4):
        area, v10, v01 = delong(labels[folds == k], scores[folds == k])
        areas.append(area)
        variances.append(v10.var() / len(v10) + v01.var() / len(v01))
    se = math.sqrt(sum(variances)) / 4
    np.testing.assert_allclose(both(found), np.clip(stats.norm.interval(0.95, np.mean(areas), se), 0, 1))
    swapped = auc_influence(1 - labels, -scores, folds, subjects)
    np.testing.assert_allclose(both(swapped), both(found))
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(60), 3))
    copies = auc_influence(labels[order], scores[order], folds[order], subjects[order])
    np.testing.assert_allclose(both(copies), both(found))


def test_auc_interval_has_the_spread_of_the_mean_auc():
    areas, widths = [], []
    for seed in range(400):
        labels, scores = two_classes(seed, count=240)
        found = auc_influence(labels, scores, np.arange(240) // 3 % 5, np.arange(240))
        areas.append(found.estimate)
        widths.append(width(found))
    assert np.mean(widths) / (2 * 1.959964) == pytest.approx(np.std(areas), rel=0.1)


def test_auc_interval_undefined():
    labels, scores = two_classes(0)
    folds, subjects = np.arange(60) // 3 % 4, np.arange(60)
    alone = auc_influence(labels, scores, np.where(labels == 1, 0, 7), subjects)
    assert alone.note == "outer fold 0 holds one class only"
    perfect = auc_influence(labels, labels.astype(float), folds, subjects)
    assert (perfect.estimate, perfect.low) == (1.0, None)
    assert "separated perfectly" in perfect.note
    assert "at least 10" in auc_influence(labels, scores, folds, subjects % 9).note
    assert auc_influence(labels, scores * np.nan, folds, subjects).estimate is None
    with pytest.raises(ValueError, match="0 or 1"):
        auc_influence(labels + 1, scores, folds, subjects)


def test_a_single_case_of_a_class_has_no_spread_and_few_subjects_of_the_rarer_class_are_said():
    labels, folds = np.tile(np.repeat([0, 1], [9, 1]), 10), np.repeat(np.arange(10), 10)
    scores = np.random.default_rng(0).normal(size=100) + labels
    found = auc_influence(labels, scores, folds, np.arange(100))
    assert found.low is None
    assert "fold 0 holds a single case of a class" in found.note
    two = auc_influence(labels, scores, np.tile(np.arange(5), 2).repeat(10), np.arange(100))
    assert two.low is not None
    assert two.note == "10 subjects of the rarer class: likely too narrow"


def test_subjects_whose_cases_balance_each_other_give_no_interval_of_width_zero():
    found = bayle(np.tile([0.0, 1.0], 40), np.repeat(np.arange(40), 2))
    assert (found.estimate, found.low) == (0.5, None)
    assert "the same mean loss for all subjects" in found.note


def test_corrected_t_of_unequal_folds_takes_their_ratio():
    values = [0.7, 0.8, 0.9]
    wide, narrow = both(corrected_t(values, 3, ratio=0.9)), both(corrected_t(values, 3))
    assert np.ptp(wide) / np.ptp(narrow) == pytest.approx(math.sqrt((1 / 3 + 0.9) / (1 / 3 + 0.5)))


@given(values=SHARES)
def test_the_logit_scale_is_taken_where_the_plain_interval_leaves_the_range(values):
    assume(np.ptp(values) > 1e-6)
    free = corrected_t(values, len(values))
    plain, logit, found = (
        corrected_t(values, len(values), bounds=SHARE, scale=scale) for scale in ("metric", "logit", "inside")
    )
    assert free.low is not None
    assert free.high is not None
    if free.low < 0 or free.high > 1:
        assert (found.method, both(found).tolist()) == ("corrected_t_logit", both(logit).tolist())
        assert "logit scale" in found.label
        assert found.note.startswith(f"the plain one, {free.low:.3f} to {free.high:.3f}, would")
    else:
        assert found == plain


def test_no_logit_scale_without_two_bounds_or_on_one():
    losses = corrected_t([0.001, 0.3, 0.002], 3, bounds=(0.0, math.inf), scale="inside")
    assert (losses.method, losses.low) == ("corrected_t", 0.0)
    assert "cut at 0" in losses.note


@given(values=SHARES, level=st.floats(0.5, 0.99))
def test_a_further_site_by_the_prediction_interval_of_a_regression_on_nothing(values, level):
    """Ordinary least squares with an intercept alone, its textbook interval for a new observation."""
    assume(np.ptp(values) > 1e-6)
    count, design = len(values), np.ones((len(values), 1))
    beta, residual, _, _ = np.linalg.lstsq(design, np.array(values), rcond=None)
    leverage = float(np.ones(1) @ np.linalg.inv(design.T @ design) @ np.ones(1))
    se = math.sqrt(float(residual[0]) / (count - 1) * (1 + leverage))
    expected = stats.t.interval(level, count - 1, loc=beta[0], scale=se)
    np.testing.assert_allclose(both(prediction_t(values, level)), expected, rtol=1e-7)


def test_a_further_site_is_covered_as_often_as_said():
    draws = np.random.default_rng(5).normal(0.8, 0.05, (4000, 6))
    inside = [(low <= row[5] <= high) for row in draws for low, high in [both(prediction_t(row[:5]))]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
    assert prediction_t([0.5, 0.6]).low is None
