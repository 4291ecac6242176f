"""The case table of a run: back from JSON as it was, folds in today's order, other cases refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.errors import UsageError
from nachos_jax.records import case_table
from nachos_jax.records.case_table import CaseRecord
from nachos_jax.records.store import RunDirectory, dump
from nachos_jax.splits.folds import Folds
from tests.records import seals

NAN = float("nan")
TARGETS = {
    "class numbers": np.array([0, 1, 2, 1], np.int32),
    "labels": np.array([[0, 1], [1, NAN], [NAN, NAN], [0, 0]], np.float32),
    "labels all known": np.array([[0, 1], [1, 0], [1, 1], [0, 0]], np.float32),
    "a number": np.array([0.1, -1e300, 7.0, 5e-324]),
    "a number of some": np.array([0.1, NAN, 7.0, 1 / 3]),
}
ROWS = np.array([[0, 1, 0, 1], [3, 3, 2, 2]])


def record(targets: np.ndarray, sites: np.ndarray | None = None) -> CaseRecord:
    return CaseRecord(np.array(list("wxyz")), np.array(list("abcc")), sites, targets, Folds(ROWS, 2, 2))


@pytest.mark.parametrize("sites", [None, np.array(["bonn", "lima", "", "ä"])])
@pytest.mark.parametrize("kind", TARGETS)
def test_round_trip(tmp_path: Path, kind: str, sites: np.ndarray | None) -> None:
    there = record(TARGETS[kind], sites)
    RunDirectory(tmp_path).commit_cases(there)
    back = RunDirectory(tmp_path).cases()
    assert back is not None
    for name in ("names", "subjects", "sites"):
        np.testing.assert_array_equal(getattr(back, name), getattr(there, name))
    np.testing.assert_array_equal(back.targets, there.targets)
    assert back.targets.dtype == (np.int64 if there.targets.dtype.kind == "i" else np.float64)
    np.testing.assert_array_equal(back.folds.assignment, there.folds.assignment)
    assert (back.folds.count, back.folds.repeats, back.folds.hash) == (2, 2, there.folds.hash)
    assert dump(case_table.to_json(back)) == dump(case_table.to_json(there))
    RunDirectory(tmp_path).commit_cases(back)


def test_unknown_targets_are_null() -> None:
    assert json.loads(dump(case_table.to_json(record(TARGETS["labels"]))))["targets"] == [
        [0, 1],
        [1, None],
        [None, None],
        [0, 0],
    ]


def test_a_new_directory_has_none_and_another_table_is_refused(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert run.cases() is None
    run.commit_cases(record(TARGETS["a number"]))
    with pytest.raises(UsageError, match="cases.json already holds another result"):
        run.commit_cases(record(TARGETS["class numbers"]))


@pytest.mark.parametrize(
    "damage",
    [
        {"names": ["w", "x", "y"]},
        {"subjects": ["a"]},
        {"sites": ["a", "b"]},
        {"targets": [0, 1, 2]},
        {"targets": [0, 1, [2], 1]},
        {"targets": None},
        {"folds": [[0, 1, 0]]},
        {"folds": [[0, 1, 0, 1], [3, 3, 2]]},
        {"folds": [[0, 0, 0, 0]]},
        {"folds": []},
        {"folds": [0, 1, 0, 1]},
        {"count": None},
        {"count": 3},
    ],
)
def test_a_damaged_table_is_told_by_name(tmp_path: Path, damage: dict) -> None:
    run = RunDirectory(tmp_path)
    run.commit_run({})
    run.commit_cases(record(TARGETS["class numbers"]))
    path = tmp_path / "records" / "cases.json"
    whole = path.read_bytes()
    seals.edit(path, **damage)
    with pytest.raises(UsageError, match="cases.json is damaged"):
        run.cases()
    for name in json.loads(whole):
        path.write_bytes(whole)
        seals.change(path, lambda value, name=name: {key: value[key] for key in value if key != name})
        if name == "digest":
            path.write_bytes(whole.replace(b'"digest"', b'"digesu"'))
        with pytest.raises(UsageError, match="cases.json is damaged"):
            run.cases()


@given(st.permutations(range(4)))
def test_folds_come_in_the_order_of_the_table(order: list[int]) -> None:
    there = record(TARGETS["class numbers"])
    folds = there.folds_of(there.names[order], "runs/x")
    np.testing.assert_array_equal(folds.assignment, ROWS[:, order])
    assert (folds.count, folds.repeats) == (2, 2)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("wxyzu", "1 are new, e.g. 'u'. Restore"),
        ("zy", "2 are gone, e.g. 'w'. Restore"),
        ("wxyu", "1 are new, e.g. 'u' and 1 are gone, e.g. 'z'. Restore"),
    ],
)
def test_other_cases_are_refused(names: str, told: str) -> None:
    with pytest.raises(UsageError, match=f"The cases of runs/x have changed .*: {told}.*--workdir"):
        record(TARGETS["class numbers"]).folds_of(np.array(list(names)), "runs/x")
