"""Configs as nested dictionaries, and their fields by name."""

from __future__ import annotations

import functools
import json
import pickle
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from ml_collections import ConfigDict

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


def share_defaults(patch: pytest.MonkeyPatch) -> None:
    """Gives copies of a default config: to make one takes longer than to check another by it."""
    from nachos_jax.configs import base
    from nachos_jax.protocol.run import configure

    make = base.get_config

    @functools.cache  # by the table, to which a test may add a network
    def made(_: Any) -> tuple[bytes, bytes]:
        config = make()
        return pickle.dumps(config), pickle.dumps(config.to_dict())

    @functools.wraps(make)
    def get_config() -> Any:
        return pickle.loads(made(base.table())[0])

    def reference() -> SimpleNamespace:
        return SimpleNamespace(to_dict=lambda: pickle.loads(made(base.table())[1]))

    patch.setattr(base, "get_config", get_config)
    patch.setattr(configure, "base", SimpleNamespace(get_config=reference, table=lambda: base.table()))
    # Its flag keeps a config as text, twice, which nobody reads and YAML is long in writing.
    patch.setattr(ConfigDict, "__str__", lambda self: repr(self.to_dict()))


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
