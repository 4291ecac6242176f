"""Geometry of the figures of outer folds: every point lies where its number says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nachos_jax.report.figures.axes import axis

from nachos_jax.report.figures.drawing import LEFT, RIGHT, WIDTH
from nachos_jax.report.figures.folds import Interval, Mark, folds, strip
from tests.report.figure_examples import drawn
from tests.report.svg_marks import boxes, marks

FOLDS = {"fold 0": 0.8, "fold 1": 0.9, "fold 2": 0.7}


def of(svg, style):
    return [points for kind, points in marks(svg) if kind == style]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_points_keep_the_order_and_the_scale_of_their_numbers(values):
    svg = drawn(strip({"row": [Mark(v, "") for v in values]}, "score", "scores")).svg
    places = [points[0][0] for points in of(svg, "trial")]
    x = axis(values, LEFT + 14, WIDTH - RIGHT)
    assert places == pytest.approx([x.at(v) for v in values], abs=0.051)
    assert all(LEFT <= place <= WIDTH for place in places)


def test_failed_marks_are_crosses_and_selected_ones_are_drawn_last():
    row = [Mark(0.5, "a", True), Mark(None, "b"), Mark(float("nan"), "n"), Mark(0.6, "c")]
    svg = drawn(strip({"row": row}, "score", "scores")).svg
    found = re.findall(r'class="(trial|selected|failed)"', svg)
    assert found == ["failed", "failed", "trial", "selected"]


def test_nothing_to_draw_draws_nothing():
    assert strip({"row": [Mark(None, "a")]}, "score", "scores") is None
    assert strip({}, "score", "scores") is None
    assert folds({"fold 0": None}, "accuracy", None) is None
    assert folds({}, "accuracy", None) is None


def test_the_headline_is_a_band_over_the_folds_and_a_thick_bar():
    intervals = [Interval("corrected t", 0.65, 0.95), Interval("bootstrap", 0.75, 0.85)]
    svg = drawn(folds(FOLDS, "accuracy", 0.8, intervals)).svg
    (band,), (bar,) = of(svg, "band c0"), of(svg, "interval heavy")
    assert [x for x, _ in band] == pytest.approx([x for x, _ in bar], abs=0.11)
    assert band[1][1] < bar[0][1], "the band ends above the bars"
    rows = [points[0][1] for points in of(svg, "selected")]
    assert all(band[0][1] <= y <= band[1][1] for y in rows)
    other = next(points for points in of(svg, "interval") if points[0][1] == points[1][1])
    middle = of(svg, "mean")[0][0][0]
    assert bar[0][0] < other[0][0] < middle < other[1][0] < bar[1][0]


def test_a_corrected_estimate_is_marked_where_it_is_and_not_at_the_mean():
    around_mean = drawn(folds(FOLDS, "accuracy", 0.8, [Interval("t", 0.65, 0.95)])).svg
    corrected = drawn(folds(FOLDS, "accuracy", 0.8, [Interval("BBC", 0.65, 0.95, estimate=0.7)])).svg
    mean, bar = of(corrected, "mean")[0][0][0], of(corrected, "interval heavy")[0]
    diamond = sum(x for x, _ in of(corrected, "middle")[0]) / len(of(corrected, "middle")[0])
    assert diamond == pytest.approx(bar[0][0] + (bar[1][0] - bar[0][0]) * (0.7 - 0.65) / 0.3, abs=0.2)
    points = of(around_mean, "middle")[0]
    assert sum(x for x, _ in points) / len(points) == pytest.approx(mean, abs=0.2)


def test_an_undefined_headline_has_its_reason_and_no_band():
    svg = drawn(folds(FOLDS, "accuracy", 0.8, [Interval("corrected t", None, None, "K is 2")])).svg
    assert not of(svg, "band c0")
    assert "K is 2" in {box.words for box in boxes(svg)}


def test_an_undefined_fold_is_a_cross_that_says_so():
    svg = drawn(folds(FOLDS | {"fold 3": None}, "accuracy", 0.8)).svg
    assert len(of(svg, "failed")) == 1
    assert "undefined" in {box.words for box in boxes(svg)}
    assert len(of(svg, "selected")) == 3


def test_the_table_says_what_each_number_is():
    table = drawn(folds(FOLDS, "accuracy", 0.8, [Interval("t", 0.6, None, "why")])).table
    assert table.rows[1] == ("outer fold", "fold 1", 0.9, None, None, "")
    assert table.rows[3:] == (
        ("mean", "mean", 0.8, None, None, ""),
        ("interval", "t", None, 0.6, None, "why"),
    )
