"""From the user's ConfigDict to the checked RunConfig."""

from __future__ import annotations

from collections.abc import Mapping

from ml_collections import ConfigDict

from nachos_jax.config import parsing
from nachos_jax.config.run_config import RunConfig
from nachos_jax.configs import base
from nachos_jax.core.hparams import TASK_NAMES


def checked(config: Mapping | ConfigDict) -> RunConfig:
    """Checks a config against the default config and the hyperparameter table.

    Args:
        config: a ConfigDict or nested mappings.

    Returns:
        The run.

    Raises:
        UsageError: the config cannot be used.
    """
    values = config.to_dict() if isinstance(config, ConfigDict) else config
    return parsing.parse(values, base.get_config().to_dict(), base.table(), TASK_NAMES)
