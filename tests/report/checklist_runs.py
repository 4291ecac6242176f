"""Runs for the tests of checklist, LaTeX and Markdown: records of any run, a flat one, renamed classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from safetensors.numpy import save

from nachos_jax.core.types import EpochLimit, Fit, Trial, TrialScore
from nachos_jax.records.schema import Curve, FitRecord, Outcome
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.reading import evidence
from nachos_jax.report.reading.evidence import Evidence
from tests.report.rivals import edit_run

FEW = (("replicates", 200),)
"""Settings of the report that make its bootstrap fast."""


def told(directory: RunDirectory) -> tuple[Evidence, dict[str, Any]]:
    """The records of a run and their summary."""
    found = evidence.read(directory)
    return found, summarise(found)


def flat(directory: RunDirectory, trials: int = 3, failed: int = 0) -> RunDirectory:
    """Makes a run without tests one of the flat protocol, its search finished.

    Args:
        directory: a run with `tested=()`.
        trials: trials that ended with numbers.
        failed: further trials that did not.
    """
    edit_run(directory.path, lambda run: run["config"].update(protocol="flat"))
    run, cases = directory.run(), directory.read_table("folds.csv")
    assert run is not None
    assert cases is not None
    count, classes, rng = run["folds"]["count"], run["classes"], np.random.default_rng(3)
    made, scores, ids = [], [], []
    for number in range(trials + failed):
        trial = Trial(
            None, number, {"learning_rate": 0.1 / (number + 1)}, "default" if number == 0 else "sobol"
        )
        directory.commit_trial(trial)
        fits = [Fit(trial.hparams, (fold,), 0, EpochLimit(4), "cases") for fold in range(count)]
        bad = number >= trials
        for fold, fit in enumerate(fits):
            labels = np.array([classes.index(row["label"]) for row in cases if row["fold"] == str(fold)])
            logits = 1.5 * np.eye(len(classes))[labels] + rng.normal(0, 1, (len(labels), len(classes)))
            payload = {} if bad else {"inner.safetensors": save({str(fold): logits.astype(np.float32)})}
            curve = Curve((1.0, 0.5), (0.5, 0.7), "limit")
            status = "diverged" if bad else "done"
            directory.commit_fit(
                FitRecord(fit.id, (fold,), trial.hparams, 4, status, 4, 9000, (1.0, 0.5), {fold: curve}),
                payload,
            )
        by_fold: dict[int, float | None] = {
            fold: None if bad else 0.7 - 0.01 * number for fold in range(count)
        }
        value = None if bad else 0.7 - 0.01 * number
        scores.append(TrialScore(value, None if bad else 0.0, 4, 9000, "failed" if bad else "done", by_fold))
        made.append(trial)
        ids.append(tuple(fit.id for fit in fits))
    directory.commit_outcome(
        Outcome(None, "balanced_accuracy", "best", tuple(made), tuple(scores), tuple(ids), 0, 4)
    )
    return directory


def renamed(value: Any, names: dict[str, str]) -> Any:
    """JSON values with every class name replaced, in keys, in texts and inside texts."""
    if isinstance(value, dict):
        return {renamed(key, names): renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, names) for inner in value]
    if isinstance(value, str):
        for number, old in enumerate(names):
            value = value.replace(old, f"\N{SNOWMAN}{number}\N{SNOWMAN}")
        for number, new in enumerate(names.values()):
            value = value.replace(f"\N{SNOWMAN}{number}\N{SNOWMAN}", new)
    return value
