"""Published learning curves of a nested cross-validation as studies that can be replayed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.statistics.policies_replay import Outcome, Recorded
from nachos_jax.core.types import EpochLimit
from nachos_jax.records.schema import Curve
from nachos_jax.search.policies.tournament import order

Fit = tuple[int, int, int]
"""Trial, and the two folds that it left out, in order."""


def studies(curves: np.ndarray, limit: EpochLimit) -> dict[int, Recorded]:
    """The study of each outer fold.

    Args:
        curves: of shape (trials, outer folds, inner folds, epochs, 4); columns are loss, accuracy, and both
        on
            the inner fold; NaN where a fit had ended.
        limit: under which they were recorded.
    """
    trials, folds = curves.shape[:2]
    found = {}
    for outer in range(folds):
        inner = [fold for fold in range(folds) if fold != outer]
        by_fit = {
            (trial, fold): _curve(curves[trial, outer, fold]) for trial in range(trials) for fold in inner
        }
        training = {
            (trial, fold): _training(curves, trial, outer, fold) for trial in range(trials) for fold in inner
        }
        found[outer] = Recorded(by_fit, order(outer, inner), limit, trials, training=training)
    return found


def partitions(path: Path) -> dict[str, np.ndarray]:
    """The curves of each partition in an archive, by its name."""
    with np.load(path) as archive:
        names = [name for name in archive.files if name.endswith("__curves")]
        return {name.removesuffix("__curves"): archive[name] for name in names}


def reused(outcomes: Mapping[int, Outcome]) -> int:
    """Epochs of all studies together when a fit that left out two folds serves both of their studies."""
    epochs: dict[Fit, int] = {}
    for outer, outcome in outcomes.items():
        for (trial, fold), trained in outcome.epochs.items():
            fit = (trial, min(outer, fold), max(outer, fold))
            epochs[fit] = max(epochs.get(fit, 0), trained)
    return sum(epochs.values())


def _training(curves: np.ndarray, trial: int, outer: int, fold: int) -> list[float]:
    """Of the fit that leaves out both folds: as recorded with the one of them that was trained for longer."""
    both = [
        curves[trial, min(outer, fold), max(outer, fold)],
        curves[trial, max(outer, fold), min(outer, fold)],
    ]
    longer = max(both, key=lambda values: np.isfinite(values[:, 2]).sum())
    return longer[np.isfinite(longer[:, 2]), 0].astype(np.float64).tolist()


def _curve(values: np.ndarray) -> Curve:
    ended = int(np.isfinite(values[:, 2]).sum())
    loss, score = (tuple(float(value) for value in values[:ended, column]) for column in (2, 3))
    return Curve(loss, score, "limit" if ended == len(values) else "patience")
