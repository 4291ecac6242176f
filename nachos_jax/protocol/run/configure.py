"""From the user's ConfigDict to the checked RunConfig."""

from __future__ import annotations

from collections.abc import Mapping

from ml_collections import ConfigDict

from nachos_jax.config import run_config as configs
from nachos_jax.configs import base
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import TRAINING
from nachos_jax.models import registry
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks.task import Task


def known_task(name: str) -> Task:
    """The task of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in tasks.names():
        known = ", ".join(map(repr, tasks.names()))
        raise UsageError(f"config.task.name = {name!r}: must be one of {known}.")
    return tasks.of(name)


def checked(config: Mapping | ConfigDict) -> configs.RunConfig:
    """Checks a config against configs/base.py and the hyperparameter table.

    Args:
        config: a ConfigDict or nested mappings.

    Returns:
        The run.

    Raises:
        UsageError: the config cannot be used.
    """
    values = config.to_dict() if isinstance(config, ConfigDict) else config
    # temporary until branch `fields` is merged
    names = [row.name for row in TRAINING]
    k = names.index("label_smoothing")
    task = known_task(values["task"]["name"])
    rest = [row for row in TRAINING[k:] if row.name not in {r.name for r in tasks.hyperparameters()}]
    own = [row for row in task.hyperparameters if "." not in row.name]
    table = (*TRAINING[:k], *own, *rest, *registry.hyperparameters())
    return configs.parse(values, base.get_config().to_dict(), table)
