"""Every task keeps the contract; one that breaks it is refused where it is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.data.columns import Columns
from nachos_jax.tasks import registry
from nachos_jax.tasks.classification import Classification
from nachos_jax.tasks.regression import Regression
from tests.tasks import conformance

CELLS = {
    "classification": {"label": ["a", "b", "c", "b"] * 4},
    "multilabel": {"left": ["1", "0", "", "1"] * 4, "right": ["0", "0", "1", "1"] * 4},
    "regression": {"age": [f"{40 + i * i / 7:.2f}" for i in range(16)]},
}


def columns(targets: dict[str, list[str]]) -> Columns:
    count = len(next(iter(targets.values())))
    names = [f"case {i}" for i in range(count)]
    return Columns("a table", names, targets, lambda row: f"line {row}", "add a column")


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("name", CELLS)
def test_the_contract_is_kept(name: str) -> None:
    conformance.check(registry.of(name), columns(CELLS[name]))


def test_every_task_is_held_against_it() -> None:
    assert {*CELLS, "segmentation"} == set(registry.names())  # masks: tests/tasks/test_segmentation.py


@pytest.mark.usefixtures("quick_compilation")
def test_ordered_classes_keep_it_too() -> None:
    class Ordered(Classification):
        hyperparameters = tuple(
            replace(row, default="cumulative_link") if row.name == "classification.loss" else row
            for row in Classification.hyperparameters
        )

    conformance.check(Ordered(), columns(CELLS["classification"]))


def test_what_is_told_of_held_out_cases_is_caught() -> None:
    class Leaking(Regression):
        def told(self, targets, training, hparams, inputs=None):
            return super().told(targets, np.ones_like(training), hparams, inputs)

    with pytest.raises(AssertionError, match="held out"):
        conformance.check(Leaking(), columns(CELLS["regression"]))


@pytest.mark.parametrize("name", ["classification", "multilabel"])
def test_weights_of_cases_that_are_counted_from_all_are_caught(name: str, monkeypatch) -> None:
    task = registry.of(name)
    honest = type(task).told

    def case_weights(self, targets, training, hparams):
        weights = next(iter(honest(self, targets, np.ones_like(training), hparams).values()))
        return weights[np.nan_to_num(targets.values[training]).astype(int) % len(weights)]

    monkeypatch.setattr(type(task), "case_weights", case_weights)
    with pytest.raises(AssertionError, match="case_weights: reads"):
        conformance.check(task, columns(CELLS[name]))


def test_files_that_break_the_contract_are_refused_when_they_are_found() -> None:
    class Renamed(Regression):
        name = "other"

    class Headless(Regression):
        headline = "beauty"

    class Unowned(Regression):
        hyperparameters = (Hyperparameter("regression.x", "float", default=1.0),)

    for broken, why in (
        (Renamed, "called 'other'"),
        (Headless, "headline 'beauty'"),
        (Unowned, "name the task"),
    ):
        with pytest.raises(TypeError, match=why):
            registry._checked("regression", broken())
