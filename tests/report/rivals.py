"""Runs over the same cases and folds as another, with other predictions."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np

from nachos_jax.records.store import RunDirectory, dump


def rival(directory: RunDirectory, name: str, seed: int = 1, better: float = 0.0) -> RunDirectory:
    """A copy of a run whose refits predict otherwise; numbers with noise alone.

    Args:
        directory: the run.
        name: of the folder beside it.
        seed: of the config and of the noise in the predictions.
        better: share of the true class mixed into the probabilities; a negative one is taken away.
    """
    path = directory.path.parent / name
    shutil.copytree(directory.path, path)
    edit_run(path, lambda run: run["config"].update(seed=seed))
    copy = RunDirectory(path)
    for test in directory.tests():
        rng = np.random.default_rng([seed, test.outer_fold])
        if "predictions" in test.arrays:
            values = test.arrays["predictions"]
            changed = {**test.arrays, "predictions": values + rng.normal(size=values.shape)}
        else:
            changed = {**test.arrays, "probabilities": _probabilities(test.arrays, rng, better)}
        edit_test(copy, test.outer_fold, lambda _, changed=changed: {"arrays": changed})
    return copy


def _probabilities(arrays, rng: np.random.Generator, better: float) -> np.ndarray:
    values = arrays["probabilities"]
    values = 0.7 * values + 0.3 * rng.dirichlet(np.ones(values.shape[1]), len(values))
    values[np.arange(len(values)), arrays["labels"]] += better
    values = np.clip(values, 1e-6, None)
    return (values / values.sum(axis=1, keepdims=True)).astype(np.float32).astype(np.float64)


def edit_run(path: Path, change) -> None:
    """Changes run.json in place."""
    file = path / "records" / "run.json"
    run = json.loads(file.read_text())
    change(run)
    file.write_bytes(dump(run))


def edit_test(directory: RunDirectory, fold: int, change) -> None:
    """Replaces fields of the test of an outer fold; `change` maps the record to them."""
    (test,) = [test for test in directory.tests() if test.outer_fold == fold]
    (directory.folder / "tests" / f"fold_{fold:02d}.json").unlink()
    directory.commit_test(dataclasses.replace(test, **change(test)))


def edit_folds(directory: RunDirectory, change) -> None:
    """Changes rows of folds.csv in place; `change` gets the list of rows."""
    rows = directory.read_table("folds.csv") or []
    change(rows)
    directory.write_table("folds.csv", list(rows[0]), [list(row.values()) for row in rows])
