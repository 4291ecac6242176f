"""Learning curves: labels never touch, the chosen epoch and the selected trial show, the size is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.report.figures.drawing import TOP
from nachos_jax.report.figures.learning import FitCurve, curves, learning
from tests.report.figure_examples import drawn
from tests.report.svg_marks import boxes, marks


def of(svg, style):
    return [points for kind, points in marks(svg) if kind.split()[0] == style]


def test_nothing_to_draw_draws_nothing():
    assert curves({"fold 0": (None,)}, "losses") is None
    assert curves({}, "losses") is None
    assert learning([], {}, {}) is None
    assert learning([FitCurve(0, 0, 1, (float("nan"), None))], {}, {}) is None


@given(st.lists(st.lists(st.floats(0, 3), min_size=1, max_size=40), min_size=1, max_size=12))
def test_labels_of_curves_never_touch_and_stay_inside(lines):
    svg = drawn(curves({f"fold {i}": line for i, line in enumerate(lines)}, "losses")).svg
    heights = sorted(box.bottom for box in boxes(svg) if box.words.startswith("fold"))
    assert len(heights) == len(lines)
    assert all(b - a >= 12.8 for a, b in zip(heights, heights[1:], strict=False))
    assert heights[0] > TOP
    assert heights[-1] <= 247


def test_a_curve_of_one_epoch_is_a_dot_and_gaps_are_left_out():
    assert '<circle class="dot c0"' in drawn(curves({"fold 0": (0.7,)}, "losses")).svg
    svg = drawn(curves({"fold 0": (0.7, None, 0.5)}, "losses")).svg
    assert [len(points) for points in of(svg, "curve")] == [2]


def test_many_curves_have_no_labels():
    svg = drawn(curves({f"fold {i}": (0.7, 0.5) for i in range(13)}, "losses")).svg
    assert "endlabel" not in svg


def panel_end(svg):
    return max(points[1][0] for points in of(svg, "grid"))


def fits(folds, trials, inner, epochs):
    return [
        FitCurve(k, h, j, [1 / (e + h + 1) + (e * (j + 7) % 13) / 50 for e in range(epochs)])
        for k in range(folds)
        for h in range(trials)
        for j in range(inner)
    ]


def test_the_chosen_epoch_stands_at_its_place_and_the_selected_trial_is_on_top():
    svg = drawn(learning(fits(1, 3, 2, 21), {0: 1}, {0: 11.0})).svg
    grid = [points[0][0] for points in of(svg, "grid") if points[0][0] == points[1][0]]
    chosen = [points[0][0] for points in of(svg, "chosen")]
    # The last mark of this class is in the panel, the first in the legend; epoch 11 is midway from 1 to 21.
    assert chosen[-1] == pytest.approx((min(grid) + panel_end(svg)) / 2, abs=0.2)
    kinds = [kind for kind, points in marks(svg) if kind in ("faint", "taken") and len(points) > 2]
    assert kinds == ["faint", "faint", "taken"]
    assert "fold 0: trial 1, n* 11" in {box.words for box in boxes(svg)}


def test_ten_folds_of_sixteen_trials_stay_small_and_the_table_stays_whole():
    many = fits(10, 16, 9, 60)
    figure = drawn(learning(many, {k: k for k in range(10)}, {k: 7.0 for k in range(10)}))
    assert len(figure.svg) < 150_000
    assert len(figure.table.rows) == 10 * 16 * 9 * 60


def test_what_is_not_drawn_is_said():
    figure = drawn(learning(fits(2, 1500, 1, 3), {0: 0}, {}))
    assert any("one in 2 fits" in box.words for box in boxes(figure.svg))
    assert len(figure.svg) < 250_000
    high = drawn(learning([FitCurve(0, 0, 1, [0.5] * 99 + [1e6])], {}, {}))
    assert any("upper edge" in box.words for box in boxes(high.svg))
