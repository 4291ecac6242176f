"""Who the subjects on both sides are: by subject, in counts and means, where both sides know."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nachos_jax.data.described import both, number
from nachos_jax.data.table import CaseTable


def table(subjects: str, **columns: list) -> CaseTable:
    names = np.asarray([f"case-{row}" for row in range(len(subjects))])
    cells = {name: np.asarray(values, str) for name, values in columns.items()}
    return CaseTable(names, np.asarray(list(subjects)), columns=cells)


AGES = [40, 42, 60, 63, 71, 55]


def test_numbers_are_means_of_subjects_and_words_their_usual_one():
    inside = table("aabcde", age=AGES, sex=["F", "f", "M", "", "M", "F"])
    outside = table("vwwx", age=["070Y", "", "81", "66.5"], sex=["m", "F", "F", "M"])
    found = both(inside, outside)
    own = [41, 60, 63, 71, 55]
    assert found["age"]["inside"] == {
        "subjects": 5,
        "mean": pytest.approx(np.mean(own)),
        "sd": pytest.approx(np.std(own, ddof=1)),
    }
    assert found["age"]["external"]["mean"] == pytest.approx(np.mean([70, 81, 66.5]))
    assert found["sex"] == {
        "inside": {"counts": {"F": 2, "M": 2}},
        "external": {"counts": {"F": 1, "M": 2}},
    }


def test_codes_are_words_and_what_says_nothing_is_left_out():
    inside = table(
        "abcdef", sex=[0, 1, 1, 0, 1, 1], age=AGES, centre=list("uvwxyz"), grade=[1, 2, 3, 1, 2, 3]
    )
    outside = table("vw", sex=[1, 0], age=["", "n/a"], free=["text", "more"])
    counts = {"inside": {"counts": {"0": 2, "1": 4}}, "external": {"counts": {"0": 1, "1": 1}}}
    assert both(inside, outside) == {"sex": counts}
    many = [f"word {chr(97 + row)}" for row in range(20)]
    letters = "abcdefghijklmnopqrst"
    assert both(table(letters, note=many), table(letters, note=many)) == {}


def test_underscores_make_words_of_numbers():
    assert number("12_5") is None
    assert number("12.5") == 12.5


def test_no_cell_of_a_subject_is_told():
    inside = table("abcdef", age=[*AGES[:5], 97.25])
    told = json.dumps(both(inside, table("uvwxyz", age=[31.5, *AGES[1:]])))
    assert "97.25" not in told
    assert "31.5" not in told
