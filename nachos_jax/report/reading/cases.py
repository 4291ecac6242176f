"""The case table of a run, as its records tell it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.records.store import RunDirectory

AGAIN = "run the same `nachos evaluate` command again, it writes the file anew."


@dataclass(frozen=True)
class CaseRow:
    """One row of folds.csv.

    Attributes:
        case: its name.
        subject: its subject.
        site: its site, or "" when unknown.
        label: what is true of it, as text: the name of its class.
        folds: its outer fold in each repeat, global fold numbers.
    """

    case: str
    subject: str
    site: str
    label: str
    folds: tuple[int, ...]


def rows(directory: RunDirectory) -> tuple[CaseRow, ...]:
    """The cases in table order.

    Raises:
        UsageError: folds.csv is missing or damaged.
    """
    found = directory.read_table("folds.csv")
    if found is None:
        raise UsageError(f"{directory.path / 'folds.csv'} is missing: {AGAIN}")
    try:
        return tuple(
            CaseRow(
                row["case"],
                row["subject"],
                row["site"],
                row["label"],
                tuple(int(value) for name, value in row.items() if name and name.startswith("fold")),
            )
            for row in found
        )
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{directory.path / 'folds.csv'} is damaged ({error}): delete it and run the same "
            "`nachos evaluate` command again."
        ) from error


def targets(found: tuple[CaseRow, ...], classes: tuple[str, ...]) -> np.ndarray:
    """[N] int64 class numbers of the cases of a run whose only record of them is folds.csv."""
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[row.label] for row in found], np.int64)


def groups(directory: RunDirectory) -> dict[str, tuple[str, ...]]:
    """The group of every case in each column of config.report.subgroups.

    Raises:
        UsageError: subgroups.csv is missing.
    """
    found = directory.read_table("subgroups.csv")
    if found is None:
        raise UsageError(f"{directory.path / 'subgroups.csv'} is missing: {AGAIN}")
    columns = [name for name in found[0] if name and name != "case"] if found else []
    return {name: tuple(row[name] for row in found) for name in columns}
