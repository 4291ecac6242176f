"""Who the subjects inside and external ones are, by the columns that both have: counts and means alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.config.subgroups import MOST
from nachos_jax.data.spellings import canonical, is_missing
from nachos_jax.data.table import CaseTable

FEW = 5
"""Different numbers up to which a column holds codes, as 0 and 1 of sex, and no amounts."""
_YEARS = re.compile(r"(\d{1,3})Y", re.IGNORECASE)
"""Age in the form of DICOM."""


def both(inside: CaseTable, outside: CaseTable) -> dict[str, dict[str, dict[str, Any]]]:
    """What each column that both tables have says of their subjects.

    A subject with several cases counts once: by the mean of its numbers, or by its most frequent word.

    Returns:
        By column "inside" and "external": of numbers "subjects" that are known, "mean" and "sd"; of words
        "counts" of subjects by word. Columns with more than MOST words, or known of one side only, are left
        out.
    """
    found = {}
    for name in inside.columns:
        if name in outside.columns:
            cells = [_by_subject(table.subjects, table.columns[name]) for table in (inside, outside)]
            told = _numbers(cells) or _words(cells)
            if told:
                found[name] = dict(zip(("inside", "external"), told, strict=True))
    return found


def _by_subject(subjects: np.ndarray, cells: np.ndarray) -> list[list[str]]:
    """The cells that are known, subject by subject."""
    known: dict[str, list[str]] = {}
    for subject, cell in zip(subjects.tolist(), cells.tolist(), strict=True):
        if not is_missing(cell):
            known.setdefault(subject, []).append(cell)
    return list(known.values())


def _numbers(sides: Sequence[Sequence[Sequence[str]]]) -> list[dict[str, Any]]:
    """Mean and SD over the subjects of each side; [] of columns that hold words or codes."""
    read = [[[number(cell) for cell in cells] for cells in side] for side in sides]
    every = {value for side in read for cells in side for value in cells}
    if (
        not all(value is not None and math.isfinite(value) for value in every)
        or len(every) <= FEW
        or not all(sides)
    ):
        return []
    means = [np.asarray([np.mean(cells) for cells in side], float) for side in read]  # pyrefly: ignore[no-matching-overload]
    return [
        {
            "subjects": len(values),
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
        }
        for values in means
    ]


def _words(sides: Sequence[Sequence[Sequence[str]]]) -> list[dict[str, Any]]:
    """Subjects by word, spellings joined to the first one; [] of more words than can be read."""
    shown: dict[str, str] = {}
    for cell in (cell for side in sides for cells in side for cell in cells):
        shown.setdefault(canonical(cell), cell)
    if len(shown) > MOST or not all(sides):
        return []
    counts = [Counter(shown[_usual(cells)] for cells in side) for side in sides]
    names = sorted(shown.values())
    return [{"counts": {name: count[name] for name in names}} for count in counts]


def _usual(cells: Sequence[str]) -> str:
    counts: Mapping[str, int] = Counter(map(canonical, cells))
    return min(counts, key=lambda word: (-counts[word], word))


def number(cell: str) -> float | None:
    """What a cell holds, an age in the form of DICOM in years; None of words, and of numbers like 12_5."""
    years = _YEARS.fullmatch(cell.strip())
    if "_" in cell:  # which Python passes over
        return None
    try:
        return float(years[1] if years else cell)
    except ValueError:
        return None
