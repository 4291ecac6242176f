"""scikit-learn's random forest (Breiman 2001), as a baseline: on features, or on pixels of small images."""

from __future__ import annotations

import functools
from typing import Any

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams

OUTCOMES = ("classes", "labels", "number")
_row = functools.partial(Hyperparameter, when=("architecture", ("random_forest",)))

HYPERPARAMETERS = (
    _row("random_forest.trees", "integer", 1, 10_000, default=300, meaning="trees"),
    _row(
        "random_forest.features",
        "float",
        0.0,
        1.0,
        default=0.0,
        meaning="share of the features that a split looks at; 0 = the square root of their number, of a "
        "number a third",
    ),
    _row("random_forest.leaf", "integer", 1, 10_000, default=1, meaning="fewest cases in a leaf"),
    _row("random_forest.depth", "integer", 0, 1_000, default=0, meaning="most splits in a row; 0 = any"),
)


def estimator(outcome: str, hparams: HParams, seed: int) -> Any:
    """See `nachos_jax.models.registry`."""
    from sklearn import ensemble

    usual: str | float = "sqrt" if outcome == "classes" else 1 / 3
    kind: Any = ensemble.RandomForestClassifier if outcome == "classes" else ensemble.RandomForestRegressor
    return kind(
        n_estimators=int(hparams["random_forest.trees"]),
        max_features=float(hparams["random_forest.features"]) or usual,
        min_samples_leaf=int(hparams["random_forest.leaf"]),
        max_depth=int(hparams["random_forest.depth"]) or None,
        random_state=seed,
        n_jobs=1,
    )
