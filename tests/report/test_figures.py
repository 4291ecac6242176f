"""Geometry of the figures: every point lies where its number says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.report import figures


def drawn(svg: str | None) -> str:
    assert svg is not None
    return svg


NUMBERS = st.floats(-1e4, 1e4)


@given(st.lists(NUMBERS, min_size=1))
def test_axis_holds_all_values_with_few_round_ticks(values):
    axis = figures.axis(values, 10, 110)
    slack = 1e-6 * (axis.ticks[1] - axis.ticks[0])
    assert axis.low - slack <= min(values)
    assert max(values) <= axis.high + slack
    assert 2 <= len(axis.ticks) <= 8
    assert len({axis.text(tick) for tick in axis.ticks}) == len(axis.ticks)
    assert (axis.at(axis.low), axis.at(axis.high)) == (10, 110)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_points_keep_the_order_and_the_scale_of_their_numbers(values):
    svg = drawn(figures.strip({"row": [figures.Mark(v, "") for v in values]}, "score", "scores"))
    places = [float(x) for x in re.findall(r'<circle class="trial" cx="([\d.]+)"', svg)]
    axis = figures.axis(values, figures.LEFT + 14, figures.WIDTH - figures.RIGHT)
    assert places == pytest.approx([axis.at(v) for v in values], abs=0.051)
    assert all(figures.LEFT <= place <= figures.WIDTH for place in places)


def test_failed_marks_are_crosses_and_selected_ones_are_drawn_last():
    marks = [figures.Mark(0.5, "a", True), figures.Mark(None, "b"), figures.Mark(0.6, "c")]
    svg = drawn(figures.strip({"row": marks}, "score", "scores"))
    assert re.findall(r'class="(trial|selected|failed)"', svg) == ["failed", "trial", "selected"]


def test_nothing_to_draw_draws_nothing():
    assert figures.strip({"row": [figures.Mark(None, "a")]}, "score", "scores") is None
    assert figures.strip({}, "score", "scores") is None
    assert figures.curves({"fold 0": (None,)}, "losses") is None
    assert figures.curves({}, "losses") is None


@given(st.lists(st.lists(st.floats(0, 3), min_size=1, max_size=40), min_size=1, max_size=12))
def test_labels_of_curves_never_touch_and_stay_inside(lines):
    svg = drawn(figures.curves({f"fold {i}": line for i, line in enumerate(lines)}, "losses"))
    heights = sorted(
        float(y) for y in re.findall(r'<text class="endlabel[^"]*" x="[\d.]+" y="([-\d.]+)"', svg)
    )
    assert len(heights) == len(lines)
    assert all(b - a >= 12.8 for a, b in zip(heights, heights[1:], strict=False))
    assert heights[0] > 0
    assert heights[-1] <= 245


def test_a_curve_of_one_epoch_is_a_dot_and_gaps_are_left_out():
    assert '<circle class="dot c0"' in drawn(figures.curves({"fold 0": (0.7,)}, "losses"))
    svg = drawn(figures.curves({"fold 0": (0.7, 0.5, None)}, "losses"))
    assert svg.count("L") == 1


def test_many_curves_have_no_labels():
    svg = drawn(figures.curves({f"fold {i}": (0.7, 0.5) for i in range(13)}, "losses"))
    assert "endlabel" not in svg
