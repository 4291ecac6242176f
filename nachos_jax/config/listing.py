"""Every field of a config in words: its value, its meaning, and what it may be."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nachos_jax.config.field import Field, Section, flat
from nachos_jax.config.fields import FIELDS, SECTIONS
from nachos_jax.core.hparams import Hyperparameter

WIDTH, INDENT, COLUMN = 118, 2, 40
_SPACE = (
    'a place for every hyperparameter: "" keeps its value, a text searches it, like "uniform(0.0, 0.5)" or '
    '"choice(8, 16)"'
)


def listing(config: Mapping, table: Sequence[Hyperparameter], sections: Sequence[str] = ()) -> str:
    """The fields, section after section.

    Args:
        config: values of all fields, nested.
        table: all hyperparameters.
        sections: names of the sections wanted; all when empty.
    """
    values = flat(config)
    wanted = [section for section in SECTIONS if not sections or section.name in sections]
    return "\n\n".join("\n".join(_section(section, values, table)) for section in wanted)


def _section(section: Section, values: Mapping[str, Any], table: Sequence[Hyperparameter]) -> Iterator[str]:
    yield f"config.{section.name}: {section.meaning}" if section.name else f"config: {section.meaning}"
    prefix = f"{section.name}." if section.name else ""
    for row in table:
        if prefix and row.key.startswith(prefix) and row.key not in FIELDS:
            yield _line(row.key.removeprefix(prefix), values[row.key], row.meaning, _of_row(row))
    for field in section.fields:
        yield _line(field.key.removeprefix(prefix), values[field.key], field.meaning, _of_field(field))
    if section.name == "search":
        yield _line("space.NAME", "", _SPACE, "")
        for row in table:
            if values[row.space_key]:
                yield _line(f"space.{row.name}", values[row.space_key], "searched by default", "")


def _line(name: str, value: Any, meaning: str, allowed: str) -> str:
    """`name = value` and beside it, wrapped, what it means."""
    shown = "()" if value == [] else repr(value)
    told = textwrap.wrap("; ".join(filter(None, (meaning, allowed))), WIDTH - COLUMN)
    left = " " * INDENT + f"{name} = {shown}"
    if len(left) + 2 > COLUMN:
        return "\n".join([left, *(" " * COLUMN + line for line in told)])
    return "\n".join([left.ljust(COLUMN) + told[0], *(" " * COLUMN + line for line in told[1:])])


def _of_row(row: Hyperparameter) -> str:
    allowed = _allowed(row.choices, row.low, row.high)
    if row.when is None or "." in row.name:
        return allowed
    condition = f"only with {row.when[0]} {' or '.join(map(str, row.when[1]))}"
    return "; ".join(filter(None, (allowed, condition)))


def _of_field(field: Field) -> str:
    return _allowed(field.choices, field.low, field.high)


def _allowed(choices: Sequence[Any], low: float, high: float) -> str:
    if choices:
        return f"one of {', '.join(map(repr, choices))}"
    return f"{low:,.12g} to {high:,.12g}" if high < float("inf") else ""
