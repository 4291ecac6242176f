"""A 2-D classification set of the MedMNIST collection from its npz file, e.g.

    nachos evaluate --config=configs/medmnist.py:pneumoniamnist --config.data.path=pneumoniamnist.npz \
        --config.data.subject=one_case_per_subject --workdir=runs/pneumonia

The text after the colon names the set and is the file looked for (NAME.npz) when no path is given.
These files carry no subject numbers. Some sets hold several images of one patient, and then an estimate
that splits them is too good: you must waive subjects in words to go on.
"""

from ml_collections import ConfigDict

from nachos_jax import default_config
from nachos_jax.core import space


def get_config(name: str = "pneumoniamnist") -> ConfigDict:
    """The small CNN over five outer folds; `name` is the set's name in lower case."""
    config = default_config()
    config.data.source = "npz"
    config.data.path = f"{name}.npz"
    config.search.space.class_weight_exponent = space.uniform(0.0, 1.0)
    return config
