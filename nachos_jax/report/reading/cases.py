"""The case table of a run, as its records tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.records.case_table import CaseRecord
from nachos_jax.records.store import RunDirectory

AGAIN = "run the same `nachos evaluate` command again, it writes the file anew."


@dataclass(frozen=True)
class CaseRow:
    """One case.

    Attributes:
        case: its name.
        subject: its subject.
        site: its site, or "" when unknown.
        folds: its outer fold in each repeat, global fold numbers.
    """

    case: str
    subject: str
    site: str
    folds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class CaseTable:
    """N cases in table order.

    Attributes:
        rows: who they are.
        targets: [N, ...] what is true of them, as tests have it.
    """

    rows: tuple[CaseRow, ...]
    targets: np.ndarray


def table(directory: RunDirectory, classes: Sequence[str]) -> CaseTable:
    """The cases of a run; those of an older version stand in folds.csv alone.

    Args:
        directory: the records.
        classes: names of the classes, which folds.csv tells.

    Raises:
        UsageError: a record is damaged, or folds.csv is missing where it is the only one.
    """
    record = directory.cases()
    if record is not None:
        return CaseTable(_of_record(record), record.targets)
    if directory.sealed:
        raise UsageError(f"{directory.records / 'cases.json'} is missing: {AGAIN}")
    found = directory.read_table("folds.csv")
    if found is None:
        raise UsageError(f"{directory.path / 'folds.csv'} is missing: {AGAIN}")
    numbers = {name: number for number, name in enumerate(classes)}
    try:
        targets = np.array([numbers[row["label"]] for row in found], np.int64)
        return CaseTable(tuple(map(_of_line, found)), targets)
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{directory.path / 'folds.csv'} is damaged ({error}): delete it and run the same "
            "`nachos evaluate` command again."
        ) from error


def _of_record(record: CaseRecord) -> tuple[CaseRow, ...]:
    sites = [""] * len(record.names) if record.sites is None else record.sites.tolist()
    folds = map(tuple, record.folds.assignment.T.tolist())
    return tuple(map(CaseRow, record.names.tolist(), record.subjects.tolist(), sites, folds))


def _of_line(row: Mapping[str, str]) -> CaseRow:
    folds = tuple(int(value) for name, value in row.items() if name and name.startswith("fold"))
    return CaseRow(row["case"], row["subject"], row["site"], folds)


def groups(directory: RunDirectory) -> dict[str, tuple[str, ...]]:
    """The group of every case in each column of config.report.subgroups, in table order.

    Raises:
        UsageError: a record is damaged, or subgroups.csv is missing where it is the only one.
    """
    record = directory.groups()
    if record is not None:
        return {name: tuple(cells) for name, cells in record.items()}
    if directory.sealed:
        raise UsageError(f"{directory.records / 'groups.json'} is missing: {AGAIN}")
    found = directory.read_table("subgroups.csv")
    if found is None:
        raise UsageError(f"{directory.path / 'subgroups.csv'} is missing: {AGAIN}")
    columns = [name for name in found[0] if name and name != "case"] if found else []
    return {name: tuple(row[name] for row in found) for name in columns}
