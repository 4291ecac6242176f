"""The folder that `nachos predict` writes of a model that makes masks: a file a case, and volumes.csv."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nachos_jax.cli import written_folder
from nachos_jax.core.errors import UsageError
from nachos_jax.records.cells import csv_text
from nachos_jax.records.decode import parse
from nachos_jax.records.store import write_atomic

if TYPE_CHECKING:
    from nachos_jax.data.mask_inputs import MaskInput
    from nachos_jax.protocol.model.deployed import DeployedModel
    from nachos_jax.protocol.model.mask_arrays import Segmented

TABLE, HEADER = "volumes.csv", ["case", "file"]
NOTE = (
    "Dice beside a reference is of this one model on these cases: no estimate, least of all on cases that it "
    "was trained on."
)


def asked(model: str) -> bool:
    """Whether a folder holds a model of masks; what is wrong with it is told by who loads it."""
    try:
        return parse((Path(model) / "model.json").read_bytes())["task"] == "segmentation"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def folder(text: str, inputs: Sequence[str]) -> Path:
    """The folder to write: new, empty, or one that an earlier `nachos predict` wrote.

    Raises:
        UsageError: it is a file, holds other things, holds or lies in an input, or the folder that it is to
            lie in is missing.
    """
    path, told = Path(text), f"--output={text}"
    if path.suffix.lower() == ".csv" or (os.path.lexists(path) and not os.path.isdir(path)):
        raise UsageError(f"{told}: this model makes masks; name a folder for them, which is made if need be.")
    if not os.path.isdir(path.absolute().parent):
        raise UsageError(f"{told}: there is no folder {path.absolute().parent}; make it first.")
    real = Path(os.path.realpath(path))
    for given in inputs:
        place = Path(os.path.realpath(given))
        if (place.is_dir() and real.is_relative_to(place)) or place.is_relative_to(real):
            raise UsageError(
                f"{told} and --input={given} lie in each other, so masks would be taken for images or "
                "written over them: name another folder."
            )
    if os.path.isdir(path) and any(path.iterdir()) and not _ours(path / TABLE):
        raise UsageError(f"{told} holds other files and no {TABLE}; name a new or an empty folder.")
    return path


def mirrored(word: str | None) -> bool:
    """Whether windows are to be mirrored.

    Raises:
        UsageError: neither yes nor no.
    """
    if word not in (None, "yes", "no"):
        raise UsageError(f"--mirror={word}: must be yes or no.")
    return word != "no"


def write(place: Path, model: DeployedModel, inputs: Sequence[str], mirror: bool) -> list[str]:
    """Writes the masks and their table.

    Args:
        place: folder that `folder` has passed.
        model: of masks.
        inputs: what to segment, see `nachos_jax.data.mask_inputs.found`.
        mirror: see `DeployedModel.segment`.

    Returns:
        Lines for people.

    Raises:
        UsageError: cases that cannot be segmented; then nothing is written.
    """
    from nachos_jax.data import mask_inputs
    from nachos_jax.protocol.model import mask_arrays, mask_facts

    assert model.segmenter is not None
    cases = mask_inputs.found(inputs, mask_facts.sought(model.description))
    sides = mask_arrays.sizes(model.description, cases)
    written_folder.begin(place / TABLE, HEADER, {_file(case) for case in cases}, _is_mask)
    done: list[Segmented] = []
    files: list[str] = []
    archives: dict[str, dict[str, np.ndarray]] = {}
    for one in mask_arrays.segmented(model.segmenter.mirror(mirror), model.description, cases, sides):
        files.append(_kept(place, one, archives))
        done.append(replace(one, mask=np.empty(0, np.uint8)))
    for name, arrays in archives.items():
        data = io.BytesIO()
        np.savez_compressed(data, allow_pickle=False, **arrays)
        write_atomic(place / name, data.getvalue())
    header, rows = table(done, model.classes, len(model.description["preparation"]["axes"]))
    lines = [[one.case.name, file, *row] for one, file, row in zip(done, files, rows, strict=True)]
    write_atomic(place / TABLE, csv_text([[*HEADER, *header], *lines]).encode())
    return [f"masks: {place} (cases: {len(done):,})", f"volumes: {place / TABLE}", *_compared(done)]


def table(done: Sequence[Segmented], classes: Sequence[str], rank: int) -> tuple[list[str], list[list[str]]]:
    """Header and a row a case: voxels, mm³ and Dice of each class, as far as they are known.

    Args:
        done: N cases.
        classes: K names.
        rank: 2 for pixels and mm².
    """
    count, unit = ("pixels", "mm2") if rank == 2 else ("voxels", "mm3")
    spaced, compared = (
        any(known) for known in zip(*((d.size, d.dice is not None) for d in done), strict=True)
    )
    header = [f"{count}_{name}" for name in classes]
    header += [f"{unit}_{name}" for name in classes if spaced]
    header += [*(f"dice_{name}" for name in classes), "mean_dice"] if compared else []
    nothing = [""] * len(classes)
    rows = []
    for one in done:
        row = [f"{number}" for number in one.voxels.tolist()]
        if spaced:
            row += [f"{number * one.size:.6g}" for number in one.voxels.tolist()] if one.size else nothing
        if compared:
            dice = None if one.dice is None else [*one.dice.tolist(), float(one.dice.mean())]
            row += [*nothing, ""] if dice is None else [f"{value:.6g}" for value in dice]
        rows.append(row)
    return header, rows


def _compared(done: Sequence[Segmented]) -> list[str]:
    """What is said of Dice where cases have references."""
    dice = [float(one.dice.mean()) for one in done if one.dice is not None]
    if not dice:
        return []
    return [f"mean Dice of cases with a reference: {np.mean(dice):.4f} (cases: {len(dice):,})", NOTE]


def _kept(place: Path, one: Segmented, archives: dict[str, dict[str, np.ndarray]]) -> str:
    """Name of the file of a case, which is written; a row of an NPZ file is put into its archive."""
    case, name = one.case, _file(one.case)
    if case.row is not None:
        arrays = archives.setdefault(name, {})
        whole = arrays.setdefault(case.row.key, np.zeros(case.row.shape, np.uint8))
        whole[case.row.number][tuple(map(slice, one.mask.shape))] = one.mask
        return name
    if case.grid is not None:
        from nachos_jax.data import nifti

        data = nifti.like(one.mask, case.grid)
        data = gzip.compress(data, 6, mtime=0) if name.endswith(".gz") else data
    else:
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(one.mask).save(file, "PNG", optimize=True)
        data = file.getvalue()
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(place / name, data)
    return name


def _file(case: MaskInput) -> str:
    """Name of the file that holds the mask of a case, maybe beside others."""
    if case.row is not None:
        return f"{case.row.file.stem}.npz"
    if case.grid is not None:
        return f"{case.name}.nii{'.gz' * case.grid.name.lower().endswith('.gz')}"
    return f"{case.name}.png"


def _is_mask(name: str) -> bool:
    inside = not Path(name).is_absolute() and ".." not in Path(name).parts
    return inside and name.endswith((".nii", ".nii.gz", ".png", ".npz"))


def _ours(path: Path) -> bool:
    """Whether a table is one that `write` writes."""
    if not path.is_file():
        return False
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        return next(csv.reader(file), [])[:2] == HEADER
