"""scikit-learn's logistic regression, as a baseline: on features, or on the pixels of small images."""

from __future__ import annotations

import functools
from typing import Any

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams

OUTCOMES = ("classes", "labels")
_ITERATIONS = 2_000
_row = functools.partial(Hyperparameter, when=("architecture", ("logistic",)))

HYPERPARAMETERS = (
    _row(
        "logistic.c",
        "float",
        1e-6,
        1e6,
        default=1.0,
        meaning="inverse strength of the L2 penalty, scikit-learn's C",
    ),
)


def estimator(outcome: str, hparams: HParams, seed: int) -> Any:  # noqa: ARG001
    """See `nachos_jax.models.registry`; it draws nothing."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=float(hparams["logistic.c"]), max_iter=_ITERATIONS)
