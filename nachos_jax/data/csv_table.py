"""CSV tables: columns path, label, and if known subject, site and fold; one row a case."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded, real
from nachos_jax.data import checks, volume_files
from nachos_jax.data.columns import Columns
from nachos_jax.data.image_files import opening
from nachos_jax.data.masks import MaskSource, Pair
from nachos_jax.data.pair_files import read_pair
from nachos_jax.data.pixels import Pixels, Source
from nachos_jax.data.volumes import VolumeFile

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
"""That people use instead of commas."""


class Table(Protocol):
    """Named columns of N rows in a file."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def header(self) -> tuple[str, ...]:
        """Names of the columns, each once."""
        ...

    def where(self, row: int) -> str:
        """Row number from 0 -> the row as people find it."""
        ...

    def column(self, name: str) -> list[str]:
        """[N] cells of a column, as text."""
        ...


@dataclass(frozen=True)
class Sheet:
    """A CSV file as text.

    Attributes:
        path: of the file.
        header: column names, each once.
        rows: cells of each row that is not blank, blanks around them taken off.
        lines: line of the file at which each row starts, counted from 1.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def where(self, row: int) -> str:
        """The row as an editor shows it."""
        return f"{self.path.name} line {self.lines[row]}"

    def column(self, name: str) -> list[str]:
        """The cells of one column."""
        place = self.header.index(name)
        return [row[place] for row in self.rows]


def read(data: DataConfig) -> Source:
    """Reads the table and finds its files.

    A key of the config maps a column: `image_key` the path, `label_key` the target (`target_keys` several of
    them), and so on. Keys left
    at '' (or at the names that NPZ files use) mean the columns path, label, subject, site and fold. What a
    column fold holds is checked only if `fold_key` names it or the folds are to be predefined.

    Raises:
        UsageError: an unreadable table, a missing column.
    """
    sheet = read_sheet(Path(expanded(data.path)))
    paths = _paths(sheet, data)
    roles = found_roles(sheet, data)
    series = sheet.column("series") if data.volume and "series" in sheet.header else [""] * len(paths)
    files, fault = [], None
    try:
        files = find_files(sheet, paths, series if data.volume else ())
    except UsageError as error:
        fault = error

    def where(row: int) -> str:
        return f"{sheet.where(row)} ({paths[row]})"

    columns = columns_of(sheet, data, roles, paths)
    if data.volume:
        names = [f"{path} {one}".strip() for path, one in zip(paths, series, strict=True)]
        cases = tuple(map(VolumeFile, files, series))
        return volume_files.source(replace(columns, names=names), cases, where, fault, data.voi)
    pixels = Pixels(len(files), where, opening(files, data.frame, data.voi), tuple(files))
    return Source(columns, pixels, fault=fault)


def read_masks(data: DataConfig) -> MaskSource:
    """Reads a table whose columns `path` and `mask` name the image and the mask of each case.

    Raises:
        UsageError: as `read`, or a file that is missing or named twice.
    """
    sheet = read_sheet(Path(expanded(data.path)))
    paths = _paths(sheet, data)
    named = sheet.column(_wanted(sheet, data.mask_key, "mask", "mask_key", ("masks",)))
    images, masks = checks.together(lambda: find_files(sheet, paths), lambda: find_files(sheet, named))

    def where(row: int) -> str:
        return f"{sheet.where(row)} ({paths[row]})"

    def open_pairs() -> Callable[[int], Pair]:
        return lambda row: read_pair([images[row]], masks[row])

    columns = columns_of(sheet, data, found_roles(sheet, data, targets=False), paths)
    return MaskSource(columns, where, open_pairs, files=tuple(zip(images, masks, strict=True)))


def image_column(sheet: Table, data: DataConfig) -> str:
    """The column that names the image of each case.

    Raises:
        UsageError: it is not there.
    """
    return _wanted(sheet, data.image_key, "path", "image_key", ("images",))


def _paths(sheet: Sheet, data: DataConfig) -> list[str]:
    return sheet.column(image_column(sheet, data))


@dataclass(frozen=True)
class Roles:
    """Which columns of a table say who the cases are and what is known of them; "" where there is none."""

    targets: tuple[str, ...]
    subject: str
    site: str
    fold: str

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(filter(None, (*self.targets, self.subject, self.site, self.fold)))


def found_roles(sheet: Table, data: DataConfig, targets: bool = True) -> Roles:
    """The columns that the config names, or those that bear the usual names; targets may be files instead.

    Raises:
        UsageError: a column that is named or needed is not there.
    """
    wanted = [(key, "target_keys") for key in data.target_keys] or [(data.label_key, "label_key")]
    return Roles(
        targets=tuple(_wanted(sheet, key, "label", field, ("labels",)) for key, field in wanted if targets),
        subject=known_column(sheet, data.subject_key, "subject"),
        site=known_column(sheet, data.site_key, "site"),
        fold=known_column(sheet, data.fold_key, "fold"),
    )


def columns_of(sheet: Table, data: DataConfig, roles: Roles, names: Sequence[str]) -> Columns:
    """The columns of a table whose cases have these names."""
    return Columns(
        source=sheet.path.name,
        names=names,
        targets={label: sheet.column(label) for label in roles.targets},
        where=sheet.where,
        subject_cure="add a column 'subject', or name the one there is in config.data.subject_key",
        subjects=sheet.column(roles.subject) if roles.subject else None,
        sites=sheet.column(roles.site) if roles.site else None,
        folds=sheet.column(roles.fold) if roles.fold else None,
        folds_asked=bool(data.fold_key) or data.predefined,
        further={
            **{name: sheet.column(name) for name in data.described if name in sheet.header},
            **{name: sheet.column(_further(sheet, name)) for name in data.columns},
        },
    )


def read_sheet(path: Path, separator: str = ",") -> Sheet:
    """Reads a CSV file: UTF-8 (a byte-order mark is fine), commas, a header line; blank lines are skipped.

    Another separator reads a table of another kind, as a TSV file.

    Raises:
        UsageError: no such file, another encoding or separator, no or a double header, a row whose
            number of cells is not that of the header.
    """
    lines = _lines(path, separator)
    number, header = next(lines, (0, ()))
    if not header:
        raise UsageError(f"{path} is empty; write a header line path,label,subject and one line a case.")
    if header[0].lower().startswith("sep="):
        raise UsageError(f"{path} line {number}: {','.join(header)!r} is for Excel alone; delete this line.")
    mark = next((mark for mark in _SEPARATORS if mark in header[0]), "") if len(header) == 1 else ""
    if mark:
        told = f"the columns are separated by {_SEPARATORS[mark]}"
        raise UsageError(f"{path} line {number}: {told}; save it with commas.")
    for name in header:
        if name and header.count(name) > 1:
            raise UsageError(f"{path} line {number}: column {name!r} stands twice; rename one of them.")
    numbers, rows = zip(*lines, strict=True) if (lines := list(lines)) else ((), ())
    checks.refuse(
        [
            (place, f"{len(row)} cells, but the header has {len(header)}")
            for place, row in enumerate(rows)
            if len(row) != len(header)
        ],
        lambda place: f"{path} line {numbers[place]}",
        "add the missing cells, or put a cell that holds a comma into double quotes",
    )
    return Sheet(path, header, tuple(rows), tuple(numbers))


def find_files(sheet: Sheet, paths: Sequence[str], series: Sequence[str] = ()) -> list[Path]:
    """The file of each row; relative paths start at the table's folder.

    With the series of each row, "" where it names none, they may be folders of DICOM files too.

    Raises:
        UsageError: an empty path, a file that is missing, or one that two rows name in any spelling.
    """
    checks.no_empty(paths, "path", sheet.where)
    files = [os.path.join(sheet.path.parent, expanded(text)) for text in paths]
    lost = [
        (row, f"there is no file {paths[row]!r} ({file})")
        for row, file in enumerate(files)
        if not (os.path.isfile(file) or (series and os.path.isdir(file)))
    ]
    checks.refuse(
        lost, sheet.where, "mend the path, which starts at the folder of the table, or drop the row"
    )
    files = real(files)
    first: dict[tuple[str, str], int] = {}
    keys = list(zip(files, series or [""] * len(files), strict=True))
    twice = [(row, first[key]) for row, key in enumerate(keys) if first.setdefault(key, row) != row]
    checks.refuse(
        [
            (row, f"path {paths[row]!r} is the same file as {paths[before]!r} at {sheet.where(before)}")
            for row, before in twice
        ],
        sheet.where,
        "keep one of the two rows; if a case has several labels, make each label a column of 1 and 0 "
        "(config.data.target_keys), and set config.task.name = 'multilabel'",
    )
    return list(map(Path, files))


def _text(path: Path) -> str:
    if not os.path.isfile(path):
        raise UsageError(f"{str(path)!r}: there is no such file; mend the path of the CSV table.")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); mend its permissions.") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{path} line {line}: byte {raw[error.start]:#04x} is not UTF-8 text; save the table as "
            "'CSV UTF-8 (comma separated)'."
        ) from error


def _lines(path: Path, separator: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line number, cells) of each row that is not blank."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True, delimiter=separator)
    start = 1
    try:
        for row in reader:
            cells = tuple(cell.strip() for cell in row)
            if any(cells):
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{path} line {start} cannot be read ({error}); mend its quotes.") from error


def _wanted(sheet: Table, key: str, default: str, field: str, neutral: tuple[str, ...]) -> str:
    """The column that a required key names; its default when the key is left at a neutral name."""
    name = default if not key or (key in neutral and key not in sheet.header) else key
    if name not in sheet.header:
        several = " (several: config.data.target_keys, with config.task.name = 'multilabel')"
        raise UsageError(
            f"{sheet.path} has no column {name!r}; its header has {checks.listed(sheet.header)}. Rename the "
            f"column, or name it in config.data.{field}{several if default == 'label' else ''}."
            f"{checks.hint(name, sheet.header)}"
        )
    return name


def _further(sheet: Table, name: str) -> str:
    if name not in sheet.header:
        raise UsageError(
            f"{sheet.path} has no column {name!r}; its header has {checks.listed(sheet.header)}. Add the "
            f"column, or mend config.report.subgroups.{checks.hint(name, sheet.header)}"
        )
    return name


def known_column(sheet: Table, key: str, default: str) -> str:
    """The column of an optional key, or "" when the table has none."""
    if key:
        return _wanted(sheet, key, default, f"{default}_key", ())
    return default if default in sheet.header else ""
