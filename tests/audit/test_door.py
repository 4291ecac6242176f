"""What a run refuses of equal inputs, and what it only tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nachos_jax import ArrayCases, cohort
from nachos_jax.audit import door
from nachos_jax.core.errors import UsageError
from nachos_jax.splits.folds import Folds

TOGETHER = Folds(np.asarray([[0, 1, 2, 1, 2, 0]], np.int32), 3, 1)
APART = Folds(np.asarray([[0, 1, 2, 1, 2, 1]], np.int32), 3, 1)
"""Folds of six cases, of which the first and the last are copies."""


def _cohort(targets: Any, task: str, **more: Any):
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4), np.uint8)
    images[5] = images[0]
    known: dict[str, Any] = {"subjects": [*"abcdef"], **more}
    return cohort(ArrayCases(images, np.asarray(targets), **known), task)


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
            door.check(found, TOGETHER, ())
    assert len(door.check(found, TOGETHER, ("contradictions",))) == 1 + contradict


def test_copies_in_two_folds_are_refused_until_they_are_accepted():
    found = _cohort([0, 1, 0, 1, 1, 0], "classification")
    with pytest.raises(
        UsageError, match=r"2 images are equal .* (?s:.)*different subjects(?s:.)*--allow=duplicates, or"
    ) as told:
        door.check(found, APART, ("contradictions",))
    assert "contradictions" not in str(told.value)
    (accepted,) = door.check(found, APART, ("duplicates",))
    assert accepted.endswith("The user has accepted this (--allow=duplicates).")
    (begun,) = door.check(found, APART, (), begun=True)
    assert "accepted" not in begun
    (together,) = door.check(found, TOGETHER, ())
    assert together in begun


def test_copies_that_part_in_a_later_repeat_are_refused_too():
    found = _cohort([0, 1, 0, 1, 1, 0], "classification")
    rows = np.concatenate([TOGETHER.assignment, APART.assignment + 3])
    with pytest.raises(UsageError, match="--allow=duplicates, or"):
        door.check(found, Folds(rows, 3, 2), ())


def test_both_leaks_are_told_at_once():
    found = _cohort([0, 1, 0, 1, 1, 1], "classification")
    with pytest.raises(UsageError, match=r"--allow=contradictions,duplicates, or") as told:
        door.check(found, APART, ())
    assert str(told.value).count("2 images are equal") == 2


def test_what_can_be_accepted_is_named():
    with pytest.raises(UsageError, match="'all': what can be accepted is 'duplicates' and 'contradictions'"):
        door.check_names(("all",))


def test_a_subject_may_have_an_image_twice():
    found = _cohort([0, 1, 0, 1, 1, 0], "classification", subjects=["a", "b", "c", "d", "e", "a"])
    assert door.check(found, APART, ()) == []
