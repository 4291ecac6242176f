"""Scales: every number has its place, ticks are round and few, and texts fit their room."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.report.figures import drawing, scales

MINUS, DOTS = "\N{MINUS SIGN}", "\N{HORIZONTAL ELLIPSIS}"


def ticks_of(values, bounds=(None, None), wide=300.0):
    """Limits of an axis, its ticks and their texts."""
    with drawing.sheet(100) as page:
        axes = page.axes(40, 10, wide, 50)
        drawing.scale(axes.xaxis, values, bounds)
        texts = [label.get_text() for label in axes.get_xticklabels()]
        return axes.get_xlim(), list(axes.get_xticks()), texts


@settings(deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=1), st.floats(60, 400))
def test_an_axis_holds_all_values_with_few_round_ticks(values, wide):
    (low, high), ticks, texts = ticks_of(values, wide=wide)
    slack = 1e-6 * (ticks[1] - ticks[0])
    assert low - slack <= min(values)
    assert max(values) <= high + slack
    assert (low, high) == (ticks[0], ticks[-1])
    assert 2 <= len(ticks) <= 7
    assert len(set(texts)) == len(ticks)
    assert [scales.defined(float(text.replace(MINUS, "-"))) for text in texts] == pytest.approx(
        ticks, rel=1e-3
    )


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1))
def test_an_axis_of_shares_stays_within_its_bounds(values):
    (low, high), _, _ = ticks_of(values, (0.0, 1.0))
    assert 0 <= low < high <= 1


def test_values_beyond_a_bound_are_still_held():
    assert ticks_of([0.5, 1.07], (0.0, 1.0))[0][1] >= 1.07


@pytest.mark.parametrize("size", [1e-9, 1e9, 1e30])
def test_ticks_of_tiny_and_of_huge_numbers_are_told_apart(size):
    texts = ticks_of([0.0, 3 * size])[2]
    assert len(set(texts)) == len(texts)
    assert max(map(len, texts)) <= 8


def test_log_ticks_are_powers_of_ten_where_two_fit():
    assert scales.log_ticks(1e-4, 1e-1) == [1e-4, 1e-3, 1e-2, 1e-1]
    assert scales.log_ticks(2e-4, 6e-3) == [3e-4, 1e-3, 3e-3]
    assert scales.log_ticks(11, 12) == [11, 12]


@given(st.integers(0, 5000))
@settings(deadline=None, max_examples=30)
def test_epochs_begin_at_one_and_are_whole(last):
    with drawing.sheet(100) as page:
        axes = page.axes(40, 10, 300, 50)
        drawing.epochs(axes.xaxis, last)
        assert axes.get_xlim() == (1, max(2, last))
        ticks = list(axes.get_xticks())
    assert ticks[0] == 1
    assert all(tick == int(tick) for tick in ticks)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf"), 1e300])
def test_what_no_axis_holds_is_undefined(value):
    assert scales.defined(value) is None


@pytest.mark.parametrize(
    ("value", "text"), [(0.0001, "0.0001"), (1e-5, f"1e{MINUS}5"), (-2.5e12, f"{MINUS}2.5e12")]
)
def test_compact_numbers(value, text):
    assert scales.compact(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.000"), (0.8512, "0.851"), (1e-7, f"1e{MINUS}7"), (2e9, "2e9")]
)
def test_scores_have_three_decimals_where_these_say_something(value, text):
    assert scales.decimals(value) == text


@settings(deadline=None)
@given(st.text(max_size=60), st.floats(20, 300))
def test_shortened_texts_fit_and_keep_both_ends(words, room):
    short, whole = drawing.fit(words, room), drawing.plain(words)
    assert drawing.width(short) <= room
    if short != whole:
        head, tail = short.split(DOTS, 1)
        assert whole.startswith(head) or DOTS in whole
        assert len(head + tail) < len(whole)


def test_names_that_differ_at_their_end_still_differ():
    names = [f"Institution of radiology, scanner {i}" for i in (1, 2)]
    assert len({drawing.fit(name, 120) for name in names}) == 2


def test_marks_that_turn_text_round_are_replaced():
    assert drawing.plain("a\u202eb\x00c\nd") == "a\ufffdb\ufffdc d"


@given(st.lists(st.floats(0, 200), min_size=1, max_size=12))
def test_spread_places_keep_their_order_and_distance(places):
    places = sorted(places)
    moved = scales.spread(places, 13, 240)
    assert all(b - a >= 13 - 1e-6 for a, b in zip(moved, moved[1:], strict=False))
    assert moved[-1] <= 240
    if all(b - a >= 13 for a, b in zip(places, places[1:], strict=False)):
        assert moved == pytest.approx(places)
