"""Ids and streams of fits: which fields they depend on, and which not."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.types import EpochLimit, Fit, digest

VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.booleans(), st.text(max_size=5)
)
HPARAMS = st.dictionaries(st.text(min_size=1, max_size=8), VALUES, min_size=1, max_size=6)
FITS = st.builds(
    Fit,
    HPARAMS,
    st.lists(st.integers(0, 30), max_size=3, unique=True).map(lambda folds: tuple(sorted(folds))),
    st.integers(0, 2**31 - 1),
    st.builds(EpochLimit, st.integers(1, 999), st.one_of(st.none(), st.integers(1, 99)), st.floats(0, 10)),
    st.text(max_size=8),
    st.one_of(st.none(), st.lists(st.integers(0, 30), max_size=2, unique=True).map(tuple)),
)

CHANGES: dict[str, Callable[[Fit], Any]] = {
    "hparams": lambda fit: {**fit.hparams, "one more": 1},
    "left_out": lambda fit: (*fit.left_out, 99),
    "seed": lambda fit: fit.seed + 1,
    "cases": lambda fit: fit.cases + "x",
    "asked": lambda fit: (*(fit.asked or ()), 99),
    "limit": lambda fit: dataclasses.replace(fit.limit, epochs=fit.limit.epochs + 1),
    "patience": lambda fit: dataclasses.replace(fit.limit, patience=(fit.limit.patience or 0) + 1),
    "min_delta": lambda fit: dataclasses.replace(fit.limit, min_delta=fit.limit.min_delta + 1),
}
IN_STREAM = {"hparams", "left_out", "seed"}


def changed(fit: Fit, what: str) -> Fit:
    field = what if what in {f.name for f in dataclasses.fields(Fit)} else "limit"
    return dataclasses.replace(fit, **{field: CHANGES[what](fit)})


def test_every_field_of_a_fit_and_of_its_limit_has_a_change_below():
    fields = {f.name for f in dataclasses.fields(Fit)} | {f.name for f in dataclasses.fields(EpochLimit)}
    assert set(CHANGES) == fields - {"epochs", "beside"}, "`limit` changes the epochs"


@given(fit=FITS)
def test_folds_beside_are_no_part_of_what_a_fit_is(fit):
    other = dataclasses.replace(fit, beside=(77,))
    assert (other.id, other.stream, other.held) == (fit.id, fit.stream, fit.held)
    assert other == fit
    assert set(other.watched) == {*fit.held, 77}


@pytest.mark.parametrize("what", CHANGES)
@given(fit=FITS)
def test_the_id_changes_with_every_field_and_the_stream_with_three(what, fit):
    other = changed(fit, what)
    assert other.id != fit.id
    assert (other.stream != fit.stream) == (what in IN_STREAM)


@given(FITS, st.randoms(use_true_random=False))
def test_the_order_of_a_dictionary_changes_nothing(fit: Fit, order: random.Random):
    items = list(fit.hparams.items())
    order.shuffle(items)
    other = dataclasses.replace(fit, hparams=dict(items))
    assert (other.id, other.stream) == (fit.id, fit.stream)


@given(FITS)
def test_any_hyperparameter_changes_id_and_stream(fit: Fit):
    for name, value in fit.hparams.items():
        others = [{**fit.hparams, name: f"{value}x"}, {k: v for k, v in fit.hparams.items() if k != name}]
        for hparams in others:
            other = dataclasses.replace(fit, hparams=hparams)
            assert other.id != fit.id
            assert other.stream != fit.stream


def test_a_fit_keeps_the_id_under_which_it_is_stored():
    hparams = {"learning_rate": 0.1, "optimizer": "sgd", "nesterov": True, "batch_size": 32}
    fit = Fit(hparams, (1, 2), 3, EpochLimit(4, 5, 0.5), "cases")
    assert fit.id == "166de7f4aa6ad771"
    assert fit.stream == "3cdd25fe4a49fc03abf539ef6ff3cbab"


@given(st.text(), st.integers(1, 64))
def test_a_digest_is_a_prefix_of_hexadecimal_characters(text, length):
    assert digest([text], 64).startswith(digest([text], length))
    assert len(digest([text], length)) == length
    assert set(digest([text])) <= set("0123456789abcdef")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_hold_exactly_has_no_digest(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"x": value})
