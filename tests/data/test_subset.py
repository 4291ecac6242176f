"""A part of the subjects: whole, nested, balanced, and independent of the order of the rows."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from nachos_jax.data import subset

CASES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=1, max_size=60)


def _arrays(cases: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray([f"P{s}" for s, _ in cases]), np.asarray([c for _, c in cases])


@given(CASES, st.floats(0.05, 1), st.integers(0, 5), st.randoms())
def test_subjects_are_whole_nested_and_drawn_by_name(cases, share: float, seed: int, random):
    subjects, strata = _arrays(cases)
    chosen = subset.rows(subjects, strata, share, seed)
    taken = set(subjects[chosen].tolist())
    assert chosen.tolist() == [i for i, name in enumerate(subjects.tolist()) if name in taken]
    larger = subset.rows(subjects, strata, min(1.0, share * 1.5), seed)
    assert set(chosen.tolist()) <= set(larger.tolist())
    order = list(range(len(cases)))
    random.shuffle(order)
    again = subset.rows(subjects[order], strata[order], share, seed)
    assert set(subjects[order][again].tolist()) == taken


def test_all_of_them_and_the_share_of_each_stratum():
    subjects, strata = np.asarray([f"P{i:03d}" for i in range(200)]), np.repeat([0, 1], [160, 40])
    assert len(subset.rows(subjects, strata, 1.0, 0)) == 200
    assert np.bincount(strata[subset.rows(subjects, strata, 0.25, 0)]).tolist() == [40, 10]
    assert not np.array_equal(subset.rows(subjects, strata, 0.25, 0), subset.rows(subjects, strata, 0.25, 1))


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_a_rare_stratum_keeps_a_subject(share: float):
    subjects, strata = np.asarray(["a", "b", "c", "d", "d"]), np.asarray([0, 0, 0, 0, 1])
    assert "d" in subjects[subset.rows(subjects, strata, share, 3)]
