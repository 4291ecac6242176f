"""Primitives: what is written can be read back, fits its room, and cannot break out of it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.report.figures import drawing as draw
from tests.report.svg_marks import path_points

PLACES = st.floats(-500, 500)
POINTS = st.lists(st.tuples(PLACES, PLACES), min_size=1, max_size=60)


@given(POINTS)
def test_a_trail_read_back_is_the_line_to_a_tenth(points):
    found = path_points(draw.trail(points))[: len(points)]
    assert len(found) == len(points)
    for got, want in zip(found, points, strict=True):
        assert got == pytest.approx(want, abs=0.0501)


@given(POINTS, st.integers(3, 40))
def test_thinned_lines_keep_their_ends_and_order(points, limit):
    points = [(float(i), y) for i, (_, y) in enumerate(points)]
    kept = draw.thin(points, limit)
    assert len(kept) == min(limit, len(points))
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert set(kept) <= set(points)
    assert kept == sorted(kept)


def test_thinning_keeps_a_lone_peak():
    points = [(float(i), 10.0 if i == 437 else 0.0) for i in range(1000)]
    assert (437.0, 10.0) in draw.thin(points, 20)


@given(st.text(max_size=80), st.floats(20, 300))
def test_shortened_texts_fit_and_keep_both_ends(words, room):
    short = draw.shorten(words, room)
    assert draw.text_width(short) <= room
    if short != words:
        head, tail = short.split("\N{HORIZONTAL ELLIPSIS}", 1)
        assert words.startswith(head) or "\N{HORIZONTAL ELLIPSIS}" in words
        assert len(head + tail) < len(words)


def test_names_that_differ_at_their_end_still_differ():
    names = [f"Institution of radiology, scanner {i}" for i in (1, 2)]
    assert len({draw.shorten(name, 120) for name in names}) == 2


@given(st.text(max_size=40))
def test_any_text_is_well_formed_and_alone(words):
    element = ElementTree.fromstring(f"<svg>{draw.text(1, 2, words, room=80)}</svg>")
    assert len(element) <= 1
    assert all(item.tag in ("svg", "text", "title") for item in element.iter())


def test_marks_that_turn_text_round_are_replaced():
    assert draw.plain("a\u202eb\x00c\nd") == "a\ufffdb\ufffdc d"


@given(st.lists(st.floats(0, 200), min_size=1, max_size=12))
def test_spread_places_keep_their_order_and_distance(places):
    places = sorted(places)
    moved = draw.spread(places, 13, 240)
    assert all(b - a >= 13 - 1e-6 for a, b in zip(moved, moved[1:], strict=False))
    assert moved[-1] <= 240
    if all(b - a >= 13 for a, b in zip(places, places[1:], strict=False)):
        assert moved == pytest.approx(places)


@given(st.floats(-50, 500), st.text(max_size=30))
def test_inward_texts_stay_inside(x, words):
    middle, half = draw.inward(x, words), draw.text_width(words) / 2
    assert middle - half >= -1e-9
    if 2 * half <= draw.WIDTH:
        assert middle + half <= draw.WIDTH + 1e-9


def test_a_legend_breaks_its_rows():
    items = [("strong", f"a name of some length {i}") for i in range(4)]
    parts, base = draw.legend(items, 0, 10, 440)
    assert base > 10
    assert len(parts) == 2 * len(items)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.04, "0"), (0.5, ".5"), (-0.5, "-.5"), (12.0, "12"), (3.14, "3.1")]
)
def test_short_numbers(value, text):
    assert draw.short_number(value) == text
