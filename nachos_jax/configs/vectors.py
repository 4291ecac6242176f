"""Cases given by features: an embedding, radiomics; from an NPZ, CSV, TSV or Parquet file.

    nachos evaluate --config=configs/vectors.py --config.data.path=radiomics.csv \
        --config.data.features="('original_*',)" --workdir=runs/radiomics

A table has a column label, one that tells the subject, and columns of features, which patterns name; an
npz file has the arrays features [N, D], labels and subject. The network is linear: logistic regression, whose
C is searched. --config=configs/vectors.py:mlp takes a multilayer perceptron instead.
"""

from ml_collections import ConfigDict

from nachos_jax import default_config
from nachos_jax.core import space


def get_config(network: str = "linear") -> ConfigDict:
    """Five outer folds of vectors; `network` is linear or mlp."""
    config = default_config()
    config.data.source = "vectors"
    config.data.path = "features.npz"
    config.model.architecture = network
    if network == "linear":
        stepwise = dict.fromkeys(("learning_rate", "momentum", "weight_decay"), "")
        config.search.space.update({**stepwise, "linear": {"c": space.log(1e-4, 1e2)}})
    else:
        config.search.space.update(
            {"dropout": space.uniform(0.0, 0.7), "mlp": {"width": space.choice(16, 64, 256)}}
        )
    return config
