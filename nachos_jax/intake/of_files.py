"""A folder of images, DICOM files or volumes as cases, with what a table tells of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median

from nachos_jax.core.errors import UsageError
from nachos_jax.data import image_files
from nachos_jax.data.checks import listed
from nachos_jax.intake import names, of_dicom, roles
from nachos_jax.intake.asked import Asked
from nachos_jax.intake.draft import Draft, Survey
from nachos_jax.intake.joining import OF_FILES, ids_of, join
from nachos_jax.intake.of_dicom import Cases
from nachos_jax.intake.tables import Grid, read_table
from nachos_jax.intake.walk import Walked

LOOKED = 200
"""Files whose headers are looked at for their sizes."""
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
            f"{walked.root} holds no image, volume, npz file or table that can be read; name another folder."
        )
    others = [f"{counts[one]} {KINDS[one]}" for one in KINDS if one != kind and counts[one]]
    notes = [f"{counts[kind]} {KINDS[kind]} in {walked.root}"]
    notes += [f"left out {' and '.join(others)}: a run takes one kind"] if others else []
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


def _of_names(walked: Walked, paths: list[Path], volumes: bool) -> Cases:
    """Cases whose files tell nothing but their names."""
    relative = [walked.name(path) for path in paths]
    masks = names.pairs(relative)
    looks = [name for name in relative if names.mask_pattern(name)]
    notes = []
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
    return Cases(
        paths, {**columns, **found, **persons}, _survey(paths, volumes), volumes, [*notes, *told, *more]
    )


def _pair(masks: dict[str, str]) -> str:
    image, mask = next(iter(masks.items()))
    return f"{mask} of {image}"


def _survey(paths: list[Path], volumes: bool) -> Survey | None:
    if volumes:
        return None
    step = max(1, len(paths) // LOOKED)
    looked = [image_files.facts(path) for path in paths[::step]]
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
