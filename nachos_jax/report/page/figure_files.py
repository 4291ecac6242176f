"""Figures as files: each as SVG, with its numbers as CSV."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from nachos_jax.records import own
from nachos_jax.records.store import RunDirectory, dump
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.svg import standalone

WRITTEN = "written.json"


def write(folder: Path, figures: Sequence[Figure]) -> None:
    """Writes NAME.svg and NAME.csv of each; those of an earlier call that are no longer drawn are removed."""
    directory, paths = RunDirectory(folder), []
    for figure in figures:
        paths.append(directory.write_text(f"{figure.name}.svg", standalone(figure.svg)))
        header, rows = list(figure.header), [list(row) for row in figure.rows]
        paths.append(directory.write_table(f"{figure.name}.csv", header, rows))
    written = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    own.remove(folder, _written(folder), written)
    directory.write_text(WRITTEN, dump(written).decode())


def _written(folder: Path) -> dict[str, str]:
    """What the earlier call wrote; nothing is known of that of an older version."""
    try:
        return {name: str(digest) for name, digest in json.loads((folder / WRITTEN).read_bytes()).items()}
    except (OSError, ValueError, AttributeError):
        return {}
