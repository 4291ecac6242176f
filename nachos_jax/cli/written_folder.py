"""A folder that one command writes: a table, and the files that it lists."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from nachos_jax.records.cells import csv_text
from nachos_jax.records.store import write_atomic


def begin(table: Path, header: Sequence[str], coming: Iterable[str], ours: Callable[[str], bool]) -> None:
    """Writes a table that names all files to come, and removes those that an older table names.

    It comes first, so that a call that is cut off leaves a folder that the same call takes for its own.

    Args:
        table: the path of the table.
        header: its columns, "file" among them.
        coming: names of files, by which a later call finds them.
        ours: whether this command writes files of such a name; no other is removed.
    """
    old, new = set(filter(ours, listed(table))), set(coming)
    place = header.index("file")
    rows = [["" if column != place else name for column in range(len(header))] for name in sorted(old | new)]
    write_atomic(table, csv_text([list(header), *rows]).encode())
    for name in old:
        (table.parent / name).unlink(missing_ok=True)


def listed(table: Path) -> list[str]:
    """The files that a table names; [] where there is none."""
    if not table.is_file():
        return []
    with open(table, newline="", encoding="utf-8", errors="replace") as file:
        return [row.get("file") or "" for row in csv.DictReader(file)]
