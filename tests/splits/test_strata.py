"""Folds by strata that only guide the draw: nothing is refused for them, and folds are balanced as well."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.splits.folds import Folds, make
from nachos_jax.splits.strata import Strata
from tests.splits.test_folds import Table, table_of

SEEDS = st.integers(0, 2**31 - 1)


@st.composite
def rare(draw: st.DrawFn) -> tuple[Table, int]:
    """A table with strata smaller than the folds are many, one case a subject, and a number of folds."""
    count = draw(st.integers(2, 6))
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    sizes.append(max(count, draw(st.integers(1, 20))))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return table_of(rng.permutation(np.repeat(np.arange(len(sizes)), sizes))), count


@st.composite
def rare_grouped(draw: st.DrawFn) -> tuple[Table, int]:
    """The same with 1 to 3 cases a subject."""
    count = draw(st.integers(2, 5))
    sizes = draw(st.lists(st.integers(1, 3), min_size=4 * count, max_size=8 * count))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    labels = rng.choice(4, sum(sizes), p=[0.7, 0.2, 0.07, 0.03])
    _, labels = np.unique(labels, return_inverse=True)
    return table_of(labels, np.repeat([f"p{i}" for i in range(len(sizes))], sizes)), count


def guided(table: Table, count: int, repeats: int, seed: int) -> Folds:
    """The folds; a warning of scikit-learn's is an error."""
    strata = Strata(table.labels, table.classes, needed=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return make(table, strata, "stratified", count, repeats, seed)


@settings(max_examples=30)
@given(st.one_of(rare(), rare_grouped()), SEEDS)
def test_nothing_is_refused_or_warned_of_and_subjects_stay_whole(drawn: tuple[Table, int], seed: int) -> None:
    table, count = drawn
    folds = guided(table, count, 1, seed)
    assert folds.numbers() == tuple(range(count))
    np.testing.assert_array_equal(sum(folds.cases(fold).astype(int) for fold in folds.numbers()), 1)
    assert folds.crossing(table.subjects) is None
    np.testing.assert_array_equal(guided(table, count, 1, seed).assignment, folds.assignment)


@settings(max_examples=30)
@given(rare(), SEEDS)
def test_every_stratum_and_the_folds_themselves_are_balanced(drawn: tuple[Table, int], seed: int) -> None:
    table, count = drawn
    folds = guided(table, count, 1, seed)
    for number in range(len(table.classes)):
        held = [int((table.labels[folds.cases(fold)] == number).sum()) for fold in folds.numbers()]
        assert max(held) - min(held) <= 1
    sizes = [int(folds.cases(fold).sum()) for fold in folds.numbers()]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=30)
@given(rare_grouped(), SEEDS)
def test_folds_of_grouped_cases_are_about_equal(drawn: tuple[Table, int], seed: int) -> None:
    table, count = drawn
    folds = guided(table, count, 1, seed)
    sizes = np.array([folds.cases(fold).sum() for fold in folds.numbers()])
    assert sizes.min() > 0
    assert (
        sizes.max() - sizes.min() <= 2 * np.bincount(np.unique(table.subjects, return_inverse=True)[1]).max()
    )


@settings(max_examples=30)
@given(st.one_of(rare(), rare_grouped()), SEEDS, st.integers(0, 1000))
def test_order_of_rows_does_not_matter(drawn: tuple[Table, int], seed: int, shuffle: int) -> None:
    table, count = drawn
    order = np.random.default_rng(shuffle).permutation(len(table.labels))
    there = guided(table, count, 1, seed)
    here = guided(table.permuted(order), count, 1, seed)
    np.testing.assert_array_equal(here.assignment, there.assignment[:, order])


@pytest.mark.parametrize("each", [1, 2])
def test_where_every_stratum_is_large_the_need_for_it_changes_nothing(each: int) -> None:
    labels = np.repeat(np.arange(60) % 3, each)
    table = table_of(labels, np.repeat([f"s{i:02d}" for i in range(60)], each))
    needed = make(table, Strata(table.labels, table.classes, needed=True), "stratified", 5, 2, 0)
    np.testing.assert_array_equal(guided(table, 5, 2, 0).assignment, needed.assignment)


def test_one_stratum_is_enough() -> None:
    folds = guided(table_of(np.zeros(10, int)), 5, 2, 0)
    assert [int(folds.cases(fold).sum()) for fold in folds.numbers()] == [2] * 10
