"""What a fit learns of vectors is what scikit-learn learns of its training cases; faults name columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from nachos_jax.core.errors import UsageError
from nachos_jax.data.vectors import ColumnStatistics, Vectors, checked, far_from_zero, numbers, stored

NAMES = ("a", "b", "c")
tables = hnp.arrays(np.float32, (12, 3), elements=st.floats(-1000, 1000, width=32))
masks = hnp.arrays(bool, (12, 3))


def where(row: int) -> str:
    return f"line {row + 2}"


@given(tables, masks, hnp.arrays(bool, 12), st.sampled_from(["mean", "median"]))
def test_statistics_are_those_of_scikit_learn_on_the_training_cases(values, missing, chosen, impute):
    values = np.where(missing, np.nan, values).astype(np.float32)
    known = ~np.isnan(values[chosen]).all(axis=0)  # of an empty column scikit-learn keeps nothing
    statistics = ColumnStatistics(values, impute)
    fill, (mean, sd) = statistics.fill(chosen), statistics.mean_sd(chosen)
    assert fill is not None
    np.testing.assert_array_equal(fill[~known], 0.0)
    if not chosen.any() or not known.any():
        return
    training = values[chosen][:, known].astype(np.float64)
    imputer: Any = SimpleImputer(strategy=impute).fit(training)
    np.testing.assert_allclose(fill[known], imputer.statistics_, rtol=1e-6, atol=1e-6)
    scaler: Any = StandardScaler().fit(imputer.transform(training))
    np.testing.assert_allclose(mean[known], scaler.mean_, rtol=1e-5, atol=1e-4)
    varies = np.isfinite(sd[known])
    np.testing.assert_allclose(sd[known][varies], np.sqrt(scaler.var_)[varies], rtol=1e-4, atol=1e-4)
    # scikit-learn sees a rounding of the mean as spread.
    np.testing.assert_allclose(np.sqrt(scaler.var_)[~varies], 0.0, atol=1e-3)


@given(tables, tables, hnp.arrays(bool, 12))
def test_other_cases_are_not_looked_at(values, others, chosen):
    mixed = np.where(chosen[:, None], values, others)
    for impute in ("", "median"):
        ours, theirs = ColumnStatistics(values, impute), ColumnStatistics(mixed, impute)
        np.testing.assert_array_equal(ours.mean_sd(chosen), theirs.mean_sd(chosen))
        np.testing.assert_array_equal(ours.fill(chosen), theirs.fill(chosen))


def test_a_column_that_does_not_vary_in_training_stands_at_zero_elsewhere_too():
    values = np.asarray([[1, 5], [2, 5], [3, 9]], np.float32)
    mean, sd = Vectors(values).sums().mean_sd(np.asarray([True, True, False]))
    assert ((values - mean) / sd)[:, 1].tolist() == [0, 0, 0]


FINE = [[1.0, 2.0, 3.0], [2.0, 1.0, 0.0], [0.5, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("place", "value", "impute", "told"),
    [
        ((1, 1), np.inf, "median", r"feature 'b' is infinite.* at line 3; mend it, or leave it out"),
        ((2, 0), -1e39, "median", r"feature 'a' is infinite, or too large for float32 at line 4"),
        ((0, 2), np.nan, "", r"feature 'c' is missing at line 2; .*config.data.impute = 'median' or 'mean'"),
        ((slice(None), 2), 4.0, "", r"1 feature\(s\) are the same for all cases.*'c'; .*config.data.exclude"),
        ((slice(None), 0), 1.0, "mean", r"are the same for all cases.*'a'"),
        ((slice(None), 1), np.nan, "mean", r"1 feature\(s\) hold no value at all: 'b'"),
    ],
)
def test_values_that_cannot_be_used_are_refused_by_column(place, value, impute, told):
    values = np.asarray(FINE)
    values[place] = value
    with pytest.raises(UsageError, match=told):
        checked(values, NAMES, where, impute)


def test_what_float32_does_not_tell_apart_is_the_same():
    values = np.asarray(FINE)
    values[:, 1] = [1e9, 1e9 + 1, 1e9]
    with pytest.raises(UsageError, match="less than float32 tells apart"):
        checked(values, NAMES, where, "")
    assert checked(np.asarray(FINE), NAMES, where, "").dtype == np.float32


def test_cases_to_predict_may_be_alike_but_not_missing():
    values = np.asarray([[1.0, np.nan, 3.0]] * 2)
    assert np.isnan(stored(values, NAMES, where, "mean")).sum() == 2
    with pytest.raises(UsageError, match="feature 'b' is missing at line 2 and 1 more"):
        stored(values, NAMES, where, "")


def test_cells_are_numbers_or_missing():
    found = numbers(["1", " 2.5e3 ", "NA", "", "-4", "n/a"], frozenset(("na", "", "n/a")))
    np.testing.assert_array_equal(found, [1, 2500, np.nan, np.nan, -4, np.nan])
    with pytest.raises(ValueError, match="1"):
        numbers(["1", "low"], frozenset())


def test_columns_far_from_zero_are_told():
    values = np.asarray(FINE, np.float32)
    assert far_from_zero(values, NAMES) == []
    values[:, 0] += 1e5
    assert "1 feature(s) vary by less than" in far_from_zero(values, NAMES)[0]
