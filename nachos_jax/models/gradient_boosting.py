"""scikit-learn's gradient boosting of histograms (as LightGBM, Ke et al. 2017), as a baseline."""

from __future__ import annotations

import functools
from typing import Any

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams

OUTCOMES = ("classes", "labels", "number")
_row = functools.partial(Hyperparameter, when=("architecture", ("gradient_boosting",)))

HYPERPARAMETERS = (
    _row("gradient_boosting.trees", "integer", 1, 10_000, default=100, meaning="rounds, a tree a class each"),
    _row("gradient_boosting.rate", "float", 1e-4, 1.0, default=0.1, meaning="how much a tree may change"),
    _row("gradient_boosting.leaves", "integer", 2, 1_024, default=31, meaning="most leaves of a tree"),
    _row("gradient_boosting.leaf", "integer", 1, 10_000, default=20, meaning="fewest cases in a leaf"),
    _row("gradient_boosting.l2", "float", 0.0, 1e4, default=0.0, meaning="L2 penalty of the leaves"),
)


def estimator(outcome: str, hparams: HParams, seed: int) -> Any:
    """See `nachos_jax.models.registry`; the rounds are a hyperparameter, nothing is stopped by held cases."""
    from sklearn import ensemble

    classes = outcome == "classes"
    kind: Any = ensemble.HistGradientBoostingClassifier if classes else ensemble.HistGradientBoostingRegressor
    return kind(
        max_iter=int(hparams["gradient_boosting.trees"]),
        learning_rate=float(hparams["gradient_boosting.rate"]),
        max_leaf_nodes=int(hparams["gradient_boosting.leaves"]),
        min_samples_leaf=int(hparams["gradient_boosting.leaf"]),
        l2_regularization=float(hparams["gradient_boosting.l2"]),
        early_stopping=False,
        random_state=seed,
    )
