"""What columns were worth to one refit, as a record: its score with their values permuted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nachos_jax.records import decode


@dataclass(frozen=True)
class ColumnTest:
    """The cases of one outer fold, predicted by its refit as they are, and with columns permuted over them.

    Scores are turned so that higher is better, None where undefined.

    Attributes:
        outer_fold: fold number.
        fit: id of the refit.
        metric: name of the metric, that of the search.
        plain: score of the cases as they are.
        columns: one score a repeat by the column that was permuted; () of one that was left out as there
            are too many.
        together: one score a repeat of all columns permuted, each case keeping the values of one case.
    """

    outer_fold: int
    fit: str
    metric: str
    plain: float | None
    columns: Mapping[str, tuple[float | None, ...]]
    together: tuple[float | None, ...]


def column_json(record: ColumnTest) -> dict[str, Any]:
    """Plain JSON values."""
    return dataclasses.asdict(record)


def column_test(value: Mapping[str, Any]) -> ColumnTest:
    """The record in its JSON form.

    Raises:
        KeyError, ValueError, TypeError: it is damaged.
    """
    found = decode.read(ColumnTest, value)
    counts = {len(scores) for scores in (*found.columns.values(), found.together)} - {0}
    if len(counts) != 1:
        raise ValueError("its columns differ in the number of repeats")
    return found
