"""A fit of an estimator once more, to predict cases that its record says nothing of."""

from __future__ import annotations

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit
from nachos_jax.data.measured import measured
from nachos_jax.data.table import Cohort
from nachos_jax.engine.hosted.crew import Processes
from nachos_jax.engine.hosted.fitting import Order
from nachos_jax.engine.hosted.lanes import WAIT, limits, what
from nachos_jax.splits.folds import Folds
from nachos_jax.tasks.dense import NORMALISATION
from nachos_jax.tasks.normalisation import TRAINING
from nachos_jax.tasks.task import Task


def fitted(
    task: Task, cohort: Cohort, folds: Folds, fit: Fit, others: Cohort
) -> tuple[np.ndarray, np.ndarray]:
    """What an estimator sees of the cases of the folds that it left out [n, S], and of others [M, S].

    Args:
        task: what is predicted.
        cohort: N cases, some of which it learns from.
        folds: their folds.
        fit: the fit.
        others: M cases like those of the cohort.

    Raises:
        UsageError: it cannot be fitted.
    """
    training, count = folds.training(fit.left_out), len(cohort.table)
    held = np.concatenate([np.flatnonzero(folds.cases(fold)) for fold in fit.held])
    sums, both = cohort.store.sums(), (cohort, others)
    mean, sd = sums.mean_sd(training)
    inputs = np.concatenate([one.store.rows(np.arange(len(one.table), dtype=np.int32)) for one in both])
    by_case = fit.hparams.get(NORMALISATION.name, TRAINING) != TRAINING
    order = Order(
        training=np.flatnonzero(training),
        asked=np.concatenate([held, count + np.arange(len(others.table))]),
        mean=mean,
        sd=sd,
        fill=sums.fill(training),
        weights=task.case_weights(cohort.targets, training, fit.hparams),
        limits=limits(fit, measured(inputs).stats) if by_case else None,
    )
    crew = Processes(1, inputs, np.concatenate([one.targets.values for one in both]))
    seen = task.device(cohort.targets.names, fit.hparams).seen
    try:
        crew.send(1, what(task, fit, seen), order)
        while not (ended := crew.ended(WAIT)):
            pass
    finally:
        crew.close()
    _, found = ended[0]
    if isinstance(found, str):
        raise UsageError(f"{fit.hparams['architecture']} could not be fitted again: {found}.")
    return found[: len(held)], found[len(held) :]
