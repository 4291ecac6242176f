"""A baseline of scikit-learn beside a network, over the same folds, e.g.

    nachos evaluate --config=configs/baseline.py:random_forest --config.data.path=cases.npz \
        --config.data.subject_key=patient_id --workdir=runs/forest

The word after the colon is logistic, random_forest or gradient_boosting. Of vectors
(--config.data.source=vectors) they see the features, of images all pixels, so keep those small with
--config.data.height and --config.data.width. With the same data, seed and folds as another run, folds are the
same cases, and `nachos compare` says whether the network beats the baseline.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from nachos_jax import default_config
from nachos_jax.core import space

_SPACES = {
    "logistic": {"c": space.log(1e-4, 1e2)},
    "random_forest": {
        "features": space.log(0.02, 1.0),
        "leaf": space.choice(1, 2, 5, 10, 20),
    },
    "gradient_boosting": {
        "trees": space.choice(30, 100, 300),
        "rate": space.log(0.01, 0.3),
        "leaves": space.choice(4, 8, 16, 31),
        "leaf": space.choice(5, 20, 50),
    },
}


def get_config(name: str = "random_forest") -> ConfigDict:
    """Five outer folds; sixteen trials of the estimator's own hyperparameters, drawn at random."""
    config = default_config()
    config.model.architecture = name
    config.search.searcher = "random"
    stepwise = dict.fromkeys(("learning_rate", "momentum", "weight_decay"), "")
    config.search.space.update({**stepwise, name: _SPACES[name]})
    return config
