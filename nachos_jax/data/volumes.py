"""Cases with depth: whole, resized or cut to one size, or a 2-D image made of each."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError

WHOLE = "whole"
WAYS = (WHOLE, "middle", "mean", "max")
"""Values of config.data.volume beside "", cases that are images: volumes as they are, or the image made of
each: the middle slice, the mean or the maximum along the depth."""
WINDOW = "window"
"""Aspect of volumes of one spacing: cut or filled up about their middle, never stretched."""


@dataclass(frozen=True)
class VolumeFile:
    """Where a volume lies.

    Attributes:
        path: a file, or the folder that holds the files of a DICOM series.
        series: Series Instance UID, where a folder holds several.
    """

    path: Path
    series: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that its voxels come from; of a folder those of every series."""
        if self.path.suffix.lower() == ".nhdr":
            return (self.path, *_detached(self.path))
        if not os.path.isdir(self.path):
            return (self.path,)
        return tuple(sorted(file for file in self.path.iterdir() if file.is_file()))


def _detached(header: Path) -> list[Path]:
    """The file of voxels that a NRRD header names; of lists and patterns all files beside it."""
    text = header.read_bytes().partition(b"\n\n")[0].decode("latin-1")
    named = re.search(r"^data ?file:\s*(.+?)\s*$", text, re.MULTILINE | re.IGNORECASE)
    one = header.parent / named[1] if named else header
    return [one] if one.is_file() else sorted(file for file in header.parent.iterdir() if file.is_file())


def check_stack(shape: tuple[int, ...], what: str) -> None:
    """Refuses arrays that are no stack of volumes.

    Args:
        shape: (N, D, H, W) or (N, D, H, W, C).
        what: the array, for messages.

    Raises:
        UsageError: another number of axes, or channels where none belong.
    """
    if len(shape) < 4 or (len(shape) == 4 and shape[3] in (1, 3)):
        raise UsageError(
            f"{what} has shape {shape}, a stack of images; volumes are stored as (N, D, H, W) or "
            "(N, D, H, W, C). For images set config.data.volume = ''."
        )
    if len(shape) > 5:
        raise UsageError(f"{what} has shape {shape}; store volumes as (N, D, H, W) or (N, D, H, W, C).")
    if len(shape) == 5 and shape[1] <= 4 < shape[4]:
        raise UsageError(
            f"{what} has shape {shape}, channels first; store it as (N, D, H, W, {shape[1]}), e.g. with "
            "numpy.moveaxis(volumes, 1, -1)."
        )


def flattened(volume: np.ndarray, way: str) -> np.ndarray:
    """[H, W, C] of a volume [D, H, W, C] of the same dtype: its middle slice, or its mean or maximum."""
    if way == "middle":
        return volume[len(volume) // 2]
    if way == "max":
        return volume.max(axis=0)
    return _stored(volume.mean(axis=0, dtype=np.float64), volume.dtype)


def sized(volume: np.ndarray, preparation: Mapping[str, Any]) -> np.ndarray:
    """Brings a volume to the size wanted.

    Args:
        volume: [D, H, W, C] of a stored dtype.
        preparation: "depth", "height" and "width" (0 = as stored), and "aspect": "stretch" resizes each axis
            by itself, "fit" all by one factor and fills up with black, "window" cuts and fills up alone.

    Returns:
        [depth, height, width, C] of the same dtype, interpolated linearly (order 1).
    """
    wanted = tuple(int(preparation[name]) for name in ("depth", "height", "width"))
    if not wanted[0] or volume.shape[:3] == wanted:
        return volume
    if preparation["aspect"] == "stretch":
        return resized(volume, wanted)
    if preparation["aspect"] == "fit":
        factor = min(there / here for there, here in zip(wanted, volume.shape, strict=False))
        volume = resized(volume, [max(1, round(side * factor)) for side in volume.shape[:3]])
    return framed(volume, wanted)


def resized(volume: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """[*sides, C]: linear interpolation; when shrinking the filter is as wide as a new voxel."""
    values = volume.astype(np.float32)
    for axis, side in enumerate(sides):
        if side != values.shape[axis]:
            values = np.moveaxis(np.tensordot(_weights(values.shape[axis], side), values, (1, axis)), 0, axis)
    return _stored(values, volume.dtype)


def framed(volume: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """[*sides, C]: cut about the middle, or filled up with black, axis by axis."""
    for axis, side in enumerate(sides):
        spare = volume.shape[axis] - side
        if spare > 0:
            volume = np.take(volume, np.arange(spare // 2, spare // 2 + side), axis)
    around = [
        ((side - here) // 2, side - here - (side - here) // 2)
        for side, here in zip(sides, volume.shape, strict=False)
    ]
    # Black as of images: 0 of unsigned dtypes, of others (Hounsfield units) the smallest value.
    black = 0 if volume.dtype.kind == "u" else volume.min()
    return np.pad(volume, (*around, (0, 0)), constant_values=black)


def _weights(old: int, new: int) -> np.ndarray:
    """[new, old] float32: a triangle about the middle of each new voxel, as Pillow resizes images."""
    scale = old / new
    middles = (np.arange(new) + 0.5) * scale - 0.5
    found = np.maximum(0.0, 1.0 - np.abs(middles[:, None] - np.arange(old)) / max(1.0, scale))
    return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)


def _stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Real values in a stored dtype, whole ones rounded within its range."""
    if dtype.kind == "f":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.rint(values), info.min, info.max).astype(dtype)
