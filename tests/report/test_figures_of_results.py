"""What the figures of results draw: every mark stands for its number, and what is missing is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nachos_jax.metrics.decisions import NetBenefit
from nachos_jax.report.figures import style
from nachos_jax.report.figures.classification import PANELS, calibration, confusion, decision, ranking
from nachos_jax.report.figures.predictions import MOST, bland_altman, scatter
from nachos_jax.report.figures.rows import Row, folds, forest
from tests.report.drawn_marks import Drawn
from tests.report.figure_examples import (
    RELIABILITY,
    SHARES,
    UNIT,
    interval,
    mean_confusion,
    metric,
    ranked,
)
from tests.tiers import mostly_thorough

FOLDS = {"0": 0.8, "1": 0.9, "2": 0.7}
NAN = np.full(11, np.nan)


def x(marks):
    return [points[:, 0].tolist() for points in marks]


def test_nothing_to_draw_draws_nothing():
    nobody = np.array([[np.nan]])
    assert folds(metric({"0": None}, None), UNIT) is None
    assert forest("subgroups", [], Row("", "all", 3, 3, 0.5), "accuracy", UNIT) is None
    assert forest("labels", [Row("", "a", 3, 3, None)], None, "accuracy", UNIT) is None
    assert ranking([]) is None
    none = replace(RELIABILITY, count=NAN[:0], predicted=NAN[:0], observed=NAN[:0], low=NAN[:0], high=NAN[:0])
    assert calibration(none, NAN[:0], "", "") is None
    assert decision(NAN, NetBenefit(NAN, NAN, NAN, NAN), "") is None
    assert confusion(["a"], nobody, nobody, nobody) is None
    assert scatter(NAN, NAN, NAN, "age") is None
    assert bland_altman(NAN, SHARES, NAN, "age") is None


def test_folds_have_points_and_the_headline_is_a_band_and_a_thick_bar():
    intervals = interval("corrected t", 0.65, 0.95, 0.8), interval("BBC", 0.75, 0.85, 0.78)
    found = Drawn(lambda: folds(metric({**FOLDS, "3": None}, 0.8, *intervals), UNIT))
    assert x(found.data(style.SELECTED)) == [[0.8], [0.9], [0.7]]
    (band,) = found.bands()
    assert {*band[:, 0]} == {0.65, 0.95}
    rows = [points[0, 1] for points in found.data(style.SELECTED)]
    assert all(band[:, 1].min() < row < band[:, 1].max() for row in rows)
    (heavy,) = found.data(style.HEAVY)
    assert band[:, 1].max() < heavy[0, 1], "the band ends above the bars"
    assert x(found.data(style.INTERVAL)) == [heavy[:, 0].tolist(), [0.75, 0.85]]
    assert heavy[:, 0].tolist() == [0.65, 0.95]
    assert x(found.data(style.MIDDLE)) == [[0.8], [0.78]], "a corrected estimate is marked where it is"
    assert {*found.data(style.MEAN)[0][:, 0]} == {0.8}
    assert len(found.lines(style.FAILED)) == 1
    assert {"undefined", "0.800 [0.650, 0.950]", "corrected t, 95 %", "subjects", "mean 0.800"} <= found.words


def test_large_units_are_written_whole():
    wide = interval("Nested cross-validation (Bates, Hastie and Tibshirani)", 284.735, 337.624, 311.18)
    found = Drawn(lambda: folds(metric({"0": 303.35, "1": 318.69}, 311.18, wide), (0, np.inf)))
    assert {"303", "311 [285, 338]", "mean 311"} <= found.words
    assert not any("\N{HORIZONTAL ELLIPSIS}" in words for words in found.words)


def test_tiny_units_are_told_apart():
    tiny = interval("Corrected t (Nadeau and Bengio)", 0.0006, 0.0008, 0.0007)
    found = Drawn(lambda: folds(metric({"0": 0.000612, "1": 0.000781}, 0.0007, tiny), (0, np.inf)))
    assert {"0.000612", "0.000781", "0.000700 [0.000600, 0.000800]"} <= found.words
    assert found.collisions() == []


def test_an_axis_ends_where_the_metric_ends():
    found = Drawn(lambda: folds(metric({"0": 1.0, "1": 1.0}, 1.0), UNIT))
    low, high = found.canvas.axes[0].get_xlim()
    assert low < 1 < high < 1.01


def test_an_undefined_headline_has_its_reason_and_no_band():
    undefined = interval("corrected t", None, None, None, "K is 2")
    found = Drawn(lambda: folds(metric(FOLDS, 0.8, undefined), UNIT))
    assert not found.bands()
    assert "K is 2" in found.words
    rows = found.figure.rows
    assert rows[1] == ("outer fold", "fold 1", 0.9, None, None, "")
    assert rows[3:] == (
        ("mean", "mean", 0.8, None, None, ""),
        ("interval", "corrected t, 95 %, subjects", None, None, None, "K is 2"),
    )


def test_subgroups_stand_under_their_column_with_their_counts():
    groups = [
        Row("sex", "female", 1200, 10, 0.8, 0.7, 0.9),
        Row("sex", "male", 30, 20, 0.6, 0.5, 0.7),
        Row("site", "site A", 3, None, 0.5, reason="too few"),
        Row("site", "site B", 3, None, None, reason="one class only"),
    ]
    whole = Row("", "all cases", 1236, 30, 0.75, 0.7, 0.8)
    found = Drawn(lambda: forest("subgroups", groups, whole, "accuracy", UNIT))
    order = ["sex", "female", "male", "site", "site A", "site B", "all cases"]
    boxes = sorted((box for box in found.boxes if box.words in order), key=lambda box: box.top)
    assert [box.words for box in boxes] == order
    said = {"1,200 cases, 10 subjects", "3 cases", "one class only", "too few", "0.800 [0.700, 0.900]"}
    assert said <= found.words
    square = {**style.SQUARE}
    del square["markersize"]
    squares = found.lines(square)
    assert x(found.data(square)) == [[0.8], [0.6]]
    assert squares[0].get_markersize() > squares[1].get_markersize(), "the larger group has the larger square"
    assert x(found.data(style.OPEN)) == [[0.5]]
    assert x(found.data(style.INTERVAL)) == [[0.7, 0.9], [0.5, 0.7], [0.7, 0.8]]
    assert x(found.data(style.MEAN)) == [[0.75, 0.75]]
    assert x(found.data(style.WHOLE)) == [[0.75]]
    assert len(found.lines(style.FAILED)) == 1
    assert found.figure.rows == (*groups, whole)


@pytest.mark.parametrize(("kind", "level"), [("roc", [0, 1]), ("precision_recall", [0.3, 0.3])])
def test_curves_pass_through_their_numbers(kind, level):
    one = ranked(kind)
    found = Drawn(lambda: ranking([one]))
    for points, line in zip(found.data(style.THIN), one.lines.values(), strict=True):
        assert np.column_stack([line.x, line.y]) == pytest.approx(points)
    (mean,), (reference,) = found.data(style.STRONG), found.data(style.REFERENCE)
    assert len(mean) == 101
    assert reference[:, 1].tolist() == level
    assert len(found.bands()) == 1
    assert {"nevus", "AUC 0.67"} <= found.words
    assert not Drawn(lambda: ranking([ranked(kind, lines=2)])).bands(), "two curves have no band"


@pytest.mark.thorough
def test_many_classes_share_the_page_and_the_rest_is_named():
    many = [ranked("roc", f"class {i}", lines=1) for i in range(PANELS + 5)]
    found = Drawn(lambda: ranking(many))
    assert len(found.lines(style.STRONG)) == PANELS
    assert any("5 further classes" in text for text in found.words)
    assert {row[0] for row in found.figure.rows} == {one.label for one in many}


def test_the_band_of_calibration_breaks_where_it_is_undefined():
    low = np.where(SHARES == 0.5, np.nan, SHARES**2 - 0.05)
    curve = replace(RELIABILITY, low=low, high=low + 0.1)
    found = Drawn(lambda: calibration(curve, np.array([0.02, 0.03, 0.99]), "nevus", "Brier 0.1"))
    assert len(found.bands()) == 2
    for look in (style.SELECTED, style.STRONG):
        assert np.column_stack([SHARES, SHARES**2]) == pytest.approx(np.concatenate(found.data(look)))
    heights = [bar.get_height() for bar in found.canvas.axes[1].patches]
    assert (heights[0], heights[-1], sum(heights)) == (2, 1, 3)
    assert "nevus: Brier 0.1" in found.words
    assert found.figure.rows[0][:3] == ("curve", 0.0, 0.0)


def test_treat_all_is_cut_at_the_lower_edge():
    t = np.linspace(0.01, 0.99, 99)
    everyone = 0.3 - 0.7 * t / (1 - t)
    line, unknown = np.full(99, 0.2), np.full(99, np.nan)
    found = Drawn(lambda: decision(t, NetBenefit(line, unknown, unknown, everyone), "a"))
    (reference,) = found.lines(style.REFERENCE)
    assert reference.get_ydata() == pytest.approx(everyone)
    assert reference.get_clip_on()
    assert reference.axes is not None
    assert -0.3 < reference.axes.get_ylim()[0] < 0
    assert found.data(style.NOBODY)[0][:, 1].tolist() == [0, 0]
    assert found.figure.rows[0][2:4] == (None, None)


def shades(found):
    return [(p.get_alpha(), p.get_xy()) for p in found.canvas.axes[0].patches if p.get_alpha() is not None]


def test_cells_hold_mean_error_and_count_and_darken_with_the_share():
    mean = np.array([[0.9, 0.1], [0.25, 0.75]])
    found = Drawn(lambda: confusion(["a", "b"], mean, mean / 10, mean * 2000))
    assert {"90.0", "\N{PLUS-MINUS SIGN}9.0", "1,800", "25.0", "500", "a", "b"} <= found.words
    assert [alpha for alpha, _ in shades(found)] == pytest.approx([0.05, 0.125, 0.375, 0.45])
    right = [p for p in found.canvas.axes[0].patches if p.get_alpha() is None]
    assert len(right) == 1
    assert np.isfinite(right[0].get_xy()[:, 0]).sum() >= 2 * 4, "the diagonal is marked without colour"
    empty = np.array([[1.0, 0.0], [np.nan, np.nan]])
    found = Drawn(lambda: confusion(["a", "b"], empty, empty * np.nan, np.array([[5.0, 0], [0, 0]])))
    assert {"100.0", "5", "0", "\N{EN DASH}"} <= found.words


@mostly_thorough("count", [1, 2, 5, 7, 12], kept=(2, 12))
def test_up_to_twelve_classes_every_cell_is_readable(count):
    found = Drawn(lambda: confusion(*mean_confusion(count)))
    assert found.collisions() == []
    assert found.figure.svg.count("\N{PLUS-MINUS SIGN}") == count * count + 1


def test_a_hundred_classes_are_shades():
    found = Drawn(lambda: confusion(*mean_confusion(100)))
    assert any(text.startswith("share of the true class") for text in found.words)
    ((alpha, corners),) = shades(found)
    assert alpha == 0.8
    assert np.isfinite(corners[:, 0]).sum() >= 4 * 100
    assert len(found.figure.svg) < 150_000
    assert len(found.figure.rows) == 100 * 100


def cases(found):
    return found.lines({key: v for key, v in style.CASE.items() if key != "markerfacecolor"})


def test_a_scatter_has_a_point_a_case_in_the_colour_of_its_fold():
    truth, predicted, fold = np.array([1.0, 2, 3, np.nan]), np.array([1.5, 2, 2.5, 1]), np.array([0, 1, 1, 0])
    found = Drawn(lambda: scatter(truth, predicted, fold, "age"))
    points = {
        (*point, line.get_markerfacecolor())
        for line in cases(found)
        for point in zip(*map(np.asarray, line.get_data()), strict=True)
    }
    first, second = style.COLOURS["c0"], style.COLOURS["c1"]
    assert points == {(1, 1.5, first), (2, 2, second), (3, 2.5, second)}
    (line,) = found.data(style.REFERENCE)
    assert line[:, 0].tolist() == line[:, 1].tolist()
    assert {"true age", "predicted age", "fold 0", "fold 1"} <= found.words
    assert found.figure.rows == ((0, 1.0, 1.5), (1, 2.0, 2.0), (1, 3.0, 2.5))


def test_of_many_cases_a_sample_is_drawn_which_is_said():
    truth = np.arange(2.0 * MOST)
    found = Drawn(lambda: scatter(truth, truth, truth.astype(int) % 9, "age"))
    assert sum(np.size(line.get_xdata()) for line in cases(found)) == MOST
    assert "3,000 of 6,000 cases are drawn, a random sample." in found.words
    assert len(found.figure.rows) == 2 * MOST
    assert len(found.figure.svg) < 250_000
    assert not any(text.startswith("fold") for text in found.words)


def test_bland_altman_has_bias_and_limits_of_agreement():
    rng = np.random.default_rng(0)
    truth, difference = rng.normal(50, 10, 200), rng.normal(2, 3, 200)
    found = Drawn(lambda: bland_altman(truth, truth + difference, np.zeros(200, int), "age"))
    points = np.concatenate([np.column_stack(line.get_data()) for line in cases(found)])
    assert np.sort(points[:, 1]) == pytest.approx(np.sort(difference))
    assert np.sort(points[:, 0]) == pytest.approx(np.sort(truth + difference / 2))
    bias, reach = difference.mean(), 1.96 * difference.std(ddof=1)
    assert found.data(style.MEAN)[0][0, 1] == pytest.approx(bias)
    assert [line[0, 1] for line in found.data(style.LIMIT)] == pytest.approx([bias + reach, bias - reach])
    assert any(f"bias {bias:.2f}, upper limit {bias + reach:.2f}" in words for words in found.words)
    assert [row[0] for row in found.figure.rows[-3:]] == ["bias", "upper limit", "lower limit"]
    one = Drawn(lambda: bland_altman(truth[:1], truth[:1], np.zeros(1, int), "age"))
    assert not one.lines(style.LIMIT)
