"""DICOM files as cases: a line a slice, or a line a series where there are many slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import listed
from nachos_jax.data.dicom_columns import COLUMNS, Header, read_header
from nachos_jax.data.image_files import is_dicom
from nachos_jax.intake.draft import Survey
from nachos_jax.intake.headers import read as headers_of
from nachos_jax.intake.walk import Walked

SLICES = 8
"""Series of so many slices in the median are volumes; those with fewer than FEW are then left out."""
FEW = 4
PLANES: dict[str, str] = {
    **dict.fromkeys("IS", "axial"),
    **dict.fromkeys("AP", "coronal"),
    **dict.fromkeys("LR", "sagittal"),
}
"""Planes of slices whose normal points so."""


@dataclass(frozen=True)
class Cases:
    """N cases of files.

    Attributes:
        paths: of a file, or of the folder of a series.
        columns: N cells by name.
        survey: sides of their images.
        volumes: whether cases are volumes.
        notes: in words.
    """

    paths: list[Path]
    columns: dict[str, list[str]]
    survey: Survey | None
    volumes: bool
    notes: list[str]


def read_cases(walked: Walked, how: str) -> Cases:
    """Reads the headers of all DICOM files of a folder.

    Raises:
        UsageError: none holds an image.
    """
    headers = dict(zip(walked.dicom, headers_of(read_header, walked.dicom), strict=True))
    notes = list(_left_out(walked, headers))
    kept = {path: header for path, header in headers.items() if header and header.frames}
    if not kept:
        raise UsageError(f"{walked.root}: no DICOM file there holds an image that can be read.")
    notes += _names_in_paths(walked, kept)
    series = _series(kept)
    usual = median(map(len, series.values()))
    if how == "series" or (not how and usual >= SLICES):
        return _of_series(walked, kept, series, notes)
    return _of_slices(walked, kept, len(series), notes)


def _left_out(walked: Walked, headers: Mapping[Path, Header | None]) -> Iterator[str]:
    """Says which files hold no image: damaged, unmarked as DICOM, or objects of other kinds."""
    unread = [path for path, header in headers.items() if header is None]
    unmarked = sorted(walked.name(path) for path in unread if not is_dicom(path))
    damaged = [name for name in map(walked.name, unread) if name not in unmarked]
    cut = [walked.name(path) for path, header in headers.items() if header and header.cut]
    others = {
        path: header for path, header in headers.items() if header and not (header.frames or header.cut)
    }
    if damaged or cut:
        names = sorted((*damaged, *cut))
        told = f"left out {len(names)} DICOM files that are damaged or end too early (copy them again)"
        yield f"{told}: {listed(names)}"
    if unmarked:
        yield (
            f"left out {len(unmarked)} files without the DICM mark after 128 bytes (write them again as "
            f"DICOM part 10): {listed(unmarked)}"
        )
    if others:
        kinds = Counter(header.cells["modality"] or "kind not said" for header in others.values())
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        names = listed(map(walked.name, others), 5)
        yield f"left out {len(others)} DICOM objects without image ({told}): {names}"


def _series(kept: dict[Path, Header]) -> dict[tuple[Path, str], list[Path]]:
    found: dict[tuple[Path, str], list[Path]] = {}
    for path, header in kept.items():
        found.setdefault((path.parent, header.cells["series"]), []).append(path)
    return found


def _of_slices(walked: Walked, kept: dict[Path, Header], series: int, notes: list[str]) -> Cases:
    films = [walked.name(path) for path, header in kept.items() if header.frames > 1]
    if films:
        notes.append(
            f"left out {len(films)} files of several frames: {listed(films)}; --cases=series takes them"
        )
    paths = [path for path, header in kept.items() if header.frames == 1]
    if not paths:
        raise UsageError(f"{walked.root}: all DICOM files have several frames: take --cases=series.")
    notes.append(f"{len(paths)} DICOM images of {series} series: a line an image (--cases=series: a series)")
    headers = [kept[path] for path in paths]
    return Cases(paths, _columns(headers), _survey(headers), False, notes)


def _of_series(
    walked: Walked, kept: dict[Path, Header], series: dict[tuple[Path, str], list[Path]], notes: list[str]
) -> Cases:
    """A line a series; files of several frames are one each."""
    films = [path for path, header in kept.items() if header.frames > 1]
    stacks = {
        key: found
        for key, paths in series.items()
        if len(found := [path for path in paths if kept[path].frames == 1]) >= FEW
    }
    short = sum(len(paths) for paths in series.values()) - sum(map(len, stacks.values())) - len(films)
    if short:
        notes.append(f"left out {short} images of series with fewer than {FEW} slices, like localisers")
    notes += _parted(walked, series)
    several = Counter(folder for folder, _ in series)
    paths = [*(folder for folder, _ in stacks), *films]
    headers = [*(kept[found[0]] for found in stacks.values()), *(kept[path] for path in films)]
    if not paths:
        raise UsageError(f"{walked.root}: no series has {FEW} slices or more: take --cases=slices.")
    columns = _columns(headers)
    named = [name if several[folder] > 1 else "" for folder, name in stacks] + [""] * len(films)
    columns["series"] = named
    if not any(named):
        columns.pop("series")
    depth = int(median([*(len(found) for found in stacks.values()), *(kept[path].frames for path in films)]))
    notes.append(f"{len(paths)} DICOM series, {depth} slices in the median: a line a series, read as volumes")
    notes += _turned(headers)
    flat = _survey(headers)
    return Cases(paths, columns, Survey((depth, *flat.sides), False, 1, len(paths)), True, notes)


def _parted(walked: Walked, series: Mapping[tuple[Path, str], Sequence[Path]]) -> Iterator[str]:
    """Says which series lie in several folders: parts of one volume, its copies, or volumes of their own."""
    parts: dict[str, list[tuple[Path, int]]] = {}
    for (folder, name), paths in series.items():
        parts.setdefault(name, []).append((folder, len(paths)))
    found = [folders for name, folders in parts.items() if name and len(folders) > 1]
    if found:
        shown = ", ".join(f"{walked.name(folder)} ({count} files)" for folder, count in found[0][:3])
        yield (
            f"ATTENTION: {len(found)} series lie in several folders, like {shown}; each folder is read "
            "as a volume of its own: put all slices of a volume into one folder, and take copies away"
        )


def _turned(headers: Sequence[Header]) -> Iterator[str]:
    """Says which ways the axes of series point where these are several, since slices stay as they are."""
    counts = Counter(header.codes for header in headers if header.codes)
    if len(counts) > 1:
        told = ", ".join(f"{count} {PLANES[codes[0]]} ({codes})" for codes, count in counts.most_common())
        yield (
            f"ATTENTION: the axes of series point in {len(counts)} ways, and volumes are read as their "
            f"slices were taken: {told}; make a data set of each, or resample all to one of them"
        )


def _columns(headers: Sequence[Header]) -> dict[str, list[str]]:
    """The columns that any header fills."""
    found = {name: [header.cells[name] for header in headers] for name in COLUMNS}
    return {name: cells for name, cells in found.items() if any(cells)}


def _survey(headers: Sequence[Header]) -> Survey:
    sizes = [header.size for header in headers]
    sides = tuple(int(median(size[axis] for size in sizes)) for axis in (0, 1))
    return Survey(sides, len(set(sizes)) == 1, 0, len(sizes))


def _names_in_paths(walked: Walked, kept: dict[Path, Header]) -> Iterator[str]:
    """Says, without saying whose, that paths hold names of patients."""
    held = sum(any(part in walked.name(path).casefold() for part in one.names) for path, one in kept.items())
    if held:
        yield (
            f"ATTENTION: the paths of {held} files seem to hold the patient's name; cases.csv, records and "
            "reports name cases by their paths: rename these files and folders first"
        )
