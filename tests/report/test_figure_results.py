"""Figures of results: subgroups, ranking, calibration, decisions and confusion show what they are given."""

from __future__ import annotations

import numpy as np
import pytest
from nachos_jax.report.figures.classification.calibration import Reliability, calibration
from nachos_jax.report.figures.classification.confusion import MeanConfusion, confusion
from nachos_jax.report.figures.classification.decision import DecisionCurve, decision
from nachos_jax.report.figures.classification.ranking import PANELS, RankingCurve, precision_recall, roc

from nachos_jax.report.figures.subgroups import Subgroup, forest
from tests.report.figure_examples import CURVE, SHARES, drawn, mean_confusion
from tests.report.svg_marks import boxes, collisions, marks

NAN = np.full(11, np.nan)


def of(svg, style):
    return [points for kind, points in marks(svg) if kind == style]


def words(svg):
    return {box.words for box in boxes(svg)}


def test_subgroups_stand_under_their_column_with_their_counts():
    groups = [
        Subgroup("female", 1200, 10, 0.8, 0.7, 0.9, column="sex"),
        Subgroup("male", 30, 20, 0.6, 0.5, 0.7, column="sex"),
        Subgroup("site A", 3, None, 0.5, column="site", reason="too few"),
        Subgroup("site B", 3, None, None, column="site", reason="one class only"),
    ]
    svg = drawn(forest(groups, Subgroup("all cases", 1236, 30, 0.75, 0.7, 0.8), "accuracy")).svg
    text = [box.words for box in boxes(svg)]
    order = ["sex", "female", "male", "site", "site A", "site B", "all cases"]
    assert [word for word in text if word in order] == order
    assert {"1,200 cases, 10 subjects", "3 cases", "one class only", "too few"} <= set(text)
    assert "0.800 [0.700, 0.900]" in text
    squares = [points for kind, points in marks(svg) if kind == "middle" and len(points) == 2]
    sides = [b[0] - a[0] for a, b in squares]
    assert sides[0] > sides[1], "the larger group has the larger square"
    middles = [(a[0] + b[0]) / 2 for a, b in squares]
    mean = of(svg, "mean")[0][0][0]
    assert middles[1] < mean < middles[0]
    assert len(of(svg, "failed")) == 1


def test_no_subgroup_or_no_estimate_draws_nothing():
    whole = Subgroup("all", 3, 3, 0.5)
    assert forest([], whole, "accuracy") is None
    assert forest([Subgroup("a", 3, 3, None)], Subgroup("all", 3, 3, None), "accuracy") is None


def test_roc_has_the_diagonal_and_precision_recall_the_share_of_the_class():
    for figure in (roc([CURVE]), precision_recall([CURVE])):
        svg = drawn(figure).svg
        line = of(svg, "reference")[-1]
        assert (line[0][1] == line[1][1]) == (drawn(figure).name == "precision_recall")
        assert len(of(svg, "thin")) == 1 + len(CURVE.folds)
        assert len(of(svg, "band c0")) == 2


def test_mean_curve_ends_where_its_numbers_say():
    svg = drawn(roc([CURVE])).svg
    grid = [points for kind, points in marks(svg) if kind == "grid"]
    ends = [f(p[i] for pair in grid for p in pair) for i in (0, 1) for f in (min, max)]
    mean = of(svg, "strong")[-1]
    assert mean[0] == pytest.approx((ends[0], ends[3]), abs=0.1)
    assert mean[-1] == pytest.approx((ends[1], ends[2]), abs=0.2)


def test_many_classes_share_the_page_and_the_rest_is_named():
    many = [RankingCurve(f"class {i}", [], SHARES, SHARES) for i in range(PANELS + 5)]
    figure = drawn(roc(many))
    assert len(of(figure.svg, "strong")) == PANELS + 1
    assert any("5 further classes" in text for text in words(figure.svg))
    assert {row[0] for row in figure.table.rows} == {c.label for c in many}
    assert roc([]) is None


def reliability(low, high, counts=None):
    return Reliability(SHARES, SHARES**2, low, high, counts, SHARES, np.arange(10))


def test_the_band_of_calibration_breaks_where_it_is_undefined():
    low = np.where(SHARES == 0.5, np.nan, SHARES**2 - 0.05)
    svg = drawn(calibration(reliability(low, low + 0.1, np.arange(11)))).svg
    assert len(of(svg, "band c0")) == 3
    assert len(of(svg, "selected")) == 11
    assert not of(drawn(calibration(reliability(NAN, NAN))).svg, "band c0")


def test_bars_of_the_histogram_grow_with_their_counts():
    svg = drawn(calibration(reliability(NAN, NAN))).svg
    heights = [b[1] - a[1] for a, b in of(svg, "bar")]
    assert heights == pytest.approx([heights[0] * n for n in range(1, 10)], rel=0.05)


def test_calibration_without_a_point_draws_nothing():
    assert calibration(Reliability(NAN, NAN, NAN, NAN, None, SHARES, np.zeros(10))) is None


def test_treat_all_is_cut_at_the_lower_edge_where_it_crosses_it():
    t = np.linspace(0.01, 0.99, 99)
    everyone = 0.3 - 0.7 * t / (1 - t)
    model = np.full(99, 0.2)
    svg = drawn(decision(DecisionCurve(t, model, None, None, everyone))).svg
    grid = [points for points in of(svg, "grid") if points[0][1] == points[1][1]]
    base, top = max(p[0][1] for p in grid), min(p[0][1] for p in grid)
    line = of(svg, "reference")[-1]
    assert line[-1][1] == pytest.approx(base, abs=0.3)
    assert all(top - 0.2 <= y <= base + 0.2 for _, y in line)
    assert len(of(svg, "band c0")) == 0
    (none,) = [points for points in of(svg, "none") if points[1][0] - points[0][0] > 100]
    assert none[0][1] == none[1][1]


def test_decision_without_numbers_draws_nothing():
    assert decision(DecisionCurve(SHARES, NAN, None, None, NAN)) is None


def test_cells_hold_mean_error_and_count_and_darken_with_the_share():
    mean = np.array([[0.9, 0.1], [0.25, 0.75]])
    svg = drawn(confusion(MeanConfusion(["a", "b"], mean, mean / 10, mean * 2000))).svg
    assert {"90.0", "\N{PLUS-MINUS SIGN}9.0", "1,800", "25.0", "500"} <= words(svg)
    shades = [float(part.split('"')[0]) for part in svg.split('fill-opacity="')[1:]]
    assert shades == pytest.approx(list(mean.ravel() / 2), abs=0.006)
    assert len(of(svg, "cell right")) == 2, "the diagonal is marked without colour"


def test_a_class_without_cases_has_no_share():
    mean = np.array([[1.0, 0.0], [np.nan, np.nan]])
    svg = drawn(confusion(MeanConfusion(["a", "b"], mean, mean * np.nan, np.array([[5, 0], [0, 0]])))).svg
    assert "\N{EN DASH}" in words(svg)
    assert confusion(MeanConfusion(["a"], np.array([[np.nan]]), np.array([[0]]), np.array([[0]]))) is None


@pytest.mark.parametrize("count", [1, 2, 5, 7, 12])
def test_up_to_twelve_classes_every_cell_is_readable(count):
    svg = drawn(confusion(mean_confusion(count))).svg
    assert collisions(svg) == []
    assert svg.count("\N{PLUS-MINUS SIGN}") == count * count + 1


def test_a_hundred_classes_are_shades_with_a_scale():
    figure = drawn(confusion(mean_confusion(100)))
    assert "\N{PLUS-MINUS SIGN}" not in figure.svg
    assert any(text.startswith("share of the true class") for text in words(figure.svg))
    assert len(figure.svg) < 150_000
    assert len(figure.table.rows) == 100 * 100
