"""The CSV that `nachos predict` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nachos_jax.records.store import write_atomic


def write(path: Path, names: Sequence[str], probabilities: np.ndarray, classes: Sequence[str]) -> Path:
    """Writes case, predicted class and one probability a class.

    Args:
        path: file to write.
        names: [N] cases.
        probabilities: [N, C] float32.
        classes: C names.

    Returns:
        The path.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "predicted", *(f"probability_{name}" for name in classes)])
    for name, row in zip(names, probabilities, strict=True):
        writer.writerow([name, classes[int(np.argmax(row))], *(f"{value:.6g}" for value in row)])
    write_atomic(path, text.getvalue().encode())
    return path
