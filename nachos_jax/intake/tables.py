"""Tables as hospitals have them: any separator, Windows encodings, lines above the header, decimal commas."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nachos_jax.core.errors import UsageError
from nachos_jax.data.parquet import ParquetTable
from nachos_jax.data.spellings import is_missing
from nachos_jax.intake.workbook import read_workbook

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ENCODINGS = (("utf-8-sig", "UTF-8"), ("cp1252", "Windows-1252 (latin-1)"))


@dataclass
class Grid:
    """A table as text.

    Attributes:
        path: of the file.
        columns: N cells by column name.
        lines: N numbers of the rows in the file, from 1.
        notes: what was mended while reading, in words.
    """

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """The row as a spreadsheet shows it."""
        return f"{self.path.name} line {self.lines[row]}"

    def kept(self, rows: Sequence[int]) -> Grid:
        """The table with these rows alone."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return Grid(self.path, columns, [self.lines[row] for row in rows], self.notes)


def is_number(text: str) -> bool:
    """Whether a cell is a number, with a decimal point."""
    return bool(_NUMBER.fullmatch(text))


def read_table(path: Path) -> Grid:
    """Reads a CSV, TSV, XLSX or Parquet table.

    Lines above the header and blank ones are skipped, equal rows are joined, decimal commas become points;
    each is told in `notes`.

    Raises:
        UsageError: a file that cannot be read, a column without a name that holds values, a column twice, or
            rows with more cells than the header.
    """
    notes: list[str] = []
    suffix = path.suffix.lower()
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name the table itself.")
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; mend the path.")
    if suffix == ".parquet":
        table = ParquetTable(path)
        rows = [list(table.header), *map(list, zip(*map(table.column, table.header), strict=True))]
    elif suffix in (".xlsx", ".xlsm"):
        sheet, rows, others = read_workbook(path)
        if others:
            notes.append(
                f"{path.name}: the sheet {sheet!r}, the fullest, is read; not read: {', '.join(others)}"
            )
    elif suffix in (".csv", ".tsv", ".txt"):
        rows = _separated(path, notes)
    else:
        raise UsageError(f"{path}: tables are read from CSV, TSV, XLSX and Parquet; save it as one of these.")
    grid = _below_header(path, rows, notes)
    _decimal_points(grid)
    return _without_doubles(grid)


def _separated(path: Path, notes: list[str]) -> list[list[str]]:
    text = _decoded(path, notes)
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # for Excel alone; the line keeps its place
        text = f"\n{rest}"
    counts = {mark: _even(text, mark) for mark in ",;\t|"}
    separator = max(counts, key=lambda mark: counts[mark])
    if separator != "," and path.suffix.lower() == ".csv":
        named = {";": "semicolons", "\t": "tabs", "|": "bars"}[separator]
        notes.append(f"{path.name}: the columns are separated by {named}")
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise UsageError(f"{path} cannot be read as a table ({error}); mend its quotes.") from error
    return [[cell.strip() for cell in row] for row in found]


def _even(text: str, mark: str) -> tuple[int, int]:
    """(lines that agree on a number of cells, that number): what speaks for a separator."""
    lines = list(csv.reader(io.StringIO("\n".join(text.splitlines()[:200])), delimiter=mark))
    widths = Counter(len(line) for line in lines if len(line) > 1)
    return (max(widths.values()), max(widths, key=lambda width: widths[width])) if widths else (0, 0)


def _decoded(path: Path, notes: list[str]) -> str:
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    for encoding, name in _ENCODINGS:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "utf-8-sig":
            notes.append(
                f"{path.name}: it is no UTF-8, and is read as {name}; look at its umlauts and accents"
            )
        return text
    return raw.decode("latin-1")


def _below_header(path: Path, rows: list[list[str]], notes: list[str]) -> Grid:
    """The table below its header: the first line that is as wide as most, whose cells differ."""
    widths = Counter(_width(row) for row in rows if any(row))
    if not widths:
        raise UsageError(f"{path} is empty; write a header line and one line a case.")
    usual = max(widths, key=lambda width: (widths[width], width))
    start = next(i for i, row in enumerate(rows) if sum(map(bool, row)) > usual // 2)
    above = [i for i in range(start) if any(rows[i])]
    if above:
        lines = "line 1" if start == 1 else f"lines 1 to {start}"
        notes.append(f"{path.name}: {lines} above the header left out")
    header = rows[start]
    body = [(i, row) for i, row in enumerate(rows[start + 1 :], start + 1) if any(row)]
    width = _width(header)
    for i, row in body:
        if _width(row) > len(header) or any(row[width:]):
            raise UsageError(
                f"{path} line {i + 1}: {_width(row)} cells, but the header in line {start + 1} has {width}; "
                "name every column, or put a cell that holds a separator into double quotes."
            )
    names = header[:width]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        what = f"column {twice[0]!r} stands twice" if twice[0] else "two columns have no name"
        raise UsageError(f"{path} line {start + 1}: {what}; give each column its own name.")
    columns = {
        name: [row[place] if place < len(row) else "" for _, row in body] for place, name in enumerate(names)
    }
    columns.pop("", None)  # the row numbers of pandas
    return Grid(path, columns, [i + 1 for i, _ in body], notes)


def _width(row: Sequence[str]) -> int:
    return max((place + 1 for place, cell in enumerate(row) if cell), default=0)


def _decimal_points(grid: Grid) -> None:
    mended = []
    for name, cells in grid.columns.items():
        filled = [cell for cell in cells if not is_missing(cell)]
        commas = [cell for cell in filled if _DECIMAL_COMMA.fullmatch(cell)]
        if commas and all(_DECIMAL_COMMA.fullmatch(cell) or is_number(cell) for cell in filled):
            grid.columns[name] = [cell.replace(",", ".") for cell in cells]
            mended.append(name)
    if mended:
        shown = ", ".join(map(repr, mended[:5])) + (" ..." if len(mended) > 5 else "")
        grid.notes.append(f"{grid.path.name}: decimal commas of {shown} are written as points")


def _without_doubles(grid: Grid) -> Grid:
    first: dict[tuple[str, ...], int] = {}
    for row, cells in enumerate(zip(*grid.columns.values(), strict=True)):
        first.setdefault(cells, row)
    doubles = len(grid) - len(first)
    if doubles:
        rows = sorted(set(range(len(grid))) - set(first.values()))
        lines = ", ".join(str(grid.lines[row]) for row in rows[:8]) + (" ..." if doubles > 8 else "")
        told = f"{doubles} row(s) that repeat another one are left out (line {lines})"
        grid.notes.append(f"{grid.path.name}: {told}")
    return grid.kept(list(first.values()))
