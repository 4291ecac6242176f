"""Half a minute on two CPU cores: nested cross-validation on scikit-learn's bundled digits.

The digits are real scans of handwriting (Alpaydin and Kaynak 1998). The bundled copy does not say who
wrote what, so each case is declared a subject of its own, in words, as the protocol demands. With
patients you must not do that: name the column that holds them in `data.subject_key`.
"""

from ml_collections import ConfigDict

from nachos_jax import default_config
from nachos_jax.core import space


def get_config() -> ConfigDict:
    """Five outer folds, four trials, all inner folds."""
    config = default_config()
    config.data.source = "digits"
    config.data.subject = "one_case_per_subject"
    config.model.cnn.stages = 2
    config.model.cnn.width = 16
    config.training.epochs = 12
    config.training.patience = 3
    config.search.searcher = "sobol"
    config.search.trials = 4
    config.search.space.learning_rate = space.log(3e-3, 1e-1)
    config.engine.compilation = "quick"
    return config
