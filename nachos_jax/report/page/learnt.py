"""The folder of `nachos study`: all numbers as JSON, tables as CSV, figures as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.records.store import RunDirectory, dump
from nachos_jax.report.figures import lessons
from nachos_jax.report.page import figure_files


def write(result: Mapping[str, Any], folder: str) -> Path:
    """Writes study.json, and every figure (NAME.svg) with its numbers (NAME.csv).

    Args:
        result: of `lessons.of_runs`.
        folder: made if need be; figures of an earlier call that are no longer drawn are removed.

    Raises:
        UsageError: it holds other files than those of an earlier call, or cannot be written to.
    """
    _refuse_others(Path(folder))
    directory = RunDirectory(folder)
    several = result["repeated"] is not None
    drawn = [
        lessons.ranks(result["ranks"]),
        lessons.mattered(result["importance"]),
        lessons.best_so_far(result["best_so_far"], result["label"]),
        lessons.grouped(result["runs"], result["metric_label"]) if several else None,
    ]
    figure_files.write(Path(folder), [figure for figure in drawn if figure is not None])
    directory.write_text("study.json", dump(dict(result)).decode())
    return Path(folder)


def _refuse_others(folder: Path) -> None:
    if not folder.is_dir() or (folder / figure_files.WRITTEN).exists():
        return
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if found:
        raise UsageError(
            f"{folder} holds other files (e.g. {found[0]}), which could be lost: name a new or an empty "
            "folder with --output=FOLDER."
        )
