"""Predictions of several cases as one: between mean and largest, whatever the order of the cases."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from nachos_jax.metrics import pooling
from nachos_jax.metrics.pooling import Rule

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(SHARES, st.floats(1, 16), st.randoms())
def test_a_power_mean_lies_between_mean_and_largest(values: list[float], power: float, random):
    found = pooling.power_mean(np.asarray(values), power)
    assert np.mean(values) - 1e-9 <= found <= max(values) + 1e-9
    random.shuffle(values)
    assert pooling.power_mean(np.asarray(values), power) == pytest.approx(found)


def test_the_ends_are_mean_and_largest():
    values = np.asarray([0.1, 0.5, 0.9])
    assert pooling.power_mean(values, 1.0) == pytest.approx(0.5)
    assert pooling.power_mean(values, math.inf) == 0.9
    assert pooling.power_mean(values, 2.0) == pytest.approx(math.sqrt((0.01 + 0.25 + 0.81) / 3))


@pytest.mark.parametrize("event", [0, 1])
@pytest.mark.parametrize("power", pooling.LEARNED)
def test_of_two_classes_the_event_decides(event: int, power: float):
    of_event = np.asarray([0.2, 0.9])
    values = np.stack([1 - of_event, of_event] if event else [of_event, 1 - of_event], axis=1)
    rule = Rule("classes", event)
    pooled = rule.predicted(values, power)
    assert pooled.sum() == pytest.approx(1)
    assert pooled[event] == pytest.approx(pooling.power_mean(of_event, power))
    assert rule.truth(np.asarray([1 - event, event])) == event
    assert rule.truth(np.asarray([1 - event] * 2)) == 1 - event


def test_of_three_classes_all_are_pooled():
    values = np.asarray([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    np.testing.assert_allclose(Rule("classes").predicted(values, 1.0), values.mean(axis=0))
    np.testing.assert_allclose(Rule("classes").predicted(values, math.inf), np.asarray([7, 2, 7]) / 16)
    assert Rule("classes").truth(np.asarray([2, 2])) == 2


def test_labels_and_numbers():
    known = np.asarray([[1, 0, np.nan], [0, np.nan, np.nan]])
    np.testing.assert_array_equal(Rule("labels").truth(known), [1, 0, np.nan])
    values = np.asarray([[0.2, 0.4, 0.5], [0.6, 0.0, 0.5]])
    np.testing.assert_allclose(Rule("labels").predicted(values, math.inf), [0.6, 0.4, 0.5])
    number = Rule("number")
    assert number.truth(np.asarray([1.0, 3.0])) == 2
    assert number.truth(np.asarray([1.0, 3.0]), math.inf) == 3, "as the prediction of the largest"
    assert (
        number.predicted(np.asarray([1.0, 3.0]), 1.0),
        number.predicted(np.asarray([1.0, 3.0]), math.inf),
    ) == (2, 3)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_every_case_is_in_its_unit_once(units: list[str]):
    found = list(pooling.members(units))
    assert [name for name, _ in found] == list(dict.fromkeys(units))
    assert sorted(row for _, rows in found for row in rows.tolist()) == list(range(len(units)))
    assert all(units[row] == name for name, rows in found for row in rows.tolist())


def test_units_of_several_classes_are_named():
    assert pooling.mixed(["a", "b", "a", "b"], np.asarray([0, 1, 2, 1])) == ["a"]
