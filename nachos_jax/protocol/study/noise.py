"""How much the cases of one fold say of the difference between two trials: what the first fold of a race has.

The fits of two trials predicted the same cases. Their subjects are drawn again with all their cases, the same
draws for both, and the standard deviation of the difference of the scores is its standard error
(Efron and Tibshirani 1993, chapter 6).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from safetensors.numpy import load

from nachos_jax.core.types import digest
from nachos_jax.protocol.run import begun
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.schema import FitRecord
from nachos_jax.search.policies.policy import Noise
from nachos_jax.statistics.bootstrap import resamples
from nachos_jax.tasks.registry import of as task_of

REPLICATES = 100
"""Draws of subjects: a standard error to 7 %."""


def between(run: Run, record: Callable[[int, int], FitRecord | None]) -> Noise:
    """The noise of a study.

    Args:
        run: the opened run.
        record: (trial, inner fold) -> its furthest fit.
    """
    task, metric = task_of(run.config.task), run.config.search.metric

    @cache
    def draws(fold: int) -> np.ndarray:
        """[R, n] how often each case of a fold occurs in each draw."""
        chosen = run.folds.cases(fold)
        within, subjects = _groups(run)[chosen], np.asarray(run.cohort.table.subjects)[chosen]
        seed = int(digest(["noise", run.config.seed, fold], 8), 16)
        return resamples(subjects, within, REPLICATES, seed).astype(np.int64)

    @cache
    def scores(fit: str, fold: int) -> np.ndarray | None:
        """[R] scores of a fit on the draws of a fold; NaN where undefined."""
        found = run.store.fit(fit)
        if found is None or "inner.safetensors" not in found.payload:
            return None
        seen = load(run.store.payload(found, "inner.safetensors"))[str(fold)]
        targets = run.cohort.targets.of(run.folds.cases(fold))
        return task.redrawn(metric, seen, targets, draws(fold))

    def noise(first: int, second: int, fold: int) -> float | None:
        fits = [record(trial, fold) for trial in (first, second)]
        if any(fit is None for fit in fits):
            return None
        found = [scores(fit.fit, fold) for fit in fits if fit is not None]
        if found[0] is None or found[1] is None:
            return None
        differences = found[0] - found[1]
        differences = differences[np.isfinite(differences)]
        return float(differences.std(ddof=1)) if len(differences) >= REPLICATES // 2 else None

    return noise


def _groups(run: Run) -> np.ndarray:
    """[N] int: as many subjects of each group are drawn as there are."""
    strata = run.cohort.targets.strata
    # Other strata than classes (fifths of all targets, the rarest label) are made from cases of all folds, so
    # from those of the outer fold, too, of which no study may know.
    if strata.needed or begun.before_draws_kept_to_their_fold(run.store):
        return strata.numbers
    return np.zeros(len(strata.numbers), np.int64)
