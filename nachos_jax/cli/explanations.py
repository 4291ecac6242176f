"""The folder that `nachos predict --explain` writes: one picture a case, and a table of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nachos_jax.cli import written_folder
from nachos_jax.core.errors import UsageError
from nachos_jax.data.joined import images_of, part
from nachos_jax.protocol.model.pictures import METHODS, legend, picture
from nachos_jax.records.cells import csv_text
from nachos_jax.records.store import write_atomic

if TYPE_CHECKING:
    from nachos_jax.protocol.model.deployed import DeployedModel

TABLE = "explanations.csv"
HEADER = ("case", "predicted", "explained", "method", "peak", "file")
NOTE = "A map shows what moved this model's output, not why it is right."

_PICTURE = re.compile(r"[0-9]{6,}_[A-Za-z0-9._-]{1,60}\.png")
_BATCH = 32


def method(text: str | None, folder: str | None) -> str:
    """The method that --explain_method names; Grad-CAM when it was not given.

    Raises:
        UsageError: no such method, or nothing to explain.
    """
    if text is not None and folder is None:
        raise UsageError(f"--explain_method={text} does nothing without --explain=FOLDER; give both.")
    if text is not None and text not in METHODS:
        raise UsageError(f"--explain_method={text}: must be one of {', '.join(METHODS)}.")
    return text or next(iter(METHODS))


def folder(text: str | None, inputs: Sequence[str], output: Path) -> Path | None:
    """The folder to write: new, empty, or one that an earlier `--explain` wrote.

    Raises:
        UsageError: it is a file, holds other things, lies in a folder of --input (the pictures would be
            predicted next time), the folder that it is to lie in is missing, or `output`, the table of
            predictions, would take the place of its own table.
    """
    if text is None:
        return None
    path, told = Path(text), f"--explain={text}"
    if not text:
        raise UsageError("--explain has no value; write --explain=FOLDER.")
    if os.path.lexists(path) and not os.path.isdir(path):
        raise UsageError(f"{told} is a file; name a folder, which is made if need be.")
    if not os.path.isdir(path.absolute().parent):
        raise UsageError(f"{told}: there is no folder {path.absolute().parent}; make it first.")
    real = Path(os.path.realpath(path))
    for given in inputs:
        if os.path.isdir(given) and real.is_relative_to(os.path.realpath(given)):
            raise UsageError(
                f"{told} lies in --input={given}, where its pictures would count as images; name another one."
            )
    if os.path.realpath(output) == os.path.realpath(path / TABLE):
        raise UsageError(
            f"--output={output} is the table of explanations that {told} writes; name another file."
        )
    if os.path.isdir(path) and any(path.iterdir()) and not os.path.isfile(path / TABLE):
        raise UsageError(f"{told} holds other files and no {TABLE}; name a new or an empty folder.")
    return path


def write(
    place: Path,
    model: DeployedModel,
    names: Sequence[str],
    images: Any,
    probabilities: np.ndarray,
    way: str,
) -> Path:
    """Explains the predicted class of every case, and writes the pictures and their table.

    Args:
        place: folder that `folder` has passed.
        model: the model.
        names: [N] cases.
        images: [N, H, W, C] as the model takes them, maybe with vectors beside them.
        probabilities: [N, classes].
        way: the method.

    Returns:
        Path of the table.

    Raises:
        UsageError: this architecture cannot be explained so, or the folder cannot be written.
    """
    predicted = np.argmax(probabilities, axis=1)
    rows: list[list[str]] = []
    for i, heat, peak in _maps(model, images, predicted, way):
        if not rows:
            coming = [file_name(number, case) for number, case in enumerate(names)]
            written_folder.begin(place / TABLE, HEADER, coming, _is_picture)
        name, chance = model.classes[predicted[i]], probabilities[i, predicted[i]]
        words = [
            names[i],
            f"predicted {name}, probability {chance:.3f}",
            legend(way, name, peak),
            NOTE,
        ]
        file = file_name(i, names[i])
        write_atomic(place / file, picture(images_of(images)[i], heat, words))
        rows.append([names[i], name, name, way, f"{peak:.6g}", file])
    write_atomic(place / TABLE, csv_text([HEADER, *rows]).encode())
    return place / TABLE


def file_name(number: int, case: str) -> str:
    """A name for a case's picture: unique by its number, and a plain name whatever the case is called."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(case).stem)[:60]
    return f"{number + 1:06d}_{stem or '-'}.png"


def _maps(
    model: DeployedModel, images: Any, classes: np.ndarray, way: str
) -> Iterator[tuple[int, np.ndarray, float]]:
    """(row, map, peak) of each case, a batch at a time."""
    for start in range(0, len(classes), _BATCH):
        rows = slice(start, start + _BATCH)
        maps, peaks = model.explain(part(images, rows), classes[rows], way, _BATCH)
        yield from zip(range(start, start + len(maps)), maps, peaks.tolist(), strict=True)


def _is_picture(name: str) -> bool:
    return bool(_PICTURE.fullmatch(name))
