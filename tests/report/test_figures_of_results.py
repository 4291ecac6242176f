"""What the figures of results draw: every mark stands for its number, and what is missing is said."""

from __future__ import annotations

import numpy as np
import pytest

from nachos_jax.report.figures.classification.calibration import Reliability, calibration
from nachos_jax.report.figures.classification.confusion import MeanConfusion, confusion
from nachos_jax.report.figures.classification.decision import DecisionCurve, decision
from nachos_jax.report.figures.classification.ranking import PANELS, RankingCurve, precision_recall, roc
from nachos_jax.report.figures.folds import Interval, Mark, folds, strip
from nachos_jax.report.figures.multilabel.labels import labels
from nachos_jax.report.figures.regression.predictions import MOST, bland_altman, scatter
from nachos_jax.report.figures.style import COLOURS
from nachos_jax.report.figures.subgroups import Subgroup, forest
from tests.report.drawn_marks import Drawn
from tests.report.figure_examples import CURVE, SHARES, mean_confusion

FOLDS = {"fold 0": 0.8, "fold 1": 0.9, "fold 2": 0.7}
NAN = np.full(11, np.nan)


def x(marks):
    return [points[:, 0].tolist() for points in marks]


def test_a_strip_has_a_point_a_mark_the_selected_one_last_and_crosses_for_what_failed():
    row = [Mark(0.5, "a", True), Mark(None, "b"), Mark(float("nan"), "n"), Mark(0.6, "c")]
    found = Drawn(lambda: strip({"row": row}, "score", "scores", mean=0.55))
    assert (x(found.data("trial")), x(found.data("selected"))) == ([[0.6]], [[0.5]])
    kinds = [item.get("class") for item in found.root.iter("g") if item.get("class")]
    assert [kind for kind in kinds if kind in ("trial", "selected", "failed")][-2:] == ["failed", "failed"]
    assert kinds.index("trial") < kinds.index("selected")
    assert {"a", "b", "n", "c"} <= {title.text for title in found.root.iter("title")}
    assert {*found.data("mean")[0][:, 0]} == {0.55}
    assert "mean 0.550" in found.words


def test_nothing_to_draw_draws_nothing():
    whole = Subgroup("all", 3, 3, 0.5)
    assert strip({"row": [Mark(None, "a")]}, "score", "scores") is None
    assert strip({}, "score", "scores") is None
    assert folds({"fold 0": None}, "accuracy", None) is None
    assert forest([], whole, "accuracy") is None
    assert forest([Subgroup("a", 3, 3, None)], Subgroup("all", 3, 3, None), "accuracy") is None
    assert roc([]) is None
    assert calibration(Reliability(NAN, NAN, NAN, NAN, None, SHARES, np.zeros(10))) is None
    assert decision(DecisionCurve(SHARES, NAN, None, None, NAN)) is None
    assert confusion(MeanConfusion(["a"], *[np.array([[value]]) for value in (np.nan, 0, 0)])) is None
    assert scatter(NAN, NAN, NAN, "age") is None
    assert bland_altman(NAN, SHARES, NAN, "age") is None
    assert labels([], [], [], [], []) is None


def test_folds_have_points_and_the_headline_is_a_band_and_a_thick_bar():
    intervals = [Interval("corrected t", 0.65, 0.95), Interval("BBC", 0.75, 0.85, estimate=0.78)]
    found = Drawn(lambda: folds(FOLDS | {"fold 3": None}, "accuracy", 0.8, intervals))
    assert x(found.data("selected")) == [[0.8], [0.9], [0.7]]
    (band,) = found.data("band")
    assert {*band[:, 0]} == {0.65, 0.95}
    rows = [points[0, 1] for points in found.data("selected")]
    assert all(band[:, 1].min() < row < band[:, 1].max() for row in rows)
    assert band[:, 1].max() < found.data("heavy")[0][0, 1], "the band ends above the bars"
    assert (x(found.data("heavy")), x(found.data("interval"))) == ([[0.65, 0.95]], [[0.75, 0.85]])
    assert x(found.data("middle")) == [[0.8], [0.78]], "a corrected estimate is marked where it is"
    assert {*found.data("mean")[0][:, 0]} == {0.8}
    assert len(found.data("failed")) == 1
    assert {"undefined", "0.650 to 0.950", "corrected t", "mean 0.800"} <= found.words


def test_an_undefined_headline_has_its_reason_and_no_band():
    found = Drawn(lambda: folds(FOLDS, "accuracy", 0.8, [Interval("corrected t", None, None, "K is 2")]))
    assert not found.data("band")
    assert "K is 2" in found.words
    table = found.figure.table
    assert table.rows[1] == ("outer fold", "fold 1", 0.9, None, None, "")
    assert table.rows[3:] == (
        ("mean", "mean", 0.8, None, None, ""),
        ("interval", "corrected t", None, None, None, "K is 2"),
    )


def test_subgroups_stand_under_their_column_with_their_counts():
    groups = [
        Subgroup("female", 1200, 10, 0.8, 0.7, 0.9, column="sex"),
        Subgroup("male", 30, 20, 0.6, 0.5, 0.7, column="sex"),
        Subgroup("site A", 3, None, 0.5, column="site", reason="too few"),
        Subgroup("site B", 3, None, None, column="site", reason="one class only"),
    ]
    found = Drawn(lambda: forest(groups, Subgroup("all cases", 1236, 30, 0.75, 0.7, 0.8), "accuracy"))
    order = ["sex", "female", "male", "site", "site A", "site B", "all cases"]
    assert [box.words for box in found.boxes if box.words in order] == order
    said = {"1,200 cases, 10 subjects", "3 cases", "one class only", "too few", "0.800 [0.700, 0.900]"}
    assert said <= found.words
    assert (x(found.data("square")), x(found.data("open"))) == ([[0.8], [0.6]], [[0.5]])
    sizes = [a.get_markersize() for a in found.canvas.findobj(lambda a: a.get_label() == "square")]
    assert sizes[0] > sizes[1], "the larger group has the larger square"
    assert x(found.data("interval")) == [[0.7, 0.9], [0.5, 0.7]]
    assert x(found.data("mean")) == [[0.75, 0.75]]
    assert found.data("diamond")[0][:3, 0].tolist() == [0.7, 0.75, 0.8]
    assert len(found.data("failed")) == 1


def test_labels_have_estimates_intervals_and_no_row_for_all():
    found = Drawn(lambda: labels(["nodule", "hernia"], [0.8, None], [0.7, None], [0.9, None], [120, 3]))
    assert (x(found.data("square")), x(found.data("interval"))) == ([[0.8]], [[0.7, 0.9]])
    assert {"nodule", "hernia", "120 cases", "AUC"} <= found.words
    assert not found.data("mean")
    assert not found.data("diamond")


def test_curves_pass_through_their_numbers():
    for draw, level in ((roc, [0.0, 1.0]), (precision_recall, [0.3, 0.3])):
        found = Drawn(lambda draw=draw: draw([CURVE]))
        thin, (strong,), (line,) = (found.data(kind) for kind in ("thin", "strong", "reference"))
        for points, fold in zip(thin, CURVE.folds, strict=True):
            assert pytest.approx(np.stack(fold)) == points.T
        assert pytest.approx(np.stack([CURVE.grid, CURVE.mean])) == strong.T
        assert line[:, 1].tolist() == level
        assert len(found.data("band")) == 1
        assert {"nevus", CURVE.note} <= found.words


def test_many_classes_share_the_page_and_the_rest_is_named():
    many = [RankingCurve(f"class {i}", [], SHARES, SHARES) for i in range(PANELS + 5)]
    found = Drawn(lambda: roc(many))
    assert len(found.data("strong")) == PANELS
    assert any("5 further classes" in text for text in found.words)
    assert {row[0] for row in found.figure.table.rows} == {c.label for c in many}


def test_the_band_of_calibration_breaks_where_it_is_undefined():
    low = np.where(SHARES == 0.5, np.nan, SHARES**2 - 0.05)
    curve = Reliability(SHARES, SHARES**2, low, low + 0.1, np.arange(11), SHARES, np.arange(10))
    found = Drawn(lambda: calibration(curve, "nevus"))
    assert len(found.data("band")) == 2
    assert pytest.approx(np.stack([SHARES, SHARES**2])) == np.concatenate(found.data("selected")).T
    assert pytest.approx(np.stack([SHARES, SHARES**2])) == found.data("strong")[0].T
    assert [points[:, 1].max() for points in found.data("bar")] == list(range(1, 10))
    smooth = Drawn(lambda: calibration(Reliability(SHARES, SHARES, NAN, NAN, None, SHARES, np.arange(10))))
    assert not smooth.data("band")
    assert not smooth.data("selected")


def test_treat_all_is_cut_at_the_lower_edge():
    t = np.linspace(0.01, 0.99, 99)
    everyone = 0.3 - 0.7 * t / (1 - t)
    found = Drawn(lambda: decision(DecisionCurve(t, np.full(99, 0.2), None, None, everyone)))
    (line,) = found.data("reference")
    assert pytest.approx(np.stack([t, everyone])) == line.T
    (artist,) = found.canvas.findobj(lambda a: a.get_label() == "reference")
    assert artist.get_clip_on()
    assert -0.3 < artist.axes.get_ylim()[0] < 0
    assert found.data("none")[0][:, 1].tolist() == [0, 0]
    assert not found.data("band")


def test_cells_hold_mean_error_and_count_and_darken_with_the_share():
    mean = np.array([[0.9, 0.1], [0.25, 0.75]])
    found = Drawn(lambda: confusion(MeanConfusion(["a", "b"], mean, mean / 10, mean * 2000)))
    assert {"90.0", "\N{PLUS-MINUS SIGN}9.0", "1,800", "25.0", "500", "a", "b"} <= found.words
    cells = found.canvas.findobj(lambda a: a.get_label() == "shade")
    assert [cell.get_alpha() for cell in cells] == pytest.approx(list(mean.ravel() / 2))
    assert len(found.data("right")) == 2, "the diagonal is marked without colour"
    empty = np.array([[1.0, 0.0], [np.nan, np.nan]])
    found = Drawn(lambda: confusion(MeanConfusion(["a", "b"], empty, empty * np.nan, np.zeros((2, 2)))))
    assert "\N{EN DASH}" in found.words


@pytest.mark.parametrize("count", [1, 2, 5, 7, 12])
def test_up_to_twelve_classes_every_cell_is_readable(count):
    found = Drawn(lambda: confusion(mean_confusion(count)))
    assert found.collisions() == []
    assert found.figure.svg.count("\N{PLUS-MINUS SIGN}") == count * count + 1


def test_a_hundred_classes_are_shades_with_a_scale():
    found = Drawn(lambda: confusion(mean_confusion(100)))
    assert any(text.startswith("share of the true class") for text in found.words)
    shades = found.canvas.findobj(lambda a: a.get_label() == "shade")
    corners = max((shade.get_xy() for shade in shades), key=lambda xy: np.nanmax(xy) + len(xy) / 1e6)
    assert np.isfinite(corners[:, 0]).sum() >= 4 * 100
    assert 0.8 in [shade.get_alpha() for shade in shades]
    assert len(found.figure.svg) < 150_000
    assert len(found.figure.table.rows) == 100 * 100


def test_a_scatter_has_a_point_a_case_in_the_colour_of_its_fold():
    truth, predicted, fold = np.array([1.0, 2, 3, np.nan]), np.array([1.5, 2, 2.5, 1]), np.array([0, 1, 1, 0])
    found = Drawn(lambda: scatter(truth, predicted, fold, "age", "years"))
    cases = found.canvas.findobj(lambda a: a.get_label() == "case")
    points = {(px, py, a.get_markerfacecolor()) for a in cases for px, py in zip(*a.get_data(), strict=True)}
    assert points == {(1, 1.5, COLOURS["c0"]), (2, 2, COLOURS["c1"]), (3, 2.5, COLOURS["c1"])}
    (line,) = found.data("reference")
    assert line[:, 0].tolist() == line[:, 1].tolist()
    assert {"true age (years)", "predicted age (years)", "fold 0", "fold 1"} <= found.words
    assert found.figure.table.rows == ((0, 1.0, 1.5), (1, 2.0, 2.0), (1, 3.0, 2.5))


def test_of_many_cases_a_sample_is_drawn_which_is_said():
    truth = np.arange(2.0 * MOST)
    found = Drawn(lambda: scatter(truth, truth, truth.astype(int) % 9, "age"))
    assert sum(map(len, found.data("case"))) == MOST
    assert "3,000 of 6,000 cases are drawn, a random sample." in found.words
    assert len(found.figure.table.rows) == 2 * MOST
    assert not any(text.startswith("fold") for text in found.words)


def test_bland_altman_has_bias_and_limits_of_agreement():
    rng = np.random.default_rng(0)
    truth = rng.normal(50, 10, 200)
    difference = rng.normal(2, 3, 200)
    found = Drawn(lambda: bland_altman(truth, truth + difference, np.zeros(200, int), "age", "years"))
    points = np.concatenate(found.data("case"))
    assert np.sort(points[:, 1]) == pytest.approx(np.sort(difference))
    assert np.sort(points[:, 0]) == pytest.approx(np.sort(truth + difference / 2))
    bias, reach = difference.mean(), 1.96 * difference.std(ddof=1)
    assert found.data("mean")[0][0, 1] == pytest.approx(bias)
    assert [line[0, 1] for line in found.data("limit")] == pytest.approx([bias + reach, bias - reach])
    assert {f"bias {bias:.3g}", f"upper limit {bias + reach:.3g}"} <= found.words
    assert [row[0] for row in found.figure.table.rows[-3:]] == ["bias", "upper limit", "lower limit"]
    assert not Drawn(lambda: bland_altman(truth[:1], truth[:1], np.zeros(1, int), "age")).data("limit")
