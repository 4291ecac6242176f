"""The flat protocol's predictions: every trial has predicted every case once, from a fit that left it out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nachos_jax.metrics.calibration import with_temperature
from nachos_jax.records.schema import Outcome, OuterTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading import inner


@dataclass(frozen=True)
class FlatSearch:
    """A finished search by plain K-fold cross-validation.

    Attributes:
        outcome: its scores and the selected trial.
        trials: numbers of the T trials whose fits all ended with numbers.
        probabilities: by fold, [T, n, C] float64 of the fold's cases in table order.
    """

    outcome: Outcome
    trials: tuple[int, ...]
    probabilities: dict[int, np.ndarray]


def read(directory: RunDirectory, folds: range) -> FlatSearch | None:
    """The search of a run by the flat protocol, or None before it has ended.

    Raises:
        UsageError: a record or payload is missing or damaged.
    """
    outcome = directory.outcome(None)
    if outcome is None:
        return None
    done = tuple(n for n, score in enumerate(outcome.scores) if score.status == "done")
    found = [inner.of_trial(directory, outcome, number) for number in done]
    stacked = {fold: np.stack([with_temperature(logits[fold], 1.0) for logits in found]) for fold in folds}
    return FlatSearch(outcome, done, stacked)


def tests(
    directory: RunDirectory, search: FlatSearch, cases: dict[int, tuple[list[str], np.ndarray]]
) -> dict[int, OuterTest]:
    """The selected trial's predictions of each fold, in the form of tests; nothing was refitted for them.

    Args:
        directory: the records.
        search: the finished search.
        cases: by fold, names of its cases in table order and their class numbers.
    """
    outcome, found = search.outcome, {}
    row = search.trials.index(outcome.selected)
    for name in outcome.fits[outcome.selected]:
        record = directory.fit(name)
        assert record is not None  # read before, with its payload
        (fold,) = record.left_out
        names, labels = cases[fold]
        arrays = {"labels": labels, "probabilities": search.probabilities[fold][row]}
        found[fold] = OuterTest(fold, record.fit, tuple(names), arrays, record.training_loss)
    return dict(sorted(found.items()))
