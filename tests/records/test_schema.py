"""Every record comes back from its JSON text as it was, with equal types."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.types import Trial, TrialScore
from nachos_jax.records import decode, schema
from nachos_jax.records.store import dump
from tests.records import facts

KINDS: dict[str, tuple[st.SearchStrategy, Callable[[Any], Any]]] = {
    "fit": (facts.FITS, schema.fit_record),
    "outcome": (facts.OUTCOMES, schema.outcome),
    "score": (facts.SCORES, lambda value: decode.read(TrialScore, value)),
}


def typed(value: Any) -> Any:
    """The value with the type of every leaf, because 1 == 1.0 == True."""
    if isinstance(value, dict):
        return {(type(key), key): typed(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(typed(item) for item in value)
    return (type(value), value)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_record_comes_back_as_it_was(kind, data):
    strategy, decode = KINDS[kind]
    record = data.draw(strategy)
    back = decode(json.loads(dump(schema.to_json(record))))
    assert back == record
    assert typed(vars_of(back)) == typed(vars_of(record))
    assert dump(schema.to_json(back)) == dump(schema.to_json(record))


def vars_of(record: Any) -> Any:
    """All fields, nested records opened, tuples kept."""
    if dataclasses.is_dataclass(record):
        fields = dataclasses.fields(record)
        return {field.name: vars_of(getattr(record, field.name)) for field in fields}
    if isinstance(record, dict):
        return {key: vars_of(value) for key, value in record.items()}
    return tuple(vars_of(value) for value in record) if isinstance(record, tuple) else record


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_record_that_lacks_a_field_is_not_read(kind, data):
    strategy, decode = KINDS[kind]
    record = data.draw(strategy)
    value = json.loads(dump(schema.to_json(record)))
    defaults = {"payload"}
    name = data.draw(st.sampled_from([field for field in value if field not in defaults]))
    del value[name]
    with pytest.raises((KeyError, TypeError)):
        decode(value)
    with pytest.raises(TypeError):
        decode({**json.loads(dump(schema.to_json(record))), "stranger": 1})


def test_the_bytes_of_a_record_do_not_depend_on_the_order_of_its_dictionaries():
    curve = schema.Curve((0.5, None), (None, 1.0), "nan")

    def record(folds):
        hparams = {"b": 1, "a": 2.0} if folds[0] == 2 else {"a": 2.0, "b": 1}
        curves = dict.fromkeys(folds, curve)
        return schema.FitRecord("f", (2, 10), hparams, 3, "done", 2, 7, (0.25,), curves)

    assert dump(schema.to_json(record((2, 10)))) == dump(schema.to_json(record((10, 2))))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_does_not_know_is_never_written(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump({"loss": value})


# --- tests -------------------------------------------------------------------------------------------


@given(facts.TESTS)
def test_a_test_comes_back_as_it_was(test):
    value = schema.test_json(test)
    back = schema.outer_test(json.loads(dump(value)))
    assert facts.same(back, test)
    assert dump(schema.test_json(back)) == dump(value)
    for name in ("outer_fold", "fit", "cases", "training_loss", "values"):
        assert typed(vars_of(getattr(back, name))) == typed(vars_of(getattr(test, name)))


@given(facts.TESTS, st.sampled_from(["outer_fold", "fit", "cases", "training_loss"]))
def test_a_test_that_lacks_a_field_is_not_read(test, name):
    value = json.loads(dump(schema.test_json(test)))
    del value[name]
    with pytest.raises(TypeError):
        schema.outer_test(value)


@pytest.mark.parametrize("stranger", ["x", [1, "x"], [[1, 2], [3]], {"a": 1}, 5, [1, 2]])
def test_an_array_that_is_none_is_not_read(stranger):
    value = {"outer_fold": 0, "fit": "f", "cases": ["a"], "training_loss": [], "targets": stranger}
    with pytest.raises((TypeError, ValueError)):
        schema.outer_test(value)


def test_a_test_of_a_classification_has_the_keys_it_always_had():
    arrays = {
        "labels": np.array([0, 1], np.int32),
        "probabilities": np.array([[0.25, 0.75], [np.nan, np.nan]]),
    }
    value = schema.test_json(schema.OuterTest(3, "f", ("a", "b"), arrays, (0.5, None)))
    assert json.loads(dump(value)) == {
        "outer_fold": 3,
        "fit": "f",
        "cases": ["a", "b"],
        "labels": [0, 1],
        "probabilities": [[0.25, 0.75], [None, None]],
        "training_loss": [0.5, None],
    }


def test_values_of_a_test_are_kept_and_left_out_when_there_are_none():
    test = schema.OuterTest(0, "f", ("a",), {"dice": np.array([np.nan])}, (), {"dice": None, "size": 0.5})
    value = json.loads(dump(schema.test_json(test)))
    assert (value["values"], value["dice"]) == ({"dice": None, "size": 0.5}, [None])
    assert facts.same(schema.outer_test(value), test)
    del value["values"]
    assert dict(schema.outer_test(value).values) == {}


# --- values that no run writes -----------------------------------------------------------------------


ABSURD = ["x", None, -1.5, True, [], {}, [["x"]], 10**400, {"0": 1}]
FIT = schema.FitRecord(
    "f", (0, 1), {"a": 1.0}, 9, "done", 2, 7, (0.5,), {0: schema.Curve((0.5,), (None,), "nan")}
)


@pytest.mark.parametrize("value", ABSURD, ids=str)
@pytest.mark.parametrize(
    "name", ["fit", "left_out", "hparams", "epochs", "training_loss", "curves", "payload"]
)
def test_a_field_of_another_kind_is_not_read(name, value):
    there = schema.to_json(FIT)
    fits = {"left_out": ([],), "training_loss": ([],), "hparams": ({}, {"0": 1}), "epochs": (10**400,)}
    fits |= {"curves": ({},), "payload": ({},), "fit": ("x",)}
    if value in fits[name] and value is not True:
        schema.fit_record({**json.loads(dump(there)), name: value})
        return
    with pytest.raises((ValueError, TypeError)) as told:
        schema.fit_record({**json.loads(dump(there)), name: value})
    assert len(str(told.value)) < 100


@pytest.mark.parametrize("text", ["[]", "NaN", '{"a": NaN}', '{"a": 1e999}', '{"a": -Infinity}', "[" * 10**5])
def test_a_text_that_no_record_has_is_not_parsed(text):
    with pytest.raises(ValueError, match=r"\w"):
        decode.parse(text.encode())


@pytest.mark.parametrize(
    "change", [{"selected": 1}, {"selected": -1}, {"epochs": 0}, {"fits": []}, {"scores": []}]
)
def test_an_outcome_whose_parts_do_not_fit_is_not_read(change):
    score = TrialScore(0.5, 0.0, 3, 7, "done", {1: 0.5})
    there = schema.Outcome(0, "auc", "best", (Trial(0, 0, {}, "default"),), (score,), (("f",),), 0, 3)
    value = json.loads(dump(schema.to_json(there)))
    assert schema.outcome(value) == there
    with pytest.raises(ValueError, match="fit together|selected"):
        schema.outcome({**value, **change})
