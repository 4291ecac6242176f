"""Setting fields of nested configs by name."""

from __future__ import annotations

from typing import Any


def put(values: Any, name: str, value: Any) -> None:
    """Sets one field of a ConfigDict or nested dictionaries, e.g. "training.epochs" or "training__epochs"."""
    *path, leaf = name.replace("__", ".").split(".")
    for part in path:
        values = values[part]
    values[leaf] = value
