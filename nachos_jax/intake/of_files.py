"""A folder of images, DICOM files or volumes as cases, with what a table tells of them."""

from __future__ import annotations

import filecmp
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import image_files, volume_files
from nachos_jax.data.checks import listed
from nachos_jax.intake import names, of_dicom, roles
from nachos_jax.intake.asked import Asked
from nachos_jax.intake.draft import Draft, Survey
from nachos_jax.intake.headers import read as headers_of
from nachos_jax.intake.joining import OF_FILES, ids_of, join
from nachos_jax.intake.of_dicom import Cases
from nachos_jax.intake.tables import Grid, read_table
from nachos_jax.intake.walk import Walked

LOOKED = 200
"""Files whose headers are looked at for their sizes."""
SPACING = 0.05
"""Relative difference of voxels from which on volumes are said to have several spacings."""
KINDS = {"images": "PNG, JPEG or TIFF images", "dicom": "DICOM files", "volumes": "NIfTI or NRRD volumes"}


def draft(walked: Walked, asked: Asked) -> Draft:
    """The cases of a folder.

    Raises:
        UsageError: no image at all, or a table that cannot be joined.
    """
    counts = {kind: len(getattr(walked, kind)) for kind in KINDS}
    kind = max(counts, key=lambda kind: counts[kind])
    if not counts[kind]:
        raise UsageError(
            f"{walked.root} holds no image, volume, npz file or table that can be read{_instead(walked)}; "
            "name another folder."
        )
    notes = [f"{counts[kind]} {KINDS[kind]} in {walked.root}"]
    for other in (one for one in KINDS if one != kind and counts[one]):
        names_of = listed(map(walked.name, getattr(walked, other)), 5)
        notes.append(f"left out {counts[other]} {KINDS[other]}, since a run takes one kind: {names_of}")
    if kind == "dicom":
        cases = of_dicom.read_cases(walked, asked.cases)
    else:
        cases = _of_names(walked, getattr(walked, kind), kind == "volumes")
    notes += cases.notes
    relative = [walked.name(path) for path in cases.paths]
    known = cases.columns
    rows, told = _of_table(walked, asked, relative, known)
    notes += told
    if rows is not None and kind != "dicom" and any(map(_is_subject, rows[0].columns)):
        known.pop("subject", None)  # guessed from names of files; the table says it
    if rows is not None and "label" in known:
        known["folder_class"] = known.pop("label")
    if "mask" in known:
        known["mask"] = [asked.relative(walked.root / mask) for mask in known["mask"]]
    columns = {"path": [asked.relative(path) for path in cases.paths], **known}
    if rows is not None:
        columns, told = _joined(columns, rows)
        notes += told
    source = Draft("csv", columns, {}, survey=cases.survey, volumes=cases.volumes, notes=notes)
    source.task = "segmentation" if "mask" in columns and not _could_be_classes(columns) else "classification"
    return source


def _instead(walked: Walked) -> str:
    """What lies there instead of images."""
    told = [
        f"{len(names_of)} that are {why} ({listed(names_of, 3)})" for why, names_of in walked.left_out.items()
    ]
    return f", but {' and '.join(told)}" if told else ""


def _without_copies(paths: list[Path], walked: Walked) -> tuple[list[Path], list[str]]:
    """The files but those that are called copies of one beside them, and are equal to it byte for byte."""
    copies = [
        path for path in paths if (one := names.original(path)) and filecmp.cmp(one, path, shallow=False)
    ]
    if not copies:
        return paths, []
    told = f"left out {len(copies)} files that are called copies of one beside them, and are equal to it"
    gone = set(copies)
    return [path for path in paths if path not in gone], [f"{told}: {listed(map(walked.name, copies))}"]


def _of_volumes(paths: list[Path], walked: Walked) -> tuple[list[Path], Survey | None, list[str]]:
    """The volumes whose headers can be read, and their sides."""
    headers = dict(zip(paths, headers_of(volume_files.header, paths), strict=True))
    kept = {path: header for path, header in headers.items() if not isinstance(header, str)}
    damaged = [walked.name(path) for path in paths if path not in kept]
    if not kept:
        raise UsageError(f"{walked.root}: no volume there can be read, e.g. {headers[paths[0]]}")
    notes = [f"left out {len(damaged)} volumes whose header is damaged: {listed(damaged)}"] if damaged else []
    sides, steps = (np.asarray([header[part] for header in kept.values()], float) for part in (0, 1))
    middle = tuple(int(side) for side in np.median(sides[:, :3], axis=0))
    alike = bool((sides == sides[0]).all())
    spaced = bool(np.isfinite(steps).all() and (abs(steps - steps[0]) > SPACING * steps[0]).any())
    return list(kept), Survey(middle, alike, 1 if (sides[:, 3] == 1).all() else 0, len(kept), spaced), notes


def _of_names(walked: Walked, paths: list[Path], volumes: bool) -> Cases:
    """Cases whose files tell nothing but their names, and volumes their sides."""
    paths, notes = _without_copies(paths, walked)
    survey = None
    if volumes:
        paths, survey, told = _of_volumes(paths, walked)
        notes += told
    relative = [walked.name(path) for path in paths]
    masks = names.pairs(relative)
    looks = [name for name in relative if names.mask_pattern(name)]
    columns: dict[str, list[str]] = {}
    if masks:
        taken = [(name, path) for name, path in zip(relative, paths, strict=True) if name in masks]
        alone = [name for name in relative if name not in masks and name not in looks]
        further = len(looks) - len(masks)
        notes.append(f"{len(masks)} images have a mask by name, e.g. {_pair(masks)}: column mask")
        if further:
            notes.append(f"left out {further} further masks of images that have one, or of none")
        if alone:
            notes.append(f"left out {len(alone)} images without mask: {listed(alone)}")
        relative, paths = [name for name, _ in taken], [path for _, path in taken]
        columns["mask"] = [masks[name] for name in relative]
    found, told = names.folder_columns(relative)
    persons, more = names.patient_columns(relative)
    kinds, seen = names.kind_column(relative) if volumes else ({}, [])
    columns |= {**found, **persons, **kinds}
    return Cases(paths, columns, survey or _survey(paths), volumes, [*notes, *told, *more, *seen])


def _pair(masks: dict[str, str]) -> str:
    image, mask = next(iter(masks.items()))
    return f"{mask} of {image}"


def _survey(paths: list[Path]) -> Survey | None:
    step = max(1, len(paths) // LOOKED)
    looked = headers_of(image_files.facts, paths[::step])
    sizes = [(int(one["height"]), int(one["width"])) for one in looked if "height" in one]
    if not sizes:
        return None
    sides = tuple(int(median(size[axis] for size in sizes)) for axis in (0, 1))
    modes = Counter(one.get("mode", "") for one in looked)
    gray = all(mode in ("1", "L", "LA", "I", "F") or mode.startswith("I;16") for mode in modes)
    return Survey(sides, len(set(sizes)) == 1, 1 if gray else 3, len(sizes))


def _of_table(
    walked: Walked, asked: Asked, paths: list[str], known: dict[str, list[str]]
) -> tuple[tuple[Grid, list[int]] | None, list[str]]:
    """The table that tells more of the files, and the row of each."""
    ids = ids_of(paths, {name: known[name] for name in ("series", "subject") if name in known})
    if asked.labels:
        grid = read_table(asked.labels)
        joined = join(grid, ids)
        return (_without(grid, joined.column, joined.rule), joined.rows), [*grid.notes, *joined.notes]
    found, tried = [], []
    for path in walked.tables:
        try:
            grid = read_table(path)
            joined = join(grid, ids)
        except UsageError as error:
            tried.append(f"the table {walked.name(path)} is not used: {error}")
            continue
        found.append((walked.name(path), grid, joined))
    if len(found) > 1:
        told = listed([name for name, _, _ in found])
        raise UsageError(
            f"{walked.root} holds several tables that name the files ({told}): name one, --labels=..."
        )
    if not found:
        return None, tried
    _, grid, joined = found[0]
    return (_without(grid, joined.column, joined.rule), joined.rows), [*tried, *grid.notes, *joined.notes]


def _without(grid: Grid, column: str, rule: str) -> Grid:
    """The table without the column that only names files."""
    if rule == "subject" or (rule in OF_FILES and roles.role_by_name(column) != "subject"):
        grid.columns.pop(column)
    return grid


def _joined(
    columns: dict[str, list[str]], found: tuple[Grid, list[int]]
) -> tuple[dict[str, list[str]], list[str]]:
    """The cases that the table names, with its columns behind their own."""
    grid, rows = found
    kept = [case for case, row in enumerate(rows) if row >= 0]
    columns = {name: [cells[case] for case in kept] for name, cells in columns.items()}
    notes = []
    for name, cells in grid.columns.items():
        title = name if name not in columns else f"{name}_table"
        if title != name:
            notes.append(f"the table's column {name!r} is called {title!r}, beside the one of the files")
        columns[title] = [cells[rows[case]] for case in kept]
    return columns, notes


def _is_subject(name: str) -> bool:
    return roles.role_by_name(name) == "subject"


def _could_be_classes(columns: dict[str, list[str]]) -> bool:
    further = {name: cells for name, cells in columns.items() if name not in ("path", "mask")}
    return bool(roles.choose(further)["label"].column)
