"""The default run, from which all other configs start; `nachos config` lists every field with its meaning.

The fields stand in nachos_jax/config/fields.py, the hyperparameters in nachos_jax/core/hparams.py, those of a
network in nachos_jax/models/<name>.py: each with its default, range and meaning. Copy nothing from there:
`from nachos_jax import default_config`, change what differs, return it. Any field can also be set on the
command line: --config.training.learning_rate=0.01.
"""

from ml_collections import ConfigDict

from nachos_jax.config.defaults import default_values
from nachos_jax.core import space
from nachos_jax.core.hparams import Hyperparameter, whole_table
from nachos_jax.models import registry as models
from nachos_jax.tasks import registry as tasks


def get_config() -> ConfigDict:
    """A small CNN, five outer folds, sixteen trials proposed by Ax.

    `config.search.space` has a place for every hyperparameter: "" keeps its value, a text searches it, e.g.
    --config.search.space.learning_rate="log(1e-4, 1e-1)" or
    --config.search.space.cnn.width="choice(8, 16, 32)".
    """
    values = default_values(table())
    values["search"]["space"] |= {
        "learning_rate": space.log(1e-3, 1e-1),
        "momentum": space.uniform(0.5, 0.99),
        "weight_decay": space.log(1e-6, 1e-2),
    }
    return ConfigDict(values).lock()


def table() -> tuple[Hyperparameter, ...]:
    """All hyperparameters: training, tasks and architectures."""
    return whole_table(tasks.hyperparameters(), models.hyperparameters())
