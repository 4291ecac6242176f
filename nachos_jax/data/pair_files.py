"""An image and its mask from files: NIfTI, or PNG, TIFF, JPEG and DICOM for images of two dimensions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import nifti
from nachos_jax.data.image_files import read_image
from nachos_jax.data.masks import Pair

_APART = 1e-3
"""mm that image and mask may lie apart, of headers written by different programs."""


def read_pair(images: Sequence[Path], mask: Path) -> Pair:
    """Reads the channels of a case, one file each or several in one, and its mask.

    Raises:
        UsageError: a file that cannot be read, channels of different shapes, or an image and a mask that lie
            in different places.
    """
    values, frame = _mask(mask)
    image, frames = _joined(images)
    for path, own in zip(images, frames, strict=True):
        _same_place(path, own, mask, frame)
    return Pair(image, values, *_lying(frames[0]))


def read_alone(images: Sequence[Path]) -> Pair:
    """Reads the channels of a case without reference: zeros stand for its mask.

    Raises:
        UsageError: a file that cannot be read, or channels of different shapes or places.
    """
    image, frames = _joined(images)
    for path, own in zip(images, frames, strict=True):
        _same_place(images[0], frames[0], path, own)
    nothing = np.zeros(image.shape[:-1], np.uint8)
    return Pair(image, nothing, *_lying(frames[0]))


def _lying(frame: nifti.Nifti | None) -> tuple[Sequence[float] | None, str]:
    """Spacing and axis codes of a pair."""
    return (None, "") if frame is None else (frame.spacing, frame.codes)


def _joined(images: Sequence[Path]) -> tuple[np.ndarray, tuple[nifti.Nifti | None, ...]]:
    """[*space, C] of the channels of a case, and the files they come from if these know where they lie."""
    channels, frames = zip(*map(_channels, images), strict=True)
    for path, one in zip(images, channels, strict=True):
        if one.shape[:-1] != channels[0].shape[:-1]:
            raise UsageError(
                f"{path} has shape {one.shape[:-1]} and {images[0]} {channels[0].shape[:-1]}: bring the "
                "channels of a case onto one grid."
            )
    dtype = np.result_type(*(one.dtype for one in channels))
    return np.concatenate([one.astype(dtype) for one in channels], axis=-1), frames


def _channels(path: Path) -> tuple[np.ndarray, nifti.Nifti | None]:
    """[*space, C], and the file it comes from if that knows where it lies."""
    if not nifti.is_nifti(path):
        return read_image(path), None
    found = nifti.read(path)
    return (found.values if found.values.ndim == 4 else found.values[..., None]), found


def _mask(path: Path) -> tuple[np.ndarray, nifti.Nifti | None]:
    """[*space]."""
    values, found = _channels(path)
    if values.shape[-1] != 1 and (values != values[..., :1]).any():
        raise UsageError(
            f"{path} has {values.shape[-1]} channels that differ; write masks as whole numbers in one "
            "channel, 0 for the background."
        )
    return values[..., 0], found


def _same_place(path: Path, own: nifti.Nifti | None, mask: Path, other: nifti.Nifti | None) -> None:
    if own is None or other is None or own.values.shape[:3] != other.values.shape[:3]:
        return  # other shapes are told by who compares them
    # All eight: axes of one length that are exchanged leave two opposite corners where they are.
    ends = itertools.product(*((0, side - 1) for side in own.values.shape[:3]))
    corners = np.array([(*end, 1) for end in ends], float)
    apart = np.abs(corners @ (own.affine - other.affine).T).max()
    if apart > _APART * max(1.0, *own.spacing):
        raise UsageError(
            f"{mask} lies {apart:.3g} mm away from {path} by their headers: resample it onto the "
            "image, or mend the header."
        )
