"""Excel workbooks; the one importer of openpyxl."""

from __future__ import annotations

import datetime
from pathlib import Path

from nachos_jax.core.errors import UsageError


def read_workbook(path: Path) -> tuple[str, list[list[str]], list[str]]:
    """The sheet with most filled cells: its name, its rows as text, and the names of other filled ones.

    Whole numbers are written without ".0", dates as 2024-05-31; of formulas the values that Excel has stored.

    Raises:
        UsageError: no workbook, or an empty one.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UsageError(
            f"{path} is an Excel workbook, which openpyxl reads: `pip install openpyxl`."
        ) from error
    try:
        book = load_workbook(path, read_only=True, data_only=True)
        sheets = {
            sheet.title: [[_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
            for sheet in book.worksheets
        }
        book.close()
    except Exception as error:  # of a damaged workbook, anything
        raise UsageError(
            f"{path} cannot be read as an Excel workbook ({error}): save it again as .xlsx, or as CSV."
        ) from error
    filled = {name: rows for name, rows in sheets.items() if any(any(row) for row in rows)}
    if not filled:
        raise UsageError(f"{path} is an empty workbook: write a header line and one line a case.")
    most = max(filled, key=lambda name: sum(sum(map(bool, row)) for row in filled[name]))
    return most, filled[most], [name for name in filled if name != most]


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return str(int(value))
    return str(value).strip()
