"""Every fact that a run commits, as frozen dataclasses with a JSON form.

A record is immutable and deterministic: no times, no host names, so that two runs of the same
configuration hold the same bytes. Timings live in sessions (see `RunDirectory.write_session`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nachos_jax.core.types import HParams, Trial, TrialScore

SCHEMA = 1


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


@dataclass(frozen=True)
class OuterTest:
    """The one test of an outer fold.

    Attributes:
        outer_fold: fold number.
        fit: id of the refit whose predictions these are.
        cases: names of the fold's cases, in table order.
        labels: their class numbers.
        probabilities: per case, one probability a class (float32 values); None where the refit met NaN.
        training_loss: learning curve of the refit.
    """

    outer_fold: int
    fit: str
    cases: tuple[str, ...]
    labels: tuple[int, ...]
    probabilities: tuple[tuple[float | None, ...], ...]
    training_loss: tuple[float | None, ...]


def to_json(record: Any) -> dict[str, Any]:
    """Plain JSON values of a record; folds become text keys."""
    return dataclasses.asdict(record)


def _curve(value: Mapping) -> Curve:
    return Curve(tuple(value["loss"]), tuple(value["score"]), value["end"])


def fit_record(value: Mapping) -> FitRecord:
    """The record in the JSON form of `to_json`."""
    return FitRecord(
        **{
            **value,
            "left_out": tuple(value["left_out"]),
            "training_loss": tuple(value["training_loss"]),
            "curves": {int(fold): _curve(curve) for fold, curve in value["curves"].items()},
        }
    )


def outcome(value: Mapping) -> Outcome:
    """The record in the JSON form of `to_json`."""
    return Outcome(
        **{
            **value,
            "trials": tuple(Trial(**trial) for trial in value["trials"]),
            "scores": tuple(trial_score(score) for score in value["scores"]),
            "fits": tuple(tuple(fits) for fits in value["fits"]),
        }
    )


def trial_score(value: Mapping) -> TrialScore:
    """The score in the JSON form of `to_json`."""
    by_fold = {int(fold): score for fold, score in value["by_fold"].items()}
    return TrialScore(**{**value, "by_fold": by_fold})


def outer_test(value: Mapping) -> OuterTest:
    """The record in the JSON form of `to_json`."""
    rows = tuple(tuple(row) for row in value["probabilities"])
    return OuterTest(
        **{
            **value,
            "cases": tuple(value["cases"]),
            "labels": tuple(value["labels"]),
            "probabilities": rows,
            "training_loss": tuple(value["training_loss"]),
        }
    )
