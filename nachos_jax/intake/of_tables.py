"""A table of features, such as radiomics: cases are vectors."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import listed
from nachos_jax.data.feature_files import NEVER
from nachos_jax.data.spellings import is_missing
from nachos_jax.intake import roles
from nachos_jax.intake.draft import Draft
from nachos_jax.intake.joining import stem
from nachos_jax.intake.tables import Grid, read_table

FEW = 3
"""A table with fewer columns of numbers lists files."""


def names_files(grid: Grid) -> bool:
    """Whether a column names images or volumes."""
    return any(
        sum(stem(cell) != cell.replace("\\", "/").rpartition("/")[2] for cell in cells) > len(grid) / 2
        for cells in grid.columns.values()
    )


def stands_alone(path: Path) -> bool:
    """Whether a table can be read without any other file: rows are cases, columns features."""
    try:
        return not names_files(read_table(path)) and bool(draft(path).features)
    except UsageError:
        return False


def draft(path: Path) -> Draft:
    """The cases of a table of features.

    Raises:
        UsageError: fewer than three columns of numbers.
    """
    grid = read_table(path)
    columns = {
        name: ["" if is_missing(cell) else cell for cell in cells] for name, cells in grid.columns.items()
    }
    found = roles.choose(columns)
    taken = {choice.column for choice in found.values()}
    taken |= {name for name in columns if roles.role_by_name(name) or roles.tells_who(name)}
    if not found["label"].column:
        taken |= {name for name, _ in found["label"].others if roles.facts_of(columns[name]).classes}
    features, idle = [], []
    for name in [name for name in columns if name not in taken]:
        facts = roles.facts_of(columns[name])
        never = any(pattern and fnmatchcase(name, pattern) for pattern in NEVER)
        if facts.numbers and facts.distinct > 1 and not never and not roles.private(name, facts, len(grid)):
            features.append(name)
        elif never or facts.distinct < 2:
            idle.append(name)
    if len(features) < FEW:
        raise UsageError(
            f"{path.name} names no image files and has {len(features)} columns of numbers, too few for "
            f"features. Name the folder of the images with --input, and this table with --labels; its "
            f"columns are {listed(columns)}."
        )
    for name in idle:
        del columns[name]
    notes = [*grid.notes, f"{path.name}: {len(grid)} cases, {len(features)} features: {listed(features)}"]
    if idle:
        notes.append(
            f"left out, since they are the same for all cases or tell how features came about: {listed(idle)}"
        )
    few = [name for name in features if roles.facts_of(columns[name]).distinct <= 5]
    if few:
        notes.append(f"features with few values, which may be outcomes: look at {listed(few)}")
    keys = {"features": ("*",), "impute": "median" if any("" in columns[name] for name in features) else ""}
    return Draft("vectors", columns, {}, features=tuple(features), notes=notes, keys=keys)
