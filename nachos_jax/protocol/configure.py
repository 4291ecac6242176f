"""From the user's ConfigDict to the checked RunConfig."""

from __future__ import annotations

from collections.abc import Mapping

from nachos_jax.configs import base
from nachos_jax.core import config as configs
from nachos_jax.core.hparams import TRAINING
from nachos_jax.models import registry


def checked(config: Mapping) -> configs.RunConfig:
    """Checks a config against configs/base.py and the hyperparameter table.

    Args:
        config: a ConfigDict or nested mappings.

    Returns:
        The run.

    Raises:
        UsageError: the config cannot be used.
    """
    return configs.parse(config, base.get_config(), (*TRAINING, *registry.hyperparameters()))
