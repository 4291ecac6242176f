"""The CSV that `nachos predict` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nachos_jax.records.cells import csv_text
from nachos_jax.records.store import write_atomic


def write(path: Path, names: Sequence[str], header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """Writes a line a case.

    Args:
        path: file to write.
        names: [N] cases.
        header: of the columns beside the case.
        rows: N rows of cells.

    Returns:
        The path.
    """
    lines = [[name, *row] for name, row in zip(names, rows, strict=True)]
    write_atomic(path, csv_text([["case", *header], *lines]).encode())
    return path
