"""NRRD files: values, and where they lie; the one importer of pynrrd."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import TransientError, UsageError, refuse_transient
from nachos_jax.data import there

SUFFIXES = (".nrrd", ".nhdr")
MM = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(
        ("um", "\N{GREEK SMALL LETTER MU}m", "micron", "microns", "micrometer", "micrometers"), 1e-3
    ),
    **dict.fromkeys(("micrometre", "micrometres"), 1e-3),
}
"""mm of units beside mm, as people write them; the micro sign is a Greek letter in NFKC."""
_SHORT = {"lps": "left-posterior-superior", "las": "left-anterior-superior", "ras": "right-anterior-superior"}


def is_nrrd(path: Path) -> bool:
    """Whether the name says so."""
    return path.name.lower().endswith(SUFFIXES)


def read(path: Path, header_only: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads one file.

    Args:
        path: the file.
        header_only: leaves the voxels on disk: the values are zeros that take no memory.

    Returns:
        Values [X, Y, Z] or [X, Y, Z, C], and the affine [4, 4] from voxels to mm, to the right, the front and
        the head; None where the header gives no directions.

    Raises:
        UsageError: no such file, one that cannot be read, or one whose axes are no volume.
    """
    try:
        import nrrd
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path}: NRRD files are read by pynrrd, which is not there: pip install pynrrd."
        ) from error
    if not there.is_file(path):
        raise TransientError(f"{path}: there is no such file; mend the path.")
    try:
        if header_only:
            header = nrrd.read_header(str(path))
            values = np.broadcast_to(np.int16(0), tuple(int(side) for side in header["sizes"]))
        else:
            values, header = nrrd.read(str(path))
    except Exception as error:  # whatever a damaged file makes of its parts
        refuse_transient(error, path)
        raise UsageError(f"{path} cannot be read as NRRD ({error}); replace it by an intact one.") from error
    space = _space_axes(header, values.ndim)
    if values.ndim not in (3, 4) or len(space) != 3 or 0 in values.shape:
        raise UsageError(
            f"{path} has shape {values.shape}; a volume has three axes of space, and one of channels."
        )
    others = [axis for axis in range(values.ndim) if axis not in space]
    return values.transpose(*space, *others), _affine(header, space, _units(path))


def _space_axes(header: Mapping[str, Any], count: int) -> list[int]:
    """The axes with a direction in space; where none says so, those of no list of values, or the first."""
    directions = header.get("space directions")
    if directions is not None:
        return [axis for axis, row in enumerate(np.asarray(directions, float)) if not np.isnan(row).any()]
    kinds = header.get("kinds") or ["domain"] * count
    space = [
        axis for axis, kind in enumerate(kinds) if str(kind).lower() in ("domain", "space", "???", "none")
    ]
    return space if len(space) == 3 else list(range(min(3, count)))


def _units(path: Path) -> dict[str, list[str]]:
    """The units of axes ("units") and of the directions of space ("space units"), as the header names them.

    pynrrd drops what is not ASCII, and would read a micrometre as a metre.
    """
    found = {}
    with open(path, "rb") as file:
        for line in itertools.takewhile(bytes.strip, file):
            name, _, value = line.partition(b":")
            if name.strip().lower() in (b"units", b"space units"):
                try:
                    text = value.decode()
                except UnicodeDecodeError:
                    text = value.decode("latin-1")
                found[name.strip().lower().decode()] = re.findall(r'"([^"]*)"', text)
    return found


def _mm(units: list[str], count: int) -> np.ndarray:
    """[count] mm of units; 1 of those that nobody knows, and where not each of them is named."""
    if len(units) != count:
        return np.ones(count)
    return np.asarray([MM.get(unicodedata.normalize("NFKC", unit).strip().lower(), 1.0) for unit in units])


def _affine(header: Mapping[str, Any], space: list[int], units: Mapping[str, list[str]]) -> np.ndarray | None:
    directions, spacings = header.get("space directions"), header.get("spacings")
    affine = np.eye(4)
    if directions is None:
        steps = np.full(len(space), np.nan) if spacings is None else np.asarray(spacings, float)[space]
        if not np.isfinite(steps).all() or (steps == 0).any():
            return None
        count = len(spacings)  # pyrefly: ignore[bad-argument-type]
        affine[:3, :3] = np.diag(steps * _mm(units.get("units", []), count)[space])
        return affine
    affine[:3, :3] = np.asarray(directions, float)[space].T
    affine[:3, 3] = np.nan_to_num(np.asarray(header.get("space origin", np.zeros(3)), float))
    affine[:3] *= _mm(units.get("space units", []), 3)[:, None]
    named = _named(str(header.get("space", "")))
    affine[:3] *= [[-1.0 if "left" in named else 1.0], [-1.0 if "posterior" in named else 1.0], [1.0]]
    return affine


def _named(space: str) -> tuple[str, ...]:
    """Directions of a space such as "left-posterior-superior", or "LPS"."""
    return tuple(_SHORT.get(space.lower(), space.lower()).split("-"))
