"""Runs for the tests of what searches teach: repeated ones, sweeps, trials made by hand."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nachos_jax.core.types import TrialScore
from nachos_jax.records.schema import Curve, Outcome
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.reading.searches import Search, Searched
from tests.report.rivals import edit_run, rival


def searched(
    number: int, hparams: Mapping[str, Any], by_fold: Mapping[int, float | None], **more: Any
) -> Searched:
    """A trial; its score is the mean over inner folds, its curves those of one epoch unless given."""
    known = [value for value in by_fold.values() if value is not None]
    score = float(np.mean(known)) if len(known) == len(by_fold) else None
    curves = {fold: Curve((1.0,), (value,), "limit") for fold, value in by_fold.items()}
    status = "done" if score is not None else "failed"
    told: dict[str, Any] = {"score": score, "status": status, "curves": curves, **more}
    return Searched(number=number, hparams=hparams, by_fold=by_fold, **told)


def search(*trials: Searched, study: str = "fold 0", run: str = "", last: bool = False) -> Search:
    """A finished study."""
    return Search(run, study, trials, last, 0)


def edit_outcomes(directory: RunDirectory, change: Callable[[Outcome], Mapping[str, Any]]) -> RunDirectory:
    """Replaces fields of the outcome of every study; `change` maps the record to them."""
    for fold in range(99):
        outcome = directory.outcome(fold)
        if outcome is not None:
            directory.outcome_path(fold).unlink()
            directory.commit_outcome(dataclasses.replace(outcome, **change(outcome)))
    return directory


def rescored(outcome: Outcome, change: Callable[[int, TrialScore], Mapping[str, Any]]) -> dict[str, Any]:
    """Fields of an outcome whose scores were changed."""
    scores = (dataclasses.replace(s, **change(n, s)) for n, s in enumerate(outcome.scores))
    return {"scores": tuple(scores)}


def repetition(
    directory: RunDirectory, name: str, searcher: str, seed: int, better: float = 0.0
) -> RunDirectory:
    """A run beside another one, over the same cases, of another searcher and seed."""
    run = rival(directory, name, seed, better)
    edit_run(run.path, lambda told: told["config"]["search"].update(searcher=searcher))
    draw = np.random.default_rng(seed)
    return edit_outcomes(
        run, lambda o: rescored(o, lambda _, s: {"score": (s.score or 0) + draw.normal(0, 0.01)})
    )


def sweep(first: RunDirectory, runs: Mapping[str, str], folder: str) -> str:
    """A folder of repetitions of a run, by name and searcher; the run itself is not among them."""
    for seed, (name, searcher) in enumerate(runs.items(), 1):
        made = repetition(first, name, searcher, seed, better=0.1 * (searcher == "ax"))
        shutil.move(made.path, f"{folder}/{name}")
    return folder
