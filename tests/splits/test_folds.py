"""Folds: their laws on random tables, refusals, real tables, and golden folds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nachos_jax.core.errors import UsageError
from nachos_jax.splits import folds as module
from nachos_jax.splits.checks import check_leakage
from nachos_jax.splits.folds import Folds, make
from nachos_jax.splits.strata import Strata


@dataclass(frozen=True)
class Table:
    """The columns that decide folds."""

    labels: np.ndarray
    classes: tuple[str, ...]
    subjects: np.ndarray
    sites: np.ndarray | None = None
    folds: np.ndarray | None = None

    def permuted(self, order: np.ndarray) -> Table:
        return replace(self, labels=self.labels[order], subjects=self.subjects[order])


def table_of(labels: np.ndarray, subjects: np.ndarray | None = None, **columns: np.ndarray) -> Table:
    names = tuple(f"class {c}" for c in range(int(labels.max()) + 1))
    own = np.array([f"s{i:04d}" for i in range(len(labels))])
    return Table(labels.astype(np.int32), names, own if subjects is None else subjects, **columns)


@st.composite
def alone(draw: st.DrawFn) -> tuple[Table, int]:
    """A table in which every case is a subject of its own, and a number of folds."""
    count = draw(st.integers(2, 6))
    sizes = draw(st.lists(st.integers(count, 30), min_size=2, max_size=4))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return table_of(rng.permutation(labels)), count


@st.composite
def grouped(draw: st.DrawFn) -> tuple[Table, int]:
    """A table with 1 to 6 cases a subject, classes mixed within subjects, and a number of folds."""
    count = draw(st.integers(2, 5))
    sizes = draw(st.lists(st.integers(1, 6), min_size=8 * count, max_size=12 * count))
    assume(max(sizes) > 1)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    own = np.repeat(np.arange(len(sizes)) % 2, sizes)
    labels = np.where(rng.random(len(own)) < 0.2, 1 - own, own)
    subjects = np.repeat([f"p{i}" for i in range(len(sizes))], sizes)
    return table_of(labels, subjects).permuted(rng.permutation(len(labels))), count


def made(table: Table, scheme: str, count: int, repeats: int, seed: int, needed: bool = True) -> Folds:
    """The folds of a table whose strata are its classes."""
    return make(table, Strata(table.labels, table.classes, needed), scheme, count, repeats, seed)


tables = st.one_of(alone(), grouped())
seeds = st.integers(0, 2**31 - 1)


def sets(folds: Folds, subjects: np.ndarray) -> list[frozenset[str]]:
    return [frozenset(subjects[folds.cases(fold)].tolist()) for fold in folds.numbers()]


@given(tables, seeds, st.integers(1, 3))
def test_folds_are_disjoint_cover_all_cases_and_keep_subjects_whole(
    drawn: tuple[Table, int], seed: int, repeats: int
) -> None:
    table, count = drawn
    folds = made(table, "stratified", count, repeats, seed)
    assert folds.numbers() == tuple(range(repeats * count))
    for first in range(0, repeats * count, count):
        times = sum(folds.cases(fold).astype(int) for fold in range(first, first + count))
        np.testing.assert_array_equal(times, 1)
        owners: dict[str, set[int]] = {}
        for fold in range(first, first + count):
            for subject in table.subjects[folds.cases(fold)].tolist():
                owners.setdefault(subject, set()).add(fold)
        assert all(len(where) == 1 for where in owners.values())
    check_leakage(folds, table.subjects)


@given(tables, seeds)
def test_every_fold_holds_every_class(drawn: tuple[Table, int], seed: int) -> None:
    table, count = drawn
    folds = made(table, "stratified", count, 1, seed)
    for fold in folds.numbers():
        assert set(table.labels[folds.cases(fold)].tolist()) == set(range(len(table.classes)))


@given(alone(), seeds)
def test_class_shares_differ_by_one_case_when_subjects_have_one(drawn: tuple[Table, int], seed: int) -> None:
    table, count = drawn
    folds = made(table, "stratified", count, 1, seed)
    for number in range(len(table.classes)):
        held = [int((table.labels[folds.cases(fold)] == number).sum()) for fold in folds.numbers()]
        assert max(held) - min(held) <= 1


@given(tables, seeds, st.integers(0, 1000))
def test_order_of_rows_does_not_matter(drawn: tuple[Table, int], seed: int, shuffle: int) -> None:
    table, count = drawn
    order = np.random.default_rng(shuffle).permutation(len(table.labels))
    there = made(table, "stratified", count, 2, seed)
    here = made(table.permuted(order), "stratified", count, 2, seed)
    np.testing.assert_array_equal(here.assignment, there.assignment[:, order])


@given(tables, seeds)
def test_same_seed_gives_same_folds(drawn: tuple[Table, int], seed: int) -> None:
    table, count = drawn
    first, second = (made(table, "stratified", count, 1, seed) for _ in range(2))
    np.testing.assert_array_equal(first.assignment, second.assignment)
    assert first.hash == second.hash


@pytest.mark.parametrize("cases_per_subject", [1, 3])
def test_other_seeds_and_repeats_give_other_folds(cases_per_subject: int) -> None:
    labels = np.repeat(np.arange(60) % 2, cases_per_subject)
    table = table_of(labels, np.repeat([f"s{i}" for i in range(60)], cases_per_subject))
    hashes = {made(table, "stratified", 5, 1, seed).hash for seed in range(10)}
    assert len(hashes) == 10
    repeated = made(table, "stratified", 5, 4, 0)
    partitions = {frozenset(sets(repeated, table.subjects)[r * 5 : r * 5 + 5]) for r in range(4)}
    assert len(partitions) == 4
    np.testing.assert_array_equal(repeated.assignment[0], made(table, "stratified", 5, 1, 0).assignment[0])


@given(tables, seeds)
def test_inner_and_training_agree_with_plain_sets(drawn: tuple[Table, int], seed: int) -> None:
    table, count = drawn
    folds = made(table, "stratified", count, 2, seed)
    assert folds.training(()).all()
    for outer in folds.numbers():
        first = outer // count * count
        assert set(folds.inner(outer)) == set(range(first, first + count)) - {outer}
        assert len(folds.inner(outer)) == count - 1
        for inner in folds.inner(outer) if count > 2 else ():
            row = folds.assignment[outer // count].tolist()
            expected = [fold not in (outer, inner) for fold in row]
            assert folds.training((outer, inner)).tolist() == expected
            assert folds.training((inner, outer)).tolist() == expected


def test_training_refuses_folds_that_cannot_be_left_out_together() -> None:
    folds = made(table_of(np.arange(40) % 2), "stratified", 4, 2, 0)
    with pytest.raises(ValueError, match="different repeats"):
        folds.training((3, 4))
    for left_out in ((1, 1), (0, 1, 2, 3)):
        with pytest.raises(ValueError, match="fewer than 4 different folds"):
            folds.training(left_out)
    for fold in (-1, 8):
        for call in (folds.cases, folds.inner, lambda n: folds.training((n,))):
            with pytest.raises(ValueError, match=f"fold {fold} does not exist"):
                call(fold)


def test_folds_are_read_only_and_checked() -> None:
    source = np.array([[0, 1, 0, 1]])
    folds = Folds(source, 2)
    source[0, 0] = 1
    assert folds.assignment[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        folds.assignment[0, 0] = 1
    with pytest.raises(ValueError, match="none of them empty"):
        Folds(np.array([[0, 2, 0, 2]]), 3)
    with pytest.raises(ValueError, match=r"must be \[R, N\]"):
        Folds(np.array([0, 1]), 2)


def test_rare_class_is_refused_with_its_numbers_and_a_cure() -> None:
    labels = np.array([0] * 50 + [1] * 6)
    subjects = np.array([f"a{i}" for i in range(50)] + ["b", "b", "b", "c", "c", "d"])
    with pytest.raises(UsageError, match=r"'class 1' has 6 cases of 3 subjects.*at most 3"):
        made(table_of(labels, subjects), "stratified", 5, 1, 0)
    for needed in (True, False):
        with pytest.raises(UsageError, match=r"config.folds.count = 1: must be at least 2"):
            made(table_of(labels, subjects), "stratified", 1, 1, 0, needed)


def test_strata_that_are_all_smaller_than_the_folds_are_one() -> None:
    """Twelve masks have five strata by size, none of which has five cases."""
    table = table_of(np.arange(12) // 3, np.arange(12).astype(str))
    folds = made(table, "stratified", 5, 1, 0, needed=False)
    assert sorted(int(folds.cases(fold).sum()) for fold in folds.numbers()) == [2, 2, 2, 3, 3]


@pytest.mark.parametrize("needed", [True, False])
def test_fewer_subjects_than_folds_are_refused_whatever_the_strata(needed: bool) -> None:
    table = table_of(np.arange(4) % 2, np.array(list("ppqq")))
    with pytest.raises(UsageError, match=r"count = 3, but there are 2 subjects.*fold: add subjects"):
        made(table, "stratified", 3, 1, 0, needed)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=4), st.integers(2, 5))
def test_classes_are_refused_exactly_when_they_have_fewer_subjects_than_folds(
    rows: list[tuple[int, int]], count: int
) -> None:
    subjects, labels = (np.array(column) for column in zip(*rows, strict=True))
    table = Table(labels.astype(np.int32), ("a", "b"), subjects.astype(str))
    held = [len(np.unique(subjects[labels == c])) for c in (0, 1)]
    strata = Strata(table.labels, table.classes, needed=True)
    if min(held) >= count:
        module._check_enough(table, strata, count)
    else:
        with pytest.raises(UsageError, match=f"config.folds.count = {count}, but "):
            module._check_enough(table, strata, count)


def test_further_seeds_are_tried_until_every_fold_holds_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(np.array([0, 0, 1, 1]))
    tried = []

    def split(*drawn: Any) -> np.ndarray:
        tried.append(drawn[-1])
        return np.array([0, 1, 0, 1]) if len(tried) == 3 else np.array([0, 0, 1, 1])

    monkeypatch.setattr(module, "split", split)
    folds = made(table, "stratified", 2, 1, 7)
    assert tried == [7, 7 + 1000003, 7 + 2 * 1000003]
    assert folds.assignment.tolist() == [[0, 1, 0, 1]]
    monkeypatch.setattr(module, "split", lambda *_: np.array([0, 0, 1, 1]))
    with pytest.raises(UsageError, match=r"20 of 20 draws left a fold without some class.*2 cases"):
        made(table, "stratified", 2, 1, 7)


def test_no_fold_is_empty_where_strata_only_guide() -> None:
    subjects = np.repeat([f"s{i}" for i in range(5)], 20)
    for seed in range(60):
        strata = np.repeat(np.random.default_rng(seed).permutation(5), 20)
        folds = made(table_of(strata, subjects), "stratified", 5, 1, seed, needed=False)
        assert folds.count == 5


def test_draws_that_all_leave_a_fold_empty_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "split", lambda subjects, *_: np.zeros(len(subjects), np.int64))
    table = table_of(np.arange(8), np.asarray([f"s{i}" for i in range(8)]))
    with pytest.raises(UsageError, match="left a fold without cases, of 8 subjects. Use fewer folds"):
        made(table, "stratified", 2, 1, 0, needed=False)


def test_repeats_are_named_where_some_draws_were_whole() -> None:
    subjects = np.repeat([f"s{i}" for i in range(5)], 20)
    table = table_of(np.repeat(np.arange(5), 20), subjects)
    with pytest.raises(UsageError, match="config.folds.repeats is more than 1"):
        made(table, "stratified", 5, 2, 0, needed=False)


def test_repeats_that_cannot_differ_are_refused() -> None:
    table = table_of(np.array([0, 0, 1, 1]))
    assert made(table, "stratified", 2, 2, 0).repeats == 2
    with pytest.raises(UsageError, match="set it to 2"):
        made(table, "stratified", 2, 3, 0)  # four cases can be halved in two ways


def test_predefined_folds_are_taken_as_given() -> None:
    given_folds = np.array([2, 0, 1, 1, 0, 2])
    folds = made(table_of(np.arange(6) % 2, folds=given_folds), "predefined", 5, 1, 0)
    assert (folds.count, folds.assignment.tolist()) == (3, [given_folds.tolist()])


def test_predefined_folds_are_refused_when_they_cannot_be_used() -> None:
    labels, people = np.arange(4) % 2, np.array(["a", "b", "a", "c"])
    with pytest.raises(UsageError, match="no column of folds"):
        made(table_of(labels), "predefined", 5, 1, 0)
    for wrong in ([0, 2, 0, 2], [1, 2, 1, 2], [-1, 0, 1, 0], [0, 0, 0, 0]):
        with pytest.raises(UsageError, match="from 0 without a gap"):
            made(table_of(labels, folds=np.array(wrong)), "predefined", 5, 1, 0)
    with pytest.raises(UsageError, match="Subject 'a' has cases in folds 0, 1"):
        made(table_of(labels, people, folds=np.array([0, 0, 1, 1])), "predefined", 5, 1, 0)


def test_site_folds_follow_sorted_site_names() -> None:
    sites = np.array(["york", "bonn", "york", "lima"])
    folds = made(table_of(np.arange(4) % 2, sites=sites), "site", 5, 1, 0)
    assert (folds.count, folds.assignment.tolist()) == (3, [[2, 0, 2, 1]])


@pytest.mark.parametrize(
    ("sites", "people", "message"),
    [
        (None, "abcd", "no column of sites"),
        (["x", "x", "x", "x"], "abcd", "all cases come from site 'x'"),
        (["x", "", "y", ""], "abcd", "2 cases have an empty site"),
        (["x", "y", "x", "y"], "abca", "Subject 'a' has cases in folds 0, 1"),
    ],
)
def test_sites_are_refused_when_they_cannot_be_folds(
    sites: list[str] | None, people: str, message: str
) -> None:
    table = table_of(np.arange(4) % 2, np.array(list(people)))
    with pytest.raises(UsageError, match=message):
        made(replace(table, sites=None if sites is None else np.array(sites)), "site", 5, 1, 0)


def test_only_drawn_folds_can_be_repeated() -> None:
    table = table_of(np.arange(4) % 2, sites=np.array(list("xyxy")), folds=np.array([0, 1, 0, 1]))
    for scheme in ("predefined", "site"):
        with pytest.raises(UsageError, match=f"config.folds.repeats = 2 .*{scheme!r}"):
            made(table, scheme, 2, 2, 0)
    with pytest.raises(UsageError, match="config.folds.scheme = 'random'"):
        made(table, "random", 2, 1, 0)


@pytest.mark.thorough
def test_patients_of_a_real_data_set_stay_whole(shared_data: Path) -> None:
    with np.load(shared_data / "kermany_cxr_pneumonia.npz") as file:
        labels, patients = file["labels"], file["patient_id"]
    folds = made(table_of(labels, patients), "stratified", 5, 1, 0)
    held = sets(folds, patients)
    assert sum(len(part) for part in held) == len(np.unique(patients)) == 3103
    for fold in folds.numbers():
        mask = folds.cases(fold)
        assert abs(mask.mean() - 0.2) < 0.01
        assert abs(labels[mask].mean() - labels.mean()) < 0.01


def test_sites_of_a_real_data_set_become_folds(shared_data: Path) -> None:
    with np.load(shared_data / "cxr_covid_multisite.npz") as file:
        labels, patients, sites = file["labels"], file["patient_id"], file["site"]
    table = table_of(labels, patients, sites=sites)
    folds = made(table, "site", 99, 1, 0)
    assert folds.count == 5
    for fold, name in enumerate(sorted(set(sites.tolist()))):
        assert set(sites[folds.cases(fold)].tolist()) == {name}
    check_leakage(folds, patients)


def test_golden_folds(golden: Callable[[str, str], None]) -> None:
    labels = np.arange(60) % 3
    pairs = table_of(np.repeat(labels, 2), np.repeat([f"s{i:02d}" for i in range(60)], 2))
    folds = {
        "one case a subject": made(table_of(labels), "stratified", 5, 2, 0).assignment.tolist(),
        "two cases a subject": made(pairs, "stratified", 5, 2, 0).assignment.tolist(),
    }
    golden("folds.json", json.dumps(folds) + "\n")
