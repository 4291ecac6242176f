"""Areas of curves against scikit-learn, bands against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from nachos_jax.metrics import curves as c

FUNCTIONS = {"roc": c.roc, "precision_recall": c.precision_recall}
KINDS = list(FUNCTIONS)


@st.composite
def cases(draw, largest=40):
    """Labels [N] of both kinds and scores [N] with many ties."""
    n = draw(st.integers(2, largest))
    labels = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    labels[:2] = [True, False]
    levels = draw(st.integers(1, 60))
    scores = draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))
    return np.array(labels), np.array(scores) / levels


@given(data=cases())
def test_roc_is_scikit_learns(data):
    labels, scores = data
    fpr, tpr, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    curve = c.roc(labels, scores)
    np.testing.assert_allclose(curve.x, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.y, tpr, atol=1e-12)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(sk.roc_auc_score(labels, scores))


@given(data=cases())
def test_precision_recall_is_scikit_learns_without_the_point_of_no_threshold(data):
    labels, scores = data
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    curve = c.precision_recall(labels, scores)
    np.testing.assert_allclose(curve.x, recall[-2::-1], atol=1e-12)
    np.testing.assert_allclose(curve.y, precision[-2::-1], atol=1e-12)


@given(data=cases())
def test_the_area_under_the_steps_is_the_average_precision(data):
    labels, scores = data
    hits = int(labels.sum())
    # The curve is constant over each 1 / hits of recall: its value in the middle of each.
    heights = c.precision_recall(labels, scores).at((np.arange(hits) + 0.5) / hits)
    assert heights.mean() == pytest.approx(sk.average_precision_score(labels, scores))


@pytest.mark.parametrize("kind", KINDS)
@given(data=cases())
def test_a_monotone_transformation_of_the_scores_changes_no_rate(kind, data):
    labels, scores = data
    first, other = FUNCTIONS[kind](labels, scores), FUNCTIONS[kind](labels, np.exp(3 * scores) - 7)
    np.testing.assert_array_equal(first.x, other.x)
    np.testing.assert_array_equal(first.y, other.y)


@given(data=cases())
def test_swapping_the_classes_and_turning_the_scores_mirrors_the_roc_curve(data):
    labels, scores = data
    first, swapped = c.roc(labels, scores), c.roc(~labels, -scores)
    np.testing.assert_allclose(swapped.x, (1 - first.y)[::-1], atol=1e-12)
    np.testing.assert_allclose(swapped.y, (1 - first.x)[::-1], atol=1e-12)


def test_heights_by_hand():
    labels, scores = np.array([1, 0, 1, 0], bool), np.array([4.0, 3.0, 2.0, 1.0])
    roc = c.roc(labels, scores)
    np.testing.assert_allclose(roc.at(np.array([0, 0.25, 0.5, 0.75, 1])), [0.5, 0.5, 1, 1, 1])
    steps = c.precision_recall(labels, scores)
    # A straight line from (0.5, 1) to (1, 2/3) would claim 5/6 at 0.75.
    np.testing.assert_allclose(steps.at(np.array([0, 0.5, 0.51, 0.75, 1])), [1, 1, 2 / 3, 2 / 3, 2 / 3])
    tied = c.roc(labels, np.zeros(4))
    np.testing.assert_allclose(tied.at(np.array([0.0, 0.3, 1.0])), [0, 0.3, 1], atol=1e-9)


def test_places_that_rounding_moves_off_a_rate_still_meet_it():
    """35 * 0.01 in a grid and 35 / 100 cases differ in the last digit."""
    labels = np.arange(200) % 2 == 0
    scores = -np.arange(200.0)
    exact = np.arange(101) / 100
    for kind in KINDS:
        curve = FUNCTIONS[kind](labels, scores)
        for places in (c.GRID, np.nextafter(exact, -1), np.nextafter(exact, 2)):
            np.testing.assert_allclose(curve.at(places), curve.at(exact), atol=1e-9)
    np.testing.assert_allclose(c.roc(labels, scores).at(c.GRID), np.minimum(exact + 0.01, 1), atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "labels", "scores", "reason"),
    [
        ("roc", [1, 1], [0.1, 0.2], "no negative case"),
        ("roc", [0, 0], [0.1, 0.2], "no positive case"),
        ("precision_recall", [0, 0], [0.1, 0.2], "no positive case"),
        ("roc", [], [], "no cases"),
        ("precision_recall", [1, 0], [np.nan, 0.2], "not finite"),
    ],
)
def test_undefined_curves_say_why(kind, labels, scores, reason):
    curve = FUNCTIONS[kind](np.array(labels, bool), np.array(scores))
    assert reason in curve.note
    assert len(curve.x) == len(curve.y) == 0


def test_precision_without_negative_cases_is_1():
    curve = c.precision_recall(np.ones(3, bool), np.array([0.1, 0.2, 0.3]))
    np.testing.assert_array_equal(curve.y, 1)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.lists(cases(), min_size=1, max_size=5))
def test_band_is_the_pointwise_mean_and_quantiles(kind, data):
    curves = [FUNCTIONS[kind](*one) for one in data]
    band = c.band(curves)
    heights = np.stack([curve.at(c.GRID) for curve in curves])
    np.testing.assert_allclose(band.mean, heights.mean(axis=0))
    np.testing.assert_allclose(band.low, np.quantile(heights, 0.025, axis=0))
    np.testing.assert_allclose(band.high, np.quantile(heights, 0.975, axis=0))


def test_chunks_hold_all_rows_in_order(monkeypatch):
    weights = np.random.default_rng(3).integers(0, 3, (50, 60)).astype(np.int16)
    monkeypatch.setattr(c, "CHUNK_BYTES", 8 * 60 * 7)
    chunks = list(c.row_chunks(weights))
    assert [len(chunk) for chunk in chunks] == [7] * 7 + [1]
    np.testing.assert_array_equal(np.concatenate(chunks), weights)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="cases"):
        c.roc(np.array([True, False]), np.array([0.1]))
