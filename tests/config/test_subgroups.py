"""Subgroups from short texts: bands are a plain comparison, and what cannot divide is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.config.subgroups import UNKNOWN, Subgroups, parse
from nachos_jax.core.errors import UsageError

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: float(f"{x:.6g}"))


def test_texts():
    assert parse(["sex", " age ( 40, 65.5 ) "]) == (Subgroups("sex"), Subgroups("age", (40.0, 65.5)))
    assert parse([]) == ()


@pytest.mark.parametrize(
    "text", ["", "age(", "age()", "age(65, 40)", "age(40, 40)", "age(old)", "age(40)(65)", "age(nan)", 7]
)
def test_other_texts_are_refused_with_the_form_wanted(text):
    with pytest.raises(UsageError, match=r"config\.report\.subgroups.*age\(40, 65\)"):
        parse([text])


def test_a_column_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        parse(["age", "age(40)"])


@given(st.lists(NUMBERS, min_size=1, max_size=4, unique=True).map(sorted), st.lists(NUMBERS, max_size=30))
@settings(max_examples=60)
def test_bands_are_those_of_a_plain_comparison(cuts, values):
    group = Subgroups("age", tuple(cuts))
    bands = [(float("-inf"), cuts[0]), *zip(cuts, cuts[1:], strict=False), (cuts[-1], float("inf"))]
    found = group.of([repr(value) for value in values])
    names = {}
    for value, name in zip(values, found, strict=True):
        place = [i for i, (low, high) in enumerate(bands) if low <= value < high]
        assert names.setdefault(name, place) == place
    assert [names[name] for name in group.order(found)] == sorted(names.values())


def test_a_value_on_the_cut_belongs_to_the_band_above_and_an_empty_cell_is_unknown():
    group = Subgroups("age", (40.0, 65.0))
    found = group.of(["39.9", "40", "65", ""])
    assert found == ["below 40", "40 to below 65", "65 and above", UNKNOWN]
    assert group.order(found[::-1]) == found


def test_close_cuts_have_names_of_their_own():
    found = Subgroups("acquired", (20200101.0, 20200103.0)).of(["20200101", "20200102", "20200103"])
    assert found == ["20200101 to below 20200103"] * 2 + ["20200103 and above"]


def test_texts_are_groups_as_they_are():
    group = Subgroups("sex")
    assert group.of(["f", "m", " ", "f"]) == ["f", "m", UNKNOWN, "f"]
    assert group.order(["m", UNKNOWN, "f"]) == ["f", "m", UNKNOWN]


def test_what_cannot_divide_is_refused():
    with pytest.raises(UsageError, match="'old' .case 2., which is no number"):
        Subgroups("age", (40.0,)).of(["30", "old"])
    with pytest.raises(UsageError, match=r"13 different values.*age\(40, 65\)"):
        Subgroups("age").of([str(i) for i in range(13)])
