"""`nachos compare`: two or more runs over the same outer folds."""

from __future__ import annotations

import math
import os
from typing import Any

from nachos_jax.cli.parsing import Flag
from nachos_jax.core.errors import UsageError

FLAGS = (
    Flag(
        "runs",
        "DIR,DIR[,DIR...]",
        "Run directories of `nachos evaluate` over the same folds.",
        many=True,
        path=True,
    ),
    Flag(
        "metric",
        "NAME",
        "Metric to compare, like auc; what the runs selected their trials by when left out.",
        required=False,
    ),
    Flag(
        "rope",
        "0.01",
        "Smaller differences do not matter in practice; of metrics without a unit 0.01 when left out.",
        required=False,
    ),
    Flag(
        "by",
        "case|unit",
        "Scores of cases, or of the units above them (config.report.unit); else as the reports lead.",
        required=False,
    ),
    Flag("output", "FOLDER", "Folder for comparison.json and comparison.md.", required=False, path=True),
)


def compare(values: Any, _words: list[str]) -> None:
    """`nachos compare`: prints the comparison, and writes it when asked."""
    rope = _rope(values.rope)
    output = _folder(values.output)
    from nachos_jax.report.numbers import comparison
    from nachos_jax.report.words import comparison_text

    result = comparison.compare(values.runs, values.metric or None, rope, values.by or None)
    print(comparison_text.markdown(result), end="")
    if output:
        print(f"\ncomparison: {comparison.write(result, output)}")


def _rope(word: str | None) -> float | None:
    if word is None:
        return None
    try:
        rope = float(word)
    except ValueError:
        rope = math.nan
    if not (math.isfinite(rope) and rope >= 0):
        raise UsageError(f"--rope={word}: must be a number from 0, like 0.01, in the unit of the metric.")
    return rope


def _folder(text: str | None) -> str | None:
    if text and os.path.exists(text) and not os.path.isdir(text):
        raise UsageError(f"--output={text}: is a file; name a folder, which is made if need be.")
    return text or None
