"""Rows of a table joined to files by path, file name, stem, series, folder or patient: what fits most."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import listed
from nachos_jax.data.spellings import canonical, is_missing
from nachos_jax.intake.tables import Grid
from nachos_jax.intake.walk import DICOM, IMAGES, VOLUMES

OF_FILES = ("path", "file name", "stem")
"""Rules by which a row means one file; by the others it may mean several."""


@dataclass(frozen=True)
class Joined:
    """Which row belongs to which case.

    Attributes:
        rows: [N] row of each case; -1 of a case that no row names.
        column: of the table, that was joined.
        rule: what it was joined to.
        notes: what people should know, in words.
    """

    rows: list[int]
    column: str
    rule: str
    notes: list[str]


def stem(name: str) -> str:
    """A file's name without folders and without the suffix of an image or volume."""
    last = name.replace("\\", "/").rpartition("/")[2]
    suffix = next((end for end in (*VOLUMES, *IMAGES, *DICOM) if last.lower().endswith(end)), "")
    if last.lower().endswith(".nii.gz"):
        suffix = ".nii.gz"
    return last[: -len(suffix)] if suffix else last


def ids_of(paths: Sequence[str], further: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What a table can name the N cases by: their paths, and further ids such as series or subject."""
    return {
        "path": list(paths),
        "file name": [path.rpartition("/")[2] for path in paths],
        "stem": [stem(path) for path in paths],
        **{name: list(values) for name, values in further.items()},
        "folder": [path.rpartition("/")[0].rpartition("/")[2] for path in paths],
    }


def join(grid: Grid, ids: Mapping[str, Sequence[str]]) -> Joined:
    """Joins by the column and the rule that match most cases, earlier rules first.

    Raises:
        UsageError: nothing matches, a row that means several files, or two rows for one case.
    """
    best, found = 0, None
    columns = {column: list(map(_key, cells)) for column, cells in grid.columns.items()}
    for rule, values in ids.items():
        index = _index(rule, values)
        for column, keys in columns.items():
            matches = [_match(rule, key, index) for key in keys]
            matches = _exact_first(rule, grid.columns[column], values, matches)
            count = len({case for cases in matches for case in cases})
            if count > best:
                best, found = count, (rule, column, matches)
            elif found and count == best and rule == found[0] and matches != found[2]:
                raise UsageError(
                    f"{grid.path.name}: the columns {found[1]!r} and {column!r} both fit the {rule} of "
                    f"{count} files, and lead to different rows: remove the one that is not meant."
                )
    if found is None:
        raise UsageError(
            f"{grid.path.name}: no column names the files, by path, name, stem, folder or patient. Its "
            f"columns are {listed(grid.columns)}; the files are like {listed(ids['path'], 3)}. Add a column "
            "with the names of the files."
        )
    rule, column, matches = found
    return _joined(grid, ids, rule, column, matches)


def _joined(
    grid: Grid, ids: Mapping[str, Sequence[str]], rule: str, column: str, matches: Sequence[Sequence[int]]
) -> Joined:
    names, values = ids["path"], ids[rule]
    if rule in OF_FILES:
        _refuse_ambiguous(grid, names, rule, column, matches)
    rows = [-1] * len(names)
    for row, cases in enumerate(matches):
        for case in cases:
            if rows[case] >= 0:
                raise UsageError(
                    f"{grid.where(row)}: {column!r} names the same case as {grid.where(rows[case])} "
                    f"({names[case]}), and the rows differ: keep one of them."
                )
            rows[case] = row
    lost = [name for name, row in zip(names, rows, strict=True) if row < 0]
    idle = [grid.columns[column][row] for row, cases in enumerate(matches) if not cases]
    notes = [
        f"{grid.path.name}: its column {column!r} is joined to the {rule} of the files: "
        f"{len(names) - len(lost)} of {len(names)} cases are found, "
        f"{len(grid) - len(idle)} of {len(grid)} rows are used"
    ]
    if lost:
        notes.append(f"{len(lost)} cases are in no row, and left out: {listed(lost)}")
    if idle:
        notes.append(f"{len(idle)} rows name no case, and are left out: {listed(idle)}")
    notes += _otherwise_spelled(grid.columns[column], values, rows, rule)
    return Joined(rows, column, rule, notes)


def _otherwise_spelled(
    cells: Sequence[str], values: Sequence[str], rows: Sequence[int], rule: str
) -> Iterable[str]:
    odd = [
        (cells[row], value)
        for value, row in zip(values, rows, strict=True)
        if row >= 0 and rule not in OF_FILES[:2] and value not in (cells[row], stem(cells[row]))
    ]
    if odd:
        cell, value = odd[0]
        yield (
            f"{len(odd)} are spelled otherwise, e.g. {cell!r} in the table for {value!r} (zeros, case, "
            '".0"): look whether they are the same'
        )


def _refuse_ambiguous(
    grid: Grid, names: Sequence[str], rule: str, column: str, matches: Sequence[Sequence[int]]
) -> None:
    odd = [(row, cases) for row, cases in enumerate(matches) if len(cases) > 1]
    if odd:
        row, cases = odd[0]
        raise UsageError(
            f"{grid.where(row)}: {column!r} = {grid.columns[column][row]!r} is the {rule} of {len(cases)} "
            f"files ({listed([names[case] for case in cases], 3)}), and so are {len(odd) - 1} more rows: "
            "write the path of each file into the table, from its folder on."
        )


def _index(rule: str, values: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for case, value in enumerate(values):
        for key in _endings(value) if rule == "path" else (value,):
            if not is_missing(key):
                found.setdefault(canonical(key), []).append(case)
    return found


@dataclass(frozen=True)
class _Key:
    """What a cell can be found by: itself, its last part, that without suffix, its ends; canonical."""

    whole: str = ""
    last: str = ""
    stem: str = ""
    ends: tuple[str, ...] = ()


_NONE = _Key()


@functools.lru_cache(maxsize=1 << 17)
def _key(cell: str) -> _Key:
    if is_missing(cell):
        return _NONE
    last = canonical(cell.replace("\\", "/").rpartition("/")[2])
    return _Key(canonical(cell), last, canonical(stem(cell)), tuple(map(canonical, _endings(cell))))


def _match(rule: str, key: _Key, index: Mapping[str, list[int]]) -> list[int]:
    if rule == "path":
        return next((index[end] for end in key.ends if end in index), [])
    named = {"file name": key.last, "stem": key.stem}.get(rule, key.whole)
    return index.get(named, []) if named else []


def _exact_first(
    rule: str, cells: Sequence[str], values: Sequence[str], matches: list[list[int]]
) -> list[list[int]]:
    """Of cases that one row, or several, could mean, the row that names them letter by letter has them."""
    met = [case for cases in matches for case in cases]
    if len(set(met)) == len(met) and (rule not in OF_FILES or max(map(len, matches), default=0) < 2):
        return matches
    exact = [
        [case for case in cases if _is_exact(rule, cell, values[case])]
        for cell, cases in zip(cells, matches, strict=True)
    ]
    claimed = {case for cases in exact for case in cases}
    found = []
    for own, cases in zip(exact, matches, strict=True):
        rest = [case for case in cases if case in own or case not in claimed]
        # A row that nothing is left for still names its cases, so that two rows for one are refused.
        found.append((own if rule in OF_FILES and own else rest) or cases)
    return found


def _is_exact(rule: str, cell: str, value: str) -> bool:
    """Whether a cell that matches a value only but for its spelling has its very letters too."""
    if rule == "path":
        ends = {canonical(end) for end in _endings(value)}
        end = next((end for end in _endings(cell) if canonical(end) in ends), "")
        return bool(end) and end in _endings(value)
    if rule == "file name":
        return cell.replace("\\", "/").rpartition("/")[2] == value
    return (stem(cell) if rule == "stem" else cell) == value


def _endings(path: str) -> list[str]:
    """The ends of a path that still hold a folder, the longest first; a bare name has none."""
    parts = path.replace("\\", "/").strip("/").split("/")
    return ["/".join(parts[start:]) for start in range(len(parts) - 1)]
