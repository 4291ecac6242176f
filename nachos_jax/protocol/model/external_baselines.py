"""External cases and estimators of scikit-learn, of which nothing is kept: they are fitted once more."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.data.table import Cohort
from nachos_jax.engine.hosted import again
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.schema import FitRecord
from nachos_jax.tasks import registry as tasks

CLOSE = 1e-4
"""How far what is seen of a case may lie from the record, as other sums of float32 give it."""


def seen(run: Run, outside: Cohort, record: FitRecord) -> np.ndarray:
    """[M, S] of what the estimator of a refit sees of the external cases.

    A fit depends on its id alone, so fitting it again gives the estimator that was tested; that it predicts
    its outer fold as the record says is checked.

    Raises:
        UsageError: it does not, as another version of scikit-learn may have it.
    """
    task = tasks.of(run.config.task)
    fit = Fit(record.hparams, record.left_out, run.config.seed, EpochLimit(record.limit), run.cases)
    cohorts = (of.prepared(record.hparams) for of in (run.cohort, outside))
    held, there = again.fitted(task, next(cohorts), run.folds, fit, next(cohorts))
    known = load(run.store.payload(record, f"{task.kind}.safetensors"))[task.kind]
    if not np.allclose(held, known, CLOSE, CLOSE, equal_nan=True):
        raise UsageError(
            f"{record.hparams['architecture']} of fit {record.fit}, fitted again, does not predict "
            "its outer fold as it did: use the version of scikit-learn with which the run began "
            "(environment.json)."
        )
    return there
