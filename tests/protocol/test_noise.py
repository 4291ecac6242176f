"""What the cases of a fold say of a difference, against the usual formula."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

import nachos_jax
from nachos_jax import ArrayCases
from nachos_jax.protocol.study import noise
from tests import tiny, vectors

FOLD = 1


def between(outputs: dict[str, np.ndarray | None]) -> Any:
    """The noise of trials 0, 1, ... whose fits have seen these logits [n, C]; None for one that kept none."""
    cohort, config = tiny.cohort(), tiny.run_config(search__metric="accuracy")
    held = {name: {} if seen is None else {"inner.safetensors": name} for name, seen in outputs.items()}
    store = SimpleNamespace(
        fit=lambda name: SimpleNamespace(fit=name, payload=held[name]),
        payload=lambda record, _: save({str(FOLD): outputs[record.fit]}),  # pyrefly: ignore[bad-assignment]
    )
    run: Any = SimpleNamespace(config=config, cohort=cohort, folds=tiny.folds(cohort), store=store)
    names = list(outputs)
    record: Any = lambda trial, _: SimpleNamespace(fit=names[trial]) if trial < len(names) else None  # noqa: E731
    return noise.between(run, record)


def logits(right: np.ndarray) -> np.ndarray:
    """Certain predictions, right where told."""
    cohort = tiny.cohort()
    labels = cohort.targets.values[tiny.folds(cohort).cases(FOLD)]
    return 9 * np.eye(3, dtype=np.float32)[np.where(right, labels, (labels + 1) % 3)]


def test_the_standard_error_of_a_difference_is_that_of_its_subjects():
    cases = int(tiny.folds(tiny.cohort()).cases(FOLD).sum())
    right = np.repeat(np.random.default_rng(3).random(cases // 2) < 0.6, 2)  # two cases a subject, alike
    told = between({"a": logits(np.ones(cases, bool)), "b": logits(right), "c": logits(right)})
    share = right.mean()
    assert told(0, 1, FOLD) == pytest.approx(np.sqrt(share * (1 - share) / (cases // 2)), rel=0.35)
    assert told(0, 1, FOLD) == told(1, 0, FOLD), "the same draws for all trials"
    assert told(1, 2, FOLD) == 0.0


def test_without_predictions_nothing_is_known():
    cases = int(tiny.folds(tiny.cohort()).cases(FOLD).sum())
    told = between({"a": logits(np.ones(cases, bool)), "b": None})
    assert told(0, 1, FOLD) is None
    assert told(0, 2, FOLD) is None


def of_numbers(values: np.ndarray, begun_before: bool = False) -> float:
    """The noise of a pair of fits on fold FOLD of a regression, where these are the targets of all cases."""
    _, _, subjects, folds = vectors.arrays()
    cohort = nachos_jax.cohort(ArrayCases(vectors.arrays()[0], values, subjects, folds=folds), "regression")
    count, draw = int((folds == FOLD).sum()), np.random.default_rng(5)
    outputs = {name: draw.normal(size=(count, 1)).astype(np.float32) for name in "ab"}
    store = SimpleNamespace(
        fit=lambda name: SimpleNamespace(fit=name, payload={"inner.safetensors": name}),
        payload=lambda record, _: save({str(FOLD): outputs[record.fit]}),
        run=lambda: {} if begun_before else {"draws": "of an inner fold alone"},
    )
    config = tiny.run_config(task__name="regression", search__metric="mae")
    run: Any = SimpleNamespace(config=config, cohort=cohort, folds=tiny.folds(cohort), store=store)
    record: Any = lambda trial, _: SimpleNamespace(fit="ab"[trial])  # noqa: E731
    told = noise.between(run, record)(0, 1, FOLD)
    assert told is not None
    return told


def test_numbers_of_other_folds_do_not_reach_the_draws_of_a_fold():
    folds = vectors.arrays()[3]
    values = np.random.default_rng(6).normal(size=len(folds))
    others = np.where(folds == FOLD, values, values + np.where(folds == 0, 3.0, 0.0))
    assert of_numbers(values) == of_numbers(others)
    before = of_numbers(values, begun_before=True)
    assert before != of_numbers(others, begun_before=True), "a run that has begun keeps its draws"
