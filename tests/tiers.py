"""Parametrised tests of which `make test` runs a few cases; the others are `thorough`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly_thorough(
    names: str | tuple[str, ...], values: Iterable[Any], kept: int | Collection[Any], **more: Any
) -> pytest.MarkDecorator:
    """As `pytest.mark.parametrize`, and marks the cases that `make test` leaves to `make soak`.

    Args:
        names: of the arguments.
        values: of the arguments, one entry a case.
        kept: what `make test` runs: so many of the first cases, or those with one of these as first argument.
        more: see `pytest.mark.parametrize`.

    Raises:
        ValueError: there is no such case.
    """
    several = not isinstance(names, str)
    made = type(pytest.param())
    rows = [
        row if isinstance(row, made) else pytest.param(*row) if several else pytest.param(row)
        for row in values
    ]
    quick = range(kept) if isinstance(kept, int) else [k for k, r in enumerate(rows) if r.values[0] in kept]
    if (
        not quick
        or not isinstance(kept, int)
        and {*map(repr, kept)} - {repr(rows[k].values[0]) for k in quick}
    ):
        raise ValueError(f"{names!r}: no case of {kept!r}")
    marked = [
        row if place in quick else row._replace(marks=(*row.marks, pytest.mark.thorough))
        for place, row in enumerate(rows)
    ]
    return pytest.mark.parametrize(names, marked, **more)
