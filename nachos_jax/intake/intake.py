"""`nachos init`: from a folder, archive or table as it is to a case table and a config."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import listed
from nachos_jax.intake import archives, config_text, of_arrays, of_files, of_pairs, of_tables, written
from nachos_jax.intake.asked import Asked
from nachos_jax.intake.draft import Draft
from nachos_jax.intake.settle import settle
from nachos_jax.intake.tables import read_table
from nachos_jax.intake.walk import TABLES, Walked, kind, walk
from nachos_jax.intake.walk import listed as listed_files


def look(path: Path, asked: Asked) -> Draft:
    """Looks at a folder, an archive, a table or an npz file, and writes nothing but what it unpacks.

    Raises:
        UsageError: nothing there that can be read, tables that do not fit, or more than one data set.
    """
    notes: list[str] = []
    if not path.exists():
        raise UsageError(f"--input={path}: there is no such file or folder; mend the path.")
    if path.is_file() and archives.is_archive(path):
        path, notes = archives.unpack(path, asked.output / "unpacked")
    if path.is_file():
        draft = _of_file(path, asked)
    else:
        walked = walk(path, asked.output)
        packed = walked.archives and not (walked.count or walked.arrays)
        draft = _of_archives(walked, asked) if packed else _of_folder(walked, asked)
    if draft.path is not None and asked.key:
        raise UsageError(f"--pseudonyms: {draft.path} is read as it is, and holds its ids: mend them there.")
    if asked.labels and not any("is joined to" in note for note in draft.notes):
        raise UsageError(
            f"--labels={asked.labels}: its columns are joined to folders of files alone, and not to {path}: "
            "add them there yourself, and leave --labels out."
        )
    draft.notes[:0] = notes
    return settle(draft, asked)


def _of_file(path: Path, asked: Asked) -> Draft:
    what = kind(path)
    if what == "arrays":
        return of_arrays.draft(path)
    if what != "tables":
        raise UsageError(
            f"--input={path}: name the folder that holds the images, an archive, an npz file, or a table "
            f"({', '.join(TABLES)})."
        )
    grid = read_table(path)
    if not of_tables.names_files(grid):
        return of_tables.draft(path)
    if asked.labels and asked.labels.resolve() != path.resolve():
        raise UsageError(f"--labels={asked.labels}: {path} is a table already; join the two, and name one.")
    root = path.absolute().parent
    named = max((listed_files(root, cells) for cells in grid.columns.values()), key=lambda found: found.count)
    walked = named if 2 * named.count > len(grid) else walk(root, asked.output)
    return of_files.draft(walked, replace(asked, labels=path))


def _of_archives(walked: Walked, asked: Asked) -> Draft:
    """What a folder's archives hold; the tables beside them, if these can stand alone or it is no images."""
    alone = [] if asked.labels else [path for path in walked.tables if of_tables.stands_alone(path)]
    if alone:
        draft = _of_folder(walked, asked)
        draft.notes.append(
            f"{walked.name(alone[0])} holds features, so archives beside it stay packed; if it tells of "
            f"images in them, add --labels={alone[0]}"
        )
        return draft
    notes: list[str] = []
    try:
        root, notes = archives.unpack_each(
            walked.root, walked.archives, walked.tables, asked.output / "unpacked"
        )
        inside = walk(root, asked.output)
        if walked.tables and not (inside.count or inside.arrays):
            raise UsageError(f"the archives of {walked.root} hold no image, volume or npz file.")
    except UsageError as error:
        if not walked.tables:
            raise
        draft = _beside(walked, asked, error)
    else:
        draft = _of_folder(inside, asked)
    draft.notes[:0] = notes
    return draft


def _beside(walked: Walked, asked: Asked, why: UsageError) -> Draft:
    """What lies beside archives that are of no use."""
    try:
        draft = _of_folder(walked, asked)
    except UsageError as error:
        raise UsageError(f"{why} Beside them: {error}") from why
    draft.notes.append(f"read without its archives: {why}")
    return draft


def _of_folder(walked: Walked, asked: Asked) -> Draft:
    images = walked.images or walked.dicom or walked.volumes
    alone = [path for path in (*walked.arrays, *walked.tables) if not images]
    if len(alone) > 1 and not asked.labels:
        names = listed([walked.name(path) for path in alone])
        raise UsageError(f"{walked.root} holds {len(alone)} data sets ({names}): name one with --input.")
    if alone:
        draft = _of_file(alone[0], asked)
    else:
        draft = of_pairs.draft(walked, asked) or of_files.draft(walked, asked)
    left = [
        f"left out {len(names)} that are {why}: {listed(names, 5)}" for why, names in walked.left_out.items()
    ]
    draft.notes += left
    return draft


def write(draft: Draft, asked: Asked) -> list[str]:
    """Writes cases.csv, unless the run reads an npz file or a folder itself, and config.py.

    Returns:
        The names of the files that changed.

    Raises:
        UsageError: see `nachos_jax.intake.written.write`.
    """
    relative = asked.relative(draft.path) if draft.path else ""
    texts = {config_text.CONFIG: config_text.text(draft, config_text.reference_of(draft, relative))}
    if draft.path is None:
        texts[config_text.CASES] = written.table_text(draft.columns)
    return written.write(asked.output, texts, config_text.CONFIG)
