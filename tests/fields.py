"""Configs as nested dictionaries, and their fields by name."""

from __future__ import annotations

import functools
import json
import pickle
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from nachos_jax import default_config, models
from nachos_jax.config.parsing import POLICY


def put(values: Any, name: str, value: Any) -> None:
    """Sets one field of a ConfigDict or nested dictionaries, e.g. "training.epochs" or "training__epochs"."""
    *path, leaf = name.replace("__", ".").split(".")
    for part in path:
        values = values[part]
    values[leaf] = value


def plain(**changes: Any) -> dict[str, Any]:
    """The default config on the digits as nested dictionaries; names like training__epochs set fields."""
    values = json.loads(_default(*models.__path__))
    values["data"]["source"] = "digits"
    values["search"]["metric"] = "balanced_accuracy"  # as a checked one has, and its policy
    values["search"]["policy"] = POLICY
    for name, value in changes.items():
        put(values, name, value)
    return values


@functools.cache
def _default(*_: str) -> str:
    """The default config as JSON, made once for the folders of models: a test may add a network."""
    return default_config().to_json_best_effort()


def share_reference(patch: pytest.MonkeyPatch) -> None:
    """Lets `checked` compare with a copy of the default config, which takes longer to make than to check."""
    from nachos_jax.configs import base
    from nachos_jax.protocol.run import configure

    @functools.cache
    def made(_: Any) -> bytes:
        return pickle.dumps(base.get_config().to_dict())

    def get_config() -> SimpleNamespace:
        return SimpleNamespace(to_dict=lambda: pickle.loads(made(base.table())))

    patch.setattr(configure, "base", SimpleNamespace(get_config=get_config, table=lambda: base.table()))


def leaves(config: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field with its dotted name."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def with_value(key: str, value: Any) -> dict[str, Any]:
    """The plain config with one dotted key set."""
    values = plain()
    owner = key.removeprefix("search.space.").removeprefix("task.").partition(".")[0]
    # Else nothing would read the field, and it is refused.
    if owner in ("multilabel", "regression", "segmentation"):
        values["task"]["name"] = owner
    put(values, key, value)
    return values
