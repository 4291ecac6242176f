"""The folder of `nachos study`: all numbers as JSON, tables as CSV, figures as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nachos_jax.records.store import RunDirectory, dump
from nachos_jax.report.figures import lessons
from nachos_jax.report.page import figure_files


def write(result: Mapping[str, Any], folder: str) -> Path:
    """Writes study.json, and every figure (NAME.svg) with its numbers (NAME.csv).

    Args:
        result: of `lessons.of_runs`.
        folder: made if need be; figures of an earlier call that are no longer drawn are removed.

    Raises:
        UsageError: it cannot be written to.
    """
    directory = RunDirectory(folder)
    directory.write_text("study.json", dump(dict(result)).decode())
    several = result["repeated"] is not None
    drawn = [
        lessons.ranks(result["ranks"]),
        lessons.mattered(result["importance"]),
        lessons.best_so_far(result["best_so_far"], result["label"]),
        lessons.grouped(result["runs"], result["metric_label"]) if several else None,
    ]
    figure_files.write(Path(folder), [figure for figure in drawn if figure is not None])
    return Path(folder)
