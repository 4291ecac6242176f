"""Scales: every number has its place, and ticks are round and few."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.report.figures import axes

NUMBERS = st.floats(-1e4, 1e4)


@given(st.lists(NUMBERS, min_size=1))
def test_axis_holds_all_values_with_few_round_ticks(values):
    axis = axes.axis(values, 10, 110)
    slack = 1e-6 * (axis.ticks[1] - axis.ticks[0])
    assert axis.low - slack <= min(values)
    assert max(values) <= axis.high + slack
    assert 2 <= len(axis.ticks) <= 8
    assert len({axis.text(tick) for tick in axis.ticks}) == len(axis.ticks)
    assert (axis.at(axis.low), axis.at(axis.high)) == (10, 110)


@given(st.lists(st.floats(0, 1), min_size=1))
def test_axis_of_shares_stays_within_its_bounds(values):
    axis = axes.axis(values, 0, 100, bounds=(0, 1))
    assert axis.low >= 0
    assert axis.high <= 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_axis_of_equal_values_at_a_bound_does_not_pass_it(value):
    axis = axes.axis([value, value], 0, 100, bounds=(0, 1))
    assert 0 <= axis.low < axis.high <= 1
    assert axis.at(value) == (0 if value == 0 else 100)


def test_values_beyond_a_bound_are_still_held():
    axis = axes.axis([0.5, 1.07], 0, 100, bounds=(0, 1))
    assert axis.high >= 1.07


@given(st.floats(1e-12, 1e12), st.floats(1, 1e6), st.floats(0, 1))
def test_log_axis_gives_equal_ratios_equal_lengths(low, ratio, part):
    axis = axes.log_axis(low, low * ratio, 5, 105)
    assert len(axis.ticks) >= 2
    assert all(5 - 1e-6 <= axis.at(tick) <= 105 + 1e-6 for tick in axis.ticks)
    ends = math.log(axis.low), math.log(axis.high)
    inside = min(max(math.exp(ends[0] + part * (ends[1] - ends[0])), axis.low), axis.high)
    assert axis.at(inside) == pytest.approx(5 + 100 * part, abs=1e-4)


def test_log_ticks_are_powers_of_ten_where_two_fit():
    assert axes.log_axis(1e-4, 1e-1, 0, 1).ticks == (1e-4, 1e-3, 1e-2, 1e-1)
    assert axes.log_axis(2e-4, 6e-3, 0, 1).ticks == (3e-4, 1e-3, 3e-3)
    assert axes.log_axis(11, 12, 0, 1).ticks == (11, 12)


@given(st.integers(0, 5000))
def test_epochs_begin_at_one_and_are_whole(epochs):
    axis = axes.epochs_axis(epochs, 0, 100)
    assert axis.ticks[0] == axis.low == 1
    assert axis.high == max(2, epochs)
    assert all(tick == int(tick) for tick in axis.ticks)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf"), 1e300])
def test_what_no_axis_holds_is_undefined(value):
    assert axes.defined(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0001, "0.0001"), (1e-5, "1e\N{MINUS SIGN}5"), (-2.5e12, "\N{MINUS SIGN}2.5e12"), (0.25, "0.25")],
)
def test_compact_numbers(value, text):
    assert axes.compact(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.000"), (0.8512, "0.851"), (1e-7, "1e\N{MINUS SIGN}7"), (2e9, "2e9")]
)
def test_scores_have_three_decimals_where_these_say_something(value, text):
    assert axes.decimals(value) == text


def test_ticks_of_tiny_and_of_huge_numbers_are_told_apart():
    for scale in (1e-9, 1e9):
        axis = axes.axis([0.0, 3 * scale], 0, 100)
        assert len({axis.text(tick) for tick in axis.ticks}) == len(axis.ticks)
        assert max(len(axis.text(tick)) for tick in axis.ticks) <= 8


def test_labels_of_a_grid_that_has_no_room_are_left_out():
    wide = axes.vertical_grid(axes.axis([0, 1], 60, 400), 0, 10)
    narrow = axes.vertical_grid(axes.axis([0, 1], 60, 100), 0, 10)
    count = [sum(part.startswith("<text") for part in parts) for parts in (wide, narrow)]
    assert count == [6, 2]
    assert sum(part.startswith("<line") for part in narrow) == 6
