"""Files with a row a case and named columns, and which of them are features: NPZ, CSV, TSV, Parquet."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

import numpy as np

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data import checks, csv_table, vectors
from nachos_jax.data.columns import Columns
from nachos_jax.data.csv_table import Table
from nachos_jax.data.npz import FeatureArchive
from nachos_jax.data.parquet import ParquetTable
from nachos_jax.data.spellings import MISSING

SUFFIXES = (".npz", ".csv", ".tsv", ".parquet")
NEVER = ("", "Unnamed: *", "__index_level_*", "diagnostics_*")
"""Columns that are no features unless a pattern begins as they do: row numbers that pandas writes, and what
pyradiomics tells of its own work."""


class FeatureFile(Protocol):
    """A file with a row a case and named columns."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def header(self) -> tuple[str, ...]:
        """Columns that can be features."""
        ...

    @property
    def where(self) -> Callable[[int], str]:
        """Row number from 0 -> the row as people find it."""
        ...

    def values(self, names: Sequence[str]) -> np.ndarray:
        """[N, D] numbers of these columns, NaN where one is missing."""
        ...

    def cases(self, key: str) -> list[str]:
        """N names of the cases, of the column called so, or "case"; else the row numbers."""
        ...

    def columns(self, data: DataConfig) -> Columns:
        """What else is known of the cases."""
        ...


@dataclass(frozen=True)
class FeatureTable:
    """A table as a file of features; `spent` are columns that serve for something else."""

    table: Table
    spent: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """See `FeatureFile`."""
        return self.table.path

    @property
    def header(self) -> tuple[str, ...]:
        """See `FeatureFile`."""
        return tuple(name for name in self.table.header if name not in self.spent)

    def where(self, row: int) -> str:
        """See `FeatureFile`."""
        return self.table.where(row)

    def values(self, names: Sequence[str]) -> np.ndarray:
        """See `FeatureFile`.

        Raises:
            UsageError: a cell that is no number.
        """
        return np.stack(checks.together(*(lambda name=name: self._numbers(name) for name in names)), axis=1)

    def cases(self, key: str) -> list[str]:
        """See `FeatureFile`."""
        name = csv_table.known_column(self.table, key, "case")
        if name:
            return self.table.column(name)
        return [f"row-{row:06d}" for row in range(len(self.table.column(self.table.header[0])))]

    def columns(self, data: DataConfig) -> Columns:
        """See `FeatureFile`."""
        roles = csv_table.found_roles(self.table, data)
        return csv_table.columns_of(self.table, data, roles, self.cases(data.case_key))

    def _numbers(self, name: str) -> np.ndarray:
        cells = self.table.column(name)
        try:
            return vectors.numbers(cells, MISSING)
        except ValueError as error:
            row = error.args[0]
            raise UsageError(
                f"feature {name!r} holds {cells[row]!r} at {self.where(row)}, which is no number: code it as "
                "numbers (with a decimal point); a run can leave the column out with config.data.exclude."
            ) from error


def opened(path: Path, data: DataConfig | None = None) -> FeatureFile:
    """A file of features; `data` says which columns of a table serve for something else.

    Raises:
        UsageError: no such file, another kind of file, or columns that are named are not there.
    """
    suffix = path.suffix.lower()
    if os.path.isdir(path) or suffix not in SUFFIXES:
        raise UsageError(f"{path}: vectors are read from {', '.join(SUFFIXES)}; save them as one of these.")
    if not os.path.isfile(path):
        raise UsageError(f"{path}: there is no such file; mend the path.")
    if suffix == ".npz":
        return FeatureArchive(path)
    if suffix == ".parquet":
        table: Table = ParquetTable(path)
    else:
        table = csv_table.read_sheet(path, "\t" if suffix == ".tsv" else ",")
    if data is None:
        return FeatureTable(table)
    case = csv_table.known_column(table, data.case_key, "case")
    # Not those of config.report.subgroups, on which no fit may depend.
    return FeatureTable(table, (*csv_table.found_roles(table, data).names, case))


def doubts(file: FeatureFile, names: Sequence[str]) -> tuple[str, ...]:
    """See `nachos_jax.data.table.Cohort`: one sentence on numbers with underscores; () where none is."""
    if not isinstance(file, FeatureTable):
        return ()
    found = [
        told
        for name in names
        for told in checks.underscores(file.table.column(name), f"feature {name!r}", file.where)
    ]
    more = f" So are cells of {len(found) - 1:,} further features." if len(found) > 1 else ""
    return (found[0] + more,) if found else ()


def chosen(file: FeatureFile, patterns: Sequence[str], exclude: Sequence[str]) -> tuple[str, ...]:
    """The columns that are taken, in the order of the file.

    Raises:
        UsageError: a table without patterns, a pattern that finds nothing, or nothing is left.
    """
    if not patterns and not isinstance(file, FeatureArchive):
        raise UsageError(
            f"{file.path.name}: which columns are features? Name them in config.data.features, as patterns "
            f"like ('original_*',), or ('*',) for all of {checks.listed(file.header)}."
        )
    spent = file.spent if isinstance(file, FeatureTable) else ()  # what is a label now may have been excluded
    for pattern in (*patterns, *exclude):
        named = file.header if pattern in patterns else (*file.header, *spent)
        if not any(fnmatchcase(name, pattern) for name in named):
            raise UsageError(
                f"{file.path.name} has no column like {pattern!r}; it has {checks.listed(file.header, 20)}. "
                f"Mend config.data.features or config.data.exclude.{checks.hint(pattern, file.header)}"
            )
    names = tuple(name for name in file.header if matches(name, patterns or ("*",)))
    names = tuple(name for name in names if not any(fnmatchcase(name, pattern) for pattern in exclude))
    if not names:
        raise UsageError(f"{file.path.name}: config.data.features and config.data.exclude leave no column.")
    return names


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether patterns take a column; those that are hardly ever features only where they are meant."""
    rare = [pattern for pattern in NEVER if fnmatchcase(name, pattern)]
    return any(
        fnmatchcase(name, pattern) and all(pattern.startswith(one.rstrip("*") or "?") for one in rare)
        for pattern in patterns
    )
