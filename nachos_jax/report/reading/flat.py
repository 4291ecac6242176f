"""The flat protocol's predictions: every trial has predicted every case once, from a fit that left it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nachos_jax.records.schema import Outcome, OuterTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading import inner


@dataclass(frozen=True)
class Fold:
    """The cases of a fold, in table order.

    Attributes:
        cases: their names.
        truth: [n, ...] their targets.
    """

    cases: tuple[str, ...]
    truth: np.ndarray


@dataclass(frozen=True)
class FlatSearch:
    """A finished search by plain K-fold cross-validation.

    Attributes:
        outcome: its scores and the selected trial.
        trials: numbers of the T trials whose fits all ended with numbers.
        predictions: by fold, [T, n, ...] float64 of the fold's cases in table order: probabilities [T, n, C]
            of a classification.
    """

    outcome: Outcome
    trials: tuple[int, ...]
    predictions: dict[int, np.ndarray]


def read(
    directory: RunDirectory, folds: range, predicted: Callable[[np.ndarray], np.ndarray]
) -> FlatSearch | None:
    """The search of a run by the flat protocol, or None before it has ended.

    Args:
        directory: the records.
        folds: numbers of all folds.
        predicted: predictions of the outputs that fits kept, see `Section.predicted`.

    Raises:
        UsageError: a record or payload is missing or damaged.
    """
    outcome = directory.outcome(None)
    if outcome is None:
        return None
    done = tuple(n for n, score in enumerate(outcome.scores) if score.status == "done")
    found = [inner.of_trial(directory, outcome, number) for number in done]
    stacked = {fold: np.stack([predicted(outputs[fold]) for outputs in found]) for fold in folds}
    return FlatSearch(outcome, done, stacked)


def tests(
    directory: RunDirectory,
    search: FlatSearch,
    folds: Mapping[int, Fold],
    recorded: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]],
) -> dict[int, OuterTest]:
    """The selected trial's predictions of each fold, in the form of tests; nothing was refitted for them.

    Args:
        directory: the records.
        search: the finished search.
        folds: the cases of each.
        recorded: arrays of a test, of truth and predictions, see `Section.recorded`.
    """
    outcome, found = search.outcome, {}
    row = search.trials.index(outcome.selected)
    for name in outcome.fits[outcome.selected]:
        record = directory.fit(name)
        assert record is not None  # read before, with its payload
        (fold,) = record.left_out
        told = recorded(folds[fold].truth, search.predictions[fold][row])
        found[fold] = OuterTest(fold, record.fit, folds[fold].cases, told, record.training_loss)
    return dict(sorted(found.items()))
