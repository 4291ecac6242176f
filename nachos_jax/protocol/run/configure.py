"""From the user's ConfigDict to the checked RunConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ml_collections import ConfigDict

from nachos_jax.config import parsing
from nachos_jax.config.run_config import RunConfig
from nachos_jax.configs import base
from nachos_jax.core.errors import UsageError
from nachos_jax.models import registry as models
from nachos_jax.protocol.run import with_weights
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
    reference = base.get_config().to_dict()
    headlines = {name: tasks.of(name).headline for name in tasks.names()}
    run = parsing.parse(with_weights.settled(values, reference), reference, base.table(), headlines)
    # What is solved needs no second epoch.
    solved = models.solved(run.candidates("architecture"))
    return replace(run, limit=replace(run.limit, epochs=1, patience=1)) if solved else run
