"""NIfTI files: values, spacing and where they lie in the scanner; the one importer of nibabel."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import TransientError, UsageError, refuse_transient
from nachos_jax.data import there

SUFFIXES = (".nii", ".nii.gz")
MM = {"meter": 1e3, "micron": 1e-3}
"""mm of the units of space beside mm that a header can name."""
MOST_PACKED = 1100
"""Times that a file packed by gzip can grow: Deflate makes 1032 bytes of one at most."""


@dataclass(frozen=True, eq=False)
class Nifti:
    """One file.

    Attributes:
        values: [X, Y, Z] or [X, Y, Z, C], scaled as the header says.
        spacing: mm of a voxel along the three axes.
        affine: [4, 4] float64, from voxels to mm in the scanner.
        codes: which way its axes point by that, see `nachos_jax.data.orientation`; "" where the header does
            not say.
    """

    values: np.ndarray
    spacing: tuple[float, float, float]
    affine: np.ndarray
    codes: str = ""


def is_nifti(path: Path) -> bool:
    """Whether the name says so."""
    return path.name.lower().endswith(SUFFIXES)


def read(path: Path) -> Nifti:
    """Reads one file.

    Raises:
        UsageError: no such file, one that cannot be read, one whose axes are no volume, or one of colours or
            complex numbers.
    """

    def voxels(image: Any) -> np.ndarray:
        _refuse_claim(image, path)
        return np.asanyarray(image.dataobj)

    found = _opened(path, voxels)
    if found.values.dtype.kind not in "biuf":
        raise UsageError(f"{path} holds values of type {found.values.dtype}; save one number a channel.")
    return found


def _volume(values: np.ndarray, path: Path) -> np.ndarray:
    """The same as [X, Y, Z] or [X, Y, Z, C]; what has other axes is refused."""
    if values.ndim == 5 and values.shape[3] == 1:  # vectors stand behind an axis of time
        values = values[:, :, :, 0]
    if values.ndim not in (3, 4) or 0 in values.shape:
        raise UsageError(
            f"{path} has shape {values.shape}; a volume has the axes X, Y, Z, and one of channels."
        )
    return values


def header(path: Path) -> Nifti:
    """What the header of a file says, its values zeros that take no memory.

    Raises:
        UsageError: no such file, one that cannot be read, or one whose axes are no volume.
    """
    return _opened(path, lambda image: np.broadcast_to(np.int16(0), image.shape))


def _opened(path: Path, values: Callable[[Any], np.ndarray]) -> Nifti:
    """A file with what `values` takes from nibabel's image of it."""
    import nibabel

    if not there.is_file(path):
        raise TransientError(f"{path}: there is no such file; mend the path.")
    try:
        image: Any = nibabel.load(path)
        found = _volume(values(image), path)
        mm, affine = _mm(image.header), np.array(image.affine, np.float64)
        affine[:3] *= mm
        steps = [mm * float(step) for step in image.header.get_zooms()[:3]]
        return Nifti(found, (steps[0], steps[1], steps[2]), affine, _codes(image.header, affine))
    except UsageError:
        raise
    except Exception as error:  # whatever a damaged file makes of its parts
        refuse_transient(error, path)
        raise UsageError(f"{path} cannot be read as NIfTI ({error}); replace it by an intact one.") from error


def _mm(header: Any) -> float:
    """mm of the unit of space that a header names; 1 where it names none, or one that nobody knows."""
    try:
        return MM.get(header.get_xyzt_units()[0], 1.0)
    except (AttributeError, KeyError):  # of Analyze, without units; of a number that stands for none
        return 1.0


def _codes(header: Any, affine: np.ndarray) -> str:
    """Axis codes, of oblique axes the nearest; "" where a header attaches no orientation to its voxels.

    That is one without qform and sform (method 1 of NIfTI-1), or with an affine that drops an axis.
    """
    from nibabel import orientations

    try:
        known = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    except (KeyError, ValueError):  # of Analyze
        known = False
    if not known or not np.isfinite(affine).all():
        return ""
    sides = [side for side in orientations.aff2axcodes(affine) if side]
    return "".join(sides) if len(sides) == 3 else ""


def _refuse_claim(image: Any, path: Path) -> None:
    """Refuses a header that claims more than its file can hold, before memory is taken for it."""
    claimed = math.prod(int(side) for side in image.shape) * image.header.get_data_dtype().itemsize
    held = os.path.getsize(path) * (MOST_PACKED if path.name.lower().endswith(".gz") else 1)
    if claimed > held:
        raise UsageError(
            f"{path} claims the shape {image.shape}, {claimed:,} bytes, and the file holds less: its header "
            "is damaged, or its end is missing; replace it by an intact one."
        )


def upright(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float]]:
    """A volume turned, by axes alone, to lie as axial slices of DICOM do.

    Its axes then go from feet to head, from front to back and from right to left.

    Args:
        values: [X, Y, Z] or [X, Y, Z, C].
        affine: [4, 4], from voxels to mm to the right, the front and the head.

    Returns:
        [D, H, W] or [D, H, W, C], and mm of a voxel along the three axes.
    """
    from nibabel import orientations

    ways = orientations.io_orientation(affine)
    if np.isnan(ways).any():
        raise ValueError("its affine drops an axis")
    turned = orientations.apply_orientation(values, ways)
    steps = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    order = [int(np.flatnonzero(ways[:, 0] == axis)[0]) for axis in (2, 1, 0)]
    depth, height, width = (float(steps[axis]) for axis in order)
    # From right, front, head as nibabel has them to left and back, whose axes run the other way.
    return np.swapaxes(turned, 0, 2)[:, ::-1, ::-1], (depth, height, width)


def like(values: np.ndarray, source: Path) -> bytes:
    """The file of a mask [X, Y, Z] uint8 that lies as a source file does, with its affine, units and codes.

    Raises:
        UsageError: the source cannot be read any more.
    """
    import nibabel

    try:
        image: Any = nibabel.load(source)
    except Exception as error:
        raise UsageError(f"{source} cannot be read as NIfTI ({error}); it could be before.") from error
    header = image.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header.set_intent("none")
    header["cal_min"], header["cal_max"] = 0, 0
    return type(image)(values, image.affine, header).to_bytes()


def write(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Writes a volume [X, Y, Z] in its own dtype, where the affine [4, 4] says that it lies."""
    import nibabel

    nibabel.save(nibabel.Nifti1Image(values, affine), path)
