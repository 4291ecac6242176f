"""Spellings that are one thing meet, others never do; what meets is refused, joined or kept apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax import ArrayCases, cohort
from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import sources
from nachos_jax.data.spellings import canonical, is_missing, settled
from nachos_jax.tasks.classification import TASK

ONE = [
    *[("1", "1.0"), ("1", "1."), ("1", "001"), ("-2", "-2.00"), ("1.5", "1.50"), ("0", "00"), ("0", "0.0")],
    *[("P01", "p01"), ("P01", "P1"), ("sub-007", "SUB-7"), ("True", "TRUE"), ("Benign", "benign")],
    *[
        ("Jos\u00e9", "Jose\u0301"),
        ("P1", "P1\u200b"),
        ("P1", "\ufeffP1"),
        ("P1", "P\u00ad1"),
        ("P1", "P\x001"),
    ],
    *[
        ("P 1", "P\u00a01"),
        ("P 1", "P  1"),
        ("P-1", "P\u20131"),
        ("-1", "\u22121"),
        ("P1", "P\u0661"),
        ("001", "'1"),
        ("Stra\u00dfe", "STRASSE"),
        ("12", "\uff11\uff12"),
    ],
]
TWO = [
    ("1", "10"),
    ("10", "100"),
    ("0.5", "0.05"),
    ("1.1", "1.10.0"),
    ("P1", "P11"),
    ("P1", "P2"),
    ("a", "\u00e4"),
]
LOST = [
    "n/a",
    "N/A",
    "NA",
    "<NA>",
    "null",
    "NULL",
    "#N/A",
    "?",
    "None",
    "nan",
    "NaN",
    " na ",
    "\u200b",
    "#REF!",
    "(null)",
    "\\N",
    ".",
    "--",
    "Not available",
    "1.#QNAN",
]


@pytest.mark.parametrize(("a", "b"), ONE)
def test_spellings_of_one_thing_meet(a: str, b: str):
    assert canonical(a) == canonical(b)


@pytest.mark.parametrize(("a", "b"), TWO)
def test_two_things_stay_two(a: str, b: str):
    assert canonical(a) != canonical(b)


@given(st.integers(0, 10**30), st.integers(0, 10**30), st.sampled_from(["{}", "P{}", "{}-x", "P{}_1", "0{}"]))
def test_numbers_meet_only_themselves(a: int, b: int, form: str):
    assert (canonical(form.format(a)) == canonical(form.format(b))) == (a == b)


@given(st.text(max_size=12))
def test_any_text_meets_its_other_forms(text: str):
    form = canonical(text)
    others = [canonical(form), canonical(f" {text}\u200d\n"), canonical(unicodedata.normalize("NFD", text))]
    assert others == [form] * 3


@pytest.mark.parametrize("text", LOST)
def test_words_for_a_missing_value(text: str):
    assert is_missing(text)
    for cases in ({"targets": ["a", text, "b"]}, {"subjects": ["1", text, "2"]}):
        known: dict[str, Any] = {"targets": ["a", "b", "a"], "subjects": [1, 2, 3], **cases}
        with pytest.raises(UsageError, match=r"row 1 .*(is missing|reads like a missing value)"):
            cohort(ArrayCases(np.zeros((3, 4, 4)), **known))


@pytest.mark.parametrize("text", ["unknown", "-", "anonymous"])
def test_a_subject_that_nobody_knows_is_no_subject(text: str):
    with pytest.raises(UsageError, match=r"row 1 .*subject .* is missing"):
        cohort(ArrayCases(np.zeros((3, 4, 4)), ["a", "b", "a"], ["x", text, "y"]))
    assert (
        cohort(ArrayCases(np.zeros((3, 4, 4)), ["a", text, "a"], ["x", "y", "z"])).targets.counts()[text] == 1
    )


def test_joined_and_apart():
    values = ["b", "P1", "p01", "P01", "B"]
    where = "row {}".format
    assert settled(values, "subject", where, "join") == ["B", "P1", "P1", "P1", "B"]
    assert settled(values, "label", where, "join", ["b", "p01"]) == ["b", "p01", "p01", "p01", "b"]
    assert settled(values, "subject", where, "apart") == values
    with pytest.raises(UsageError) as caught:
        settled(values, "subject", where, "refuse")
    for part in [
        "'b' (row 0) and 'B' (row 4)",
        "'P1' (row 1) and 'p01' (row 2) and 'P01'",
        "'join'",
        "'apart'",
    ]:
        assert part in str(caught.value)


@given(st.permutations(["1", "01", "1.0", "x", "X"]))
def test_the_spelling_that_is_kept_does_not_depend_on_the_order(values: list[str]):
    joined = settled(values, "subject", str, "join")
    assert dict(zip(values, joined, strict=True)) == {"1": "1", "01": "1", "1.0": "1", "x": "X", "X": "X"}


def test_subjects_labels_and_sites_of_a_table(config: Callable[..., DataConfig], table: Callable[..., Path]):
    path = table("path,label,subject,site\n0.png,a,1,h\n1.png,b,2,H\n2.png,A,1.0,h\n3.png,b,3,h\n")

    def load(rule: str):
        return sources.load(config(source="csv", path=str(path), spellings=rule), TASK)

    with pytest.raises(UsageError) as caught:
        load("refuse")
    for part in ("'a' (cases.csv line 2) and 'A' (cases.csv line 4)", "'1' (", "'h' ("):
        assert part in str(caught.value)
    joined, apart = load("join"), load("apart")
    assert joined.table.subjects.tolist() == ["1", "2", "1", "3"]
    assert joined.targets.names == ("A", "b")
    assert joined.table.sites is not None
    assert apart.table.sites is not None
    assert set(joined.table.sites) == {"H"}
    assert (len(set(apart.table.subjects)), len(apart.targets.names), len(set(apart.table.sites))) == (
        4,
        3,
        2,
    )
    assert joined.hash != apart.hash


def test_all_faulty_rows_are_named(config: Callable[..., DataConfig], table: Callable[..., Path]):
    rows = "".join(f"{i}.png,{'' if i > 1 else 'ab'[i]},{'?' if i == 3 else i}\n" for i in range(15))
    path = table(f"path,label,subject\n{rows}", {f"{i}.png": np.zeros((5, 6), np.uint8) for i in range(12)})
    with pytest.raises(UsageError) as caught:
        sources.load(config(source="csv", path=str(path)), TASK)
    told = str(caught.value)
    for part in [
        "line 4: label ''",
        "line 13: label ''",
        "and 3 more",
        "13 rows in all",
        "line 5: subject '?'",
    ]:
        assert part in told, told
    assert "line 14: label" not in told
    assert "line 14: there is no file '12.png'" in told
    assert "line 16: there is no file '14.png'" in told
