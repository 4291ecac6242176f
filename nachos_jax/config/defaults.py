"""The default values of a config, from the table of fields and the table of hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nachos_jax.config.field import nested
from nachos_jax.config.fields import SECTIONS
from nachos_jax.core.hparams import Hyperparameter


def default_values(table: Sequence[Hyperparameter]) -> dict[str, Any]:
    """Every field with its default, nested by section; nothing is searched.

    Args:
        table: all hyperparameters.
    """
    values: dict[str, Any] = {}
    for section in SECTIONS:
        values |= {row.key: row.default for row in table if row.key.split(".")[0] == section.name}
        values |= {field.key: field.default for field in section.fields}
        if section.name == "search":
            values |= {row.space_key: "" for row in table}
    return nested(values)
