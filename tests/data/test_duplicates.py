"""Equal images are found whatever lies between them; targets that cannot both hold are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax import ArrayCases, cohort
from nachos_jax.core.errors import UsageError
from nachos_jax.data import duplicates
from nachos_jax.data.store import Dense


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_groups_are_those_of_a_plain_search(kinds: list[int]):
    pictures = np.random.default_rng(0).integers(0, 2, (7, 2, 2, 1), np.uint8)
    pictures[3] = pictures[5]
    images = pictures[kinds]
    found = duplicates.equal_cases(Dense(images), len(images))
    plain = {
        tuple(j for j in range(len(images)) if (images[i] == images[j]).all()) for i in range(len(images))
    }
    assert {tuple(rows) for rows in found} == {rows for rows in plain if len(rows) > 1}


def _cohort(targets: Any, task: str, **more: Any):
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4), np.uint8)
    images[5] = images[0]
    return cohort(ArrayCases(images, np.asarray(targets), **{"subjects": [*"abcdef"], **more}), task)


NAN = np.nan
KNOWN = [[0, 1], [1, 0], [0, 1], [1, 0], [1, 1]]
TARGETS: dict[str, tuple[Any, str, bool]] = {
    "one class": ([0, 1, 0, 1, 1, 0], "classification", False),
    "two classes": ([0, 1, 0, 1, 1, 1], "classification", True),
    "one number": ([1.5, 2, 3, 4, 5, 1.5], "regression", False),
    "two numbers": ([1.5, 2, 3, 4, 5, 1.25], "regression", True),
    "a label that is not known": ([*KNOWN, [0, NAN]], "multilabel", False),
    "two labels": ([*KNOWN, [NAN, 0]], "multilabel", True),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets_that_contradict_each_other(name: str):
    targets, task, contradict = TARGETS[name]
    found = _cohort(targets, task)
    if contradict:
        with pytest.raises(UsageError, match=r"2 images are equal .*row-000000 \(subject a, .*row-000005"):
            duplicates.check(found, accepted=False)
    assert len(duplicates.check(found, accepted=True)) == 1 + contradict


def test_a_subject_may_have_an_image_twice():
    found = _cohort([0, 1, 0, 1, 1, 0], "classification", subjects=["a", "b", "c", "d", "e", "a"])
    assert duplicates.check(found, accepted=False) == []
