"""Every fact that a run commits, as frozen dataclasses with a JSON form.

A record is immutable and deterministic: no times, no host names, so that two runs of the same
configuration hold the same bytes. Timings live in sessions (see `RunDirectory.write_session`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nachos_jax.core.types import HParams, Trial, TrialScore
from nachos_jax.records import decode

SCHEMA, SEALED = 2, 2
"""Of run.json: the one that this version writes, and the first in which every record carries a digest."""


@dataclass(frozen=True)
class Curve:
    """What one watched fold saw of a fit, one value an epoch, until its watcher stopped.

    Attributes:
        loss: mean loss over the fold's cases.
        score: selection metric, higher is better; None where undefined.
        end: why the watcher stopped: "patience", "limit" or "nan".
    """

    loss: tuple[float | None, ...]
    score: tuple[float | None, ...]
    end: str


@dataclass(frozen=True)
class FitRecord:
    """The result of one fit.

    Attributes:
        fit: id of the fit.
        left_out: folds it did not see.
        hparams: its hyperparameters.
        limit: largest number of epochs.
        status: "done", or "diverged" when the training loss met NaN or Inf.
        epochs: epochs trained.
        parameters: number of trained parameters.
        training_loss: mean training loss of each epoch; the last is None if diverged.
        curves: per watched fold number.
        payload: files of arrays committed with it, name -> SHA-256.
        first: SHA-256 of the pretrained weights that it began with, as they stood in its lane before the
            first step; "" of a fit whose weights were drawn, and then not in its JSON form.
        solver: number of the method that solved its network; 0 of one that trains in steps, and then not in
            its JSON form. Older versions told it of the run, or not at all.
    """

    fit: str
    left_out: tuple[int, ...]
    hparams: HParams
    limit: int
    status: str
    epochs: int
    parameters: int
    training_loss: tuple[float | None, ...]
    curves: Mapping[int, Curve] = field(default_factory=dict)
    payload: Mapping[str, str] = field(default_factory=dict)
    first: str = ""
    solver: int = 0


@dataclass(frozen=True)
class Outcome:
    """The end of a study: all its trials scored and one selected.

    Attributes:
        study: outer fold number, or None for a search on all cases.
        metric: selection metric.
        rule: "best" or "one-se".
        trials: the trials, by number.
        scores: their scores, by number.
        fits: ids of the search fits of each trial, by number.
        selected: number of the selected trial h*.
        epochs: n*, the epochs of the refit.
    """

    study: int | None
    metric: str
    rule: str
    trials: tuple[Trial, ...]
    scores: tuple[TrialScore, ...]
    fits: tuple[tuple[str, ...], ...]
    selected: int
    epochs: int


@dataclass(frozen=True, eq=False)
class OuterTest:
    """The one test of an outer fold.

    Attributes:
        outer_fold: fold number.
        fit: id of the refit whose predictions these are.
        cases: names of the fold's cases, in table order.
        arrays: what the task recorded of each case, [n, ...] by name: of a classification "labels" (class
            numbers) and "probabilities" [n, C]; NaN (null on disk) where nothing is known or predicted.
        training_loss: learning curve of the refit.
        values: metrics of the fold that the task computed itself; None where undefined.
    """

    outer_fold: int
    fit: str
    cases: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    training_loss: tuple[float | None, ...]
    values: Mapping[str, float | None] = field(default_factory=dict)


def to_json(record: Any) -> dict[str, Any]:
    """Plain JSON values of a record; folds become text keys."""
    found = dataclasses.asdict(record)
    return {name: value for name, value in found.items() if name not in ("first", "solver") or value}


def fit_record(value: Mapping) -> FitRecord:
    """The record in the JSON form of `to_json`."""
    return decode.read(FitRecord, {**value, "curves": value["curves"]})


def outcome(value: Mapping) -> Outcome:
    """The record in the JSON form of `to_json`.

    Raises:
        ValueError: its parts do not fit together.
    """
    found = decode.read(Outcome, value)
    numbers = [trial.number for trial in found.trials]
    if numbers != list(range(len(found.scores))) or len(found.fits) != len(numbers):
        raise ValueError("its trials, scores and fits do not fit together")
    if found.selected not in numbers or found.epochs < 1:
        raise ValueError(f"selected = {found.selected}, epochs = {found.epochs}")
    return found


_TEST = ("outer_fold", "fit", "cases", "training_loss", "values")
"""Fields of a test beside its arrays, which stand among them under their own names."""


def test_json(record: OuterTest) -> dict[str, Any]:
    """Plain JSON values of a test: arrays as nested lists, null for NaN."""
    arrays = {name: listed(values) for name, values in record.arrays.items()}
    plain = {name: getattr(record, name) for name in _TEST if name != "values" or record.values}
    return {**plain, **arrays}


def outer_test(value: Mapping) -> OuterTest:
    """The record in the JSON form of `test_json`.

    Raises:
        KeyError, ValueError, TypeError: it is damaged.
    """
    arrays = {name: array(rows) for name, rows in value.items() if name not in _TEST}
    plain = {"arrays": {}, "values": {}, **{name: value[name] for name in _TEST if name in value}}
    found = decode.read(OuterTest, plain)
    if any(values.shape[:1] != (len(found.cases),) for values in arrays.values()):
        raise ValueError("its columns differ in length")
    return dataclasses.replace(found, arrays=arrays)


def listed(values: np.ndarray) -> list:
    """Nested lists of an array, None for NaN."""
    if values.dtype.kind != "f" or not np.isnan(values).any():
        return values.tolist()
    plain = values.astype(object)
    plain[np.isnan(values)] = None
    return plain.tolist()


def array(rows: list) -> np.ndarray:
    """The array of nested lists of numbers: int64, or float64 with NaN for None.

    Raises:
        ValueError, TypeError: rows of unequal length, or what is no number.
    """
    found = np.array(rows)
    if found.dtype.kind in "iu":
        return found.astype(np.int64)
    return np.array(rows, np.float64)
