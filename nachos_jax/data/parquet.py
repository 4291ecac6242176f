"""Parquet tables: the one importer of pyarrow, which is installed only by those who need it."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

from nachos_jax.core.errors import UsageError


class ParquetTable:
    """The columns of a Parquet file, as text like those of a CSV table.

    Raises:
        UsageError: pyarrow is not installed, or the file cannot be read.
    """

    def __init__(self, path: Path):
        self.path, self._table = path, _read(path)
        self.header = tuple(self._table.column_names)

    def where(self, row: int) -> str:
        """Row number from 0 -> the row as people find it."""
        return f"{self.path.name}, row {row} (counted from 0)"

    def column(self, name: str) -> list[str]:
        """[N] cells of a column; numbers are written in full, nulls as ""."""
        return [_text(value) for value in self._table.column(name).to_pylist()]


def _read(path: Path) -> Any:
    try:
        pyarrow, parquet = map(importlib.import_module, ("pyarrow", "pyarrow.parquet"))
    except ImportError as error:
        raise UsageError(
            f"{path} is a Parquet table, which pyarrow reads: `pip install pyarrow`, or save it as CSV."
        ) from error
    try:
        return parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{path} cannot be read as a Parquet table ({error}): write it again.") from error


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (bool, int)):
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value).strip()
