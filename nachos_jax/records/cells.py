"""Cells of CSV files that a spreadsheet would take for formulas: written with an apostrophe before them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = re.compile(r"'*[=+\-@\t\r].", re.DOTALL)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """CSV of these rows; None becomes an empty cell."""
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    # The plain writer leaves a lone carriage return bare, and a reader takes it for the end of a row.
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        # Numbers, most of what is written, need no guard, and the writer has their shortest text itself.
        cells = [
            cell if type(cell) is float or type(cell) is int else "" if cell is None else guarded(str(cell))
            for cell in row
        ]
        (quoted if any(type(cell) is str and "\r" in cell for cell in cells) else plain).writerow(cells)
    return text.getvalue()


def rows(file: Iterable[str]) -> list[dict[str, str]]:
    """Rows of such a CSV file by column name."""
    return [{_as_given(name): _as_given(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def guarded(cell: str) -> str:
    """The cell, as spreadsheets show it and never run it; numbers stay."""
    return f"'{cell}" if _FORMULA.match(cell) and not _number(cell) else cell


def _as_given(cell: Any) -> Any:
    """The text that `guarded` was given; what a row has too few or too many of is no text."""
    return cell[1:] if isinstance(cell, str) and cell[:1] == "'" and _FORMULA.match(cell) else cell


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
