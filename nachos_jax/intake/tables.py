"""Tables as hospitals have them: any separator, Windows encodings, lines above the header, decimal commas."""

from __future__ import annotations

import csv
import io
import itertools
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
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
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

    Lines above the header and blank ones are skipped, equal rows are joined, row numbers without a name are
    left out, decimal commas become points; each is told in `notes`, and so are commas that may be either
    decimal or thousands marks, whose columns stay as they are.

    Raises:
        UsageError: a file that cannot be read, a column without a name that holds values, a column twice, or
            rows with more cells than the header.
    """
    notes: list[str] = []
    suffix, separator = path.suffix.lower(), ""
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
        rows, separator = _separated(path, notes)
    else:
        raise UsageError(f"{path}: tables are read from CSV, TSV, XLSX and Parquet; save it as one of these.")
    grid = _below_header(path, rows, notes)
    _decimal_points(grid, separator)
    return _without_doubles(grid)


def _separated(path: Path, notes: list[str]) -> tuple[list[list[str]], str]:
    """(rows, what stands between their cells)."""
    text = _decoded(path, notes)
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep="):  # for Excel alone; the line keeps its place
        text = f"\n{rest}"
    counts = {mark: _even(text, mark) for mark in ",;\t|"}
    separator = max(counts, key=lambda mark: counts[mark])
    if separator != "," and path.suffix.lower() == ".csv":
        named = {";": "semicolons", "\t": "tabs", "|": "bars"}[separator]
        notes.append(f"{path.name}: the columns are separated by {named}")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        found = list(reader)
    except csv.Error as error:
        if "expected after" not in str(error):  # a quote that is never closed takes all that follows with it
            where = f"line {reader.line_num} of {path}"
            raise UsageError(f"{where} cannot be read ({error}); mend the quotes there or above.") from error
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))  # a blank behind a quote
    return [[cell.strip() for cell in row] for row in found], separator


def _even(text: str, mark: str) -> tuple[int, int]:
    """(lines that agree on a number of cells, that number): what speaks for a separator."""
    try:
        lines = list(csv.reader(io.StringIO("\n".join(text.splitlines()[:200])), delimiter=mark))
    except csv.Error:  # thousands of columns are one cell too long where this mark does not stand
        return 0, 0
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
    start = next(i for i in range(len(rows)) if _is_header(rows, i, usual))
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
    _without_row_numbers(columns, f"{path.name} line {start + 1}", notes)
    return Grid(path, columns, [i + 1 for i, _ in body], notes)


def _without_row_numbers(columns: dict[str, list[str]], where: str, notes: list[str]) -> None:
    """Takes the column without a name away that pandas writes first: rising numbers."""
    cells = columns.pop("", [])
    filled = [cell for cell in cells if cell]
    if not filled:
        return
    whole = all(cell.isdecimal() for cell in cells)
    if not whole or any(int(a) >= int(b) for a, b in itertools.pairwise(cells)):
        raise UsageError(
            f"{where}: a column that holds {', '.join(map(repr, filled[:3]))} has no name; give it one, or "
            "delete it. If it tells the patients, the folds need it."
        )
    notes.append(
        f"{where}: a column without a name that counts the rows ({cells[0]} to {cells[-1]}) is left out; if "
        "it tells the patients, give it a name"
    )


def _is_header(rows: Sequence[Sequence[str]], i: int, usual: int) -> bool:
    """Whether a row has more than half of the usual cells, or names the second of two columns alone.

    What follows a title looks like a header and not like a case: it holds no number, and its second cell
    stands nowhere below.
    """
    if sum(map(bool, rows[i])) > usual // 2:
        return True
    below = [row for row in rows[i + 1 :] if _width(row) == 2]
    if usual != 2 or _width(rows[i]) != 2 or not below:
        return False
    first, second = below[0][:2]
    return first.isdecimal() or is_number(second) or second in {row[1] for row in below[1:]}


def _width(row: Sequence[str]) -> int:
    return max((place + 1 for place, cell in enumerate(row) if cell), default=0)


def _decimal_points(grid: Grid, separator: str) -> None:
    """Writes points for decimal commas where commas cannot be anything else."""
    mended, unsure = [], []
    for name, cells in grid.columns.items():
        filled = [cell for cell in cells if not is_missing(cell)]
        commas = [cell for cell in filled if _DECIMAL_COMMA.fullmatch(cell)]
        if not commas or not all(_DECIMAL_COMMA.fullmatch(cell) or is_number(cell) for cell in filled):
            continue
        points = any("." in cell for cell in filled)
        # Semicolons between cells are written where the comma is the decimal mark.
        thousands = separator != ";" and all(map(_THOUSANDS.fullmatch, commas))
        if points or thousands:
            unsure.append(f"{name!r} ({commas[0]})")
        else:
            grid.columns[name] = [cell.replace(",", ".") for cell in cells]
            mended.append(repr(name))
    for names, told in (
        (mended, "decimal commas of {} are written as points"),
        (unsure, "commas of {} may be decimal or thousands marks: left as text; write plain numbers there"),
    ):
        if names:
            shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
            grid.notes.append(f"{grid.path.name}: {told.format(shown)}")


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
