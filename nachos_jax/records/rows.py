"""folds.csv: the folds of a run as people read them, and as runs of older versions kept them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.records.case_table import CaseRecord
from nachos_jax.splits.folds import Folds

_CURE = "Restore it and the data of the first run, or give the new data a --workdir of their own."


def write_rows(record: CaseRecord, texts: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """The table of folds.csv.

    Args:
        record: the case table.
        texts: the target of each of the N cases in words, as the name of its class.

    Returns:
        header (case, subject, site, label, fold, then fold_2, ... of further repeats) and one row a case.
    """
    folds = record.folds
    header = ["case", "subject", "site", "label", *_columns(folds.repeats)]
    places = [""] * len(texts) if record.sites is None else record.sites
    columns = zip(record.names, record.subjects, places, texts, *folds.assignment.tolist(), strict=True)
    return header, [[*map(str, row[:4]), *row[4:]] for row in columns]


def read_rows(rows: Sequence[Mapping[str, str]], names: np.ndarray) -> Folds:
    """The folds in the rows of folds.csv, brought into the order of the case table.

    Args:
        rows: rows by column name, as written from `write_rows`.
        names: [N] str, names of the cases of the table.

    Returns:
        The folds.

    Raises:
        UsageError: other cases than the table's, a fold number that is none, or a subject in two folds.
    """
    place = _places(rows, names)
    repeats = sum(column == "fold" or column.startswith("fold_") for column in rows[0] if column)
    assignment = np.empty((repeats, len(rows)), np.int32)
    for number, row in enumerate(rows, 2):
        for repeat, column in enumerate(_columns(repeats)):
            cell = row.get(column) or ""
            if not cell.isdecimal() or len(cell) > 9:
                raise UsageError(f"folds.csv line {number}: {column} = {cell!r} is no fold number. {_CURE}")
            assignment[repeat, place[row["case"]]] = int(cell)
    subjects = np.empty(len(rows), object)
    for row in rows:
        subjects[place[row["case"]]] = row.get("subject") or ""
    try:
        folds = Folds(assignment, int(assignment[0].max()) + 1, repeats)
    except ValueError as error:
        raise UsageError(f"folds.csv: {error} {_CURE}") from error
    found = folds.crossing(subjects.astype(str))
    if found:
        raise UsageError(
            f"folds.csv: subject {found[0]!r} is in folds {', '.join(map(str, found[1]))}. {_CURE}"
        )
    return folds


def _places(rows: Sequence[Mapping[str, str]], names: np.ndarray) -> dict[str, int]:
    """Position in the table by name of case; refuses rows that are not exactly the table's cases."""
    place = {str(name): position for position, name in enumerate(names)}
    seen: set[str] = set()
    for number, row in enumerate(rows, 2):
        case = row.get("case")
        if case not in place or case in seen:
            fault = "stands twice" if case in seen else "is not among the cases of the data"
            raise UsageError(f"folds.csv line {number}: case {case!r} {fault}. {_CURE}")
        if "fold" not in row:
            raise UsageError(f"folds.csv has no column 'fold'. {_CURE}")
        seen.add(case)
    missing = [name for name in place if name not in seen]
    if missing or not rows:
        example = f", e.g. {missing[0]!r}" if missing else ""
        raise UsageError(f"folds.csv lacks {len(missing)} of the {len(place)} cases{example}. {_CURE}")
    return place


def _columns(repeats: int) -> list[str]:
    return ["fold", *(f"fold_{repeat + 1}" for repeat in range(1, repeats))]
