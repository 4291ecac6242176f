"""Texts of figures: numbers as they are written, and names that fit their room."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.report.figures import drawing, numbers

MINUS, DOTS = "\N{MINUS SIGN}", "\N{HORIZONTAL ELLIPSIS}"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf"), 1e300])
def test_what_no_axis_holds_is_undefined(value):
    assert numbers.defined(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0001, "0.0001"), (1e-5, f"1e{MINUS}5"), (2500.0, "2500"), (-2.5e12, f"{MINUS}2.5e12")],
)
def test_compact_numbers(value, text):
    assert numbers.compact(value) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.0, 0.8512], ["1.000", "0.851"]),
        ([295.018, 327.341], ["295", "327"]),
        ([3436.2, -12.4], ["3,436", f"{MINUS}12"]),
        ([0.000412, 0.0000391], ["0.000412", "0.000039"]),
        ([2e9, 0.0], ["2e9", "0"]),
        ([1e-7], [f"1e{MINUS}7"]),
    ],
)
def test_numbers_that_stand_below_each_other_are_written_alike(values, texts):
    told = numbers.teller([*values, None, float("nan")])
    assert [told(value) for value in values] == texts


@settings(deadline=None)
@given(st.text(max_size=60), st.floats(20, 300), st.integers(1, 3))
@pytest.mark.filterwarnings("ignore:Glyph")
def test_shortened_texts_fit_and_keep_both_ends(words, room, lines):
    found, whole = drawing.fit(words, room, lines=lines).split("\n"), drawing.plain(words)
    assert len(found) <= lines
    assert all(drawing.width(line) <= room for line in found)
    if lines == 1 and DOTS not in whole and found[0] != whole.strip():
        head, tail = found[0].split(DOTS)
        assert whole.strip().startswith(head)
        assert whole.strip().endswith(tail)


def test_names_are_parted_at_words_before_they_are_cut():
    assert drawing.fit("class_weight_exponent", 120, lines=2) == "class_weight_\nexponent"
    names = [f"Institution of radiology, scanner {i}" for i in (1, 2)]
    assert len({drawing.fit(name, 120) for name in names}) == 2, "names that differ at their end still differ"


def test_marks_that_turn_text_round_are_replaced():
    assert drawing.plain("a\u202eb\x00c\nd") == "a\ufffdb\ufffdc d"
