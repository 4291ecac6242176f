"""Summaries over outer folds against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nachos_jax.statistics.folds import FoldSummary, summary

NUMBERS = st.floats(-1e3, 1e3)


@given(st.lists(st.one_of(NUMBERS, st.none()), min_size=2).filter(lambda v: len(v) - v.count(None) > 1))
def test_equals_numpy_and_scipy_on_the_defined_values(values):
    defined = [value for value in values if value is not None]
    found = summary(values)
    assert found.mean == pytest.approx(np.mean(defined))
    assert found.sd == pytest.approx(np.std(defined, ddof=1))
    assert found.se == pytest.approx(stats.sem(defined))
    assert (found.count, found.undefined) == (len(defined), values.count(None))


def test_one_value_has_no_spread_and_none_no_mean():
    assert summary([0.5]) == FoldSummary(0.5, None, None, 1, 0)
    assert summary([None, 0.5]) == FoldSummary(0.5, None, None, 1, 1)
    assert summary([None, None]) == FoldSummary(None, None, None, 0, 2)
    assert summary([]) == FoldSummary(None, None, None, 0, 0)


def test_repeats_do_not_shrink_the_standard_error():
    once = [0.8, 0.9, 0.85]
    found = summary(once * 4, folds=3)
    assert found.se == pytest.approx(np.std(once * 4, ddof=1) / math.sqrt(3))
    assert summary(once[:2], folds=3).se == pytest.approx(stats.sem(once[:2]))
