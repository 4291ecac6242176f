"""Frozen dataclasses from plain JSON values, every field checked against its annotation."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any


def parse(text: bytes) -> dict[str, Any]:
    """The object in a JSON text.

    Raises:
        ValueError: the text is no JSON, no object, nested too deeply, or holds NaN or an infinity.
    """
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} instead of an object")
    return value


def read(kind: Any, value: Any, where: object = "it") -> Any:
    """The value of a type in its JSON form.

    Args:
        kind: a dataclass, tuple[X, ...], Mapping[K, X] with K int or str, a plain type, or a union of plain
            types.
        value: lists stand for tuples, and texts for whole numbers that are keys.
        where: what the value is called in messages.

    Raises:
        ValueError, TypeError: it is another kind of value.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        items = _of(list, value, where)
        known = set(map(type, items)) <= _plain(parts[0])  # long curves are seen at a glance
        return tuple(items if known else (read(parts[0], item, where) for item in items))
    if origin is Mapping:
        return {parts[0](key): read(parts[1], item, key) for key, item in _of(dict, value, where).items()}
    if dataclasses.is_dataclass(kind):
        hints, items = _hints(kind), _of(dict, value, where)
        return kind(**{name: read(hints.get(name), item, name) for name, item in items.items()})
    if kind is not None and type(value) not in _plain(kind):
        raise ValueError(f"{where} = {str(value)[:40]!r}")
    return value


def _of(kind: type, value: Any, where: object) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{where} = {str(value)[:40]!r}")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of a record")
    return number


@functools.cache
def _plain(kind: Any) -> set[type]:
    """The JSON types of a plain type or of a union of such; none of another kind."""
    if isinstance(kind, types.UnionType):
        return set().union(*map(_plain, typing.get_args(kind)))
    return {float: {float, int}}.get(kind, {kind} & {int, str, bool, types.NoneType})


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
