"""From the user's ConfigDict to the checked RunConfig."""

from __future__ import annotations

from collections.abc import Mapping

from ml_collections import ConfigDict

from nachos_jax.config import run_config as configs
from nachos_jax.configs import base
from nachos_jax.core.hparams import TRAINING
from nachos_jax.models import registry


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
    return configs.parse(values, base.get_config().to_dict(), (*TRAINING, *registry.hyperparameters()))
