"""What the readers hand to the decoder: a way to get each case's pixels, and what identifies them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import volumes
from nachos_jax.data.volumes import VolumeFile

if TYPE_CHECKING:  # which those who decode do without
    from nachos_jax.data.columns import Columns

ReadCase = Callable[[int], np.ndarray]
"""Row number from 0 -> pixels [H, W, C], or [D, H, W, C] of a volume."""
MOST_PIXELS = 178_956_970
"""Of one image; Pillow takes more for an attack."""
MOST_VALUES = 1 << 31
"""Of one volume; more cannot be meant, and is refused before memory is taken."""


@dataclass(frozen=True)
class Pixels:
    """The pixels of N cases, not yet read.

    Attributes:
        count: N.
        where: row number -> the case as people find it, for messages.
        open: returns the function that reads one case; called only if the cache does not serve.
        files: files that the pixels come from; () switches the cache off.
        keys: which parts of the files, e.g. array names.
    """

    count: int
    where: Callable[[int], str]
    open: Callable[[], ReadCase]
    files: tuple[Path, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """All that a reader found.

    Attributes:
        columns: what is known of the cases.
        pixels: how to read their images.
        fault: what is wrong with the files of a table, to be told with what is wrong with its columns.
        notes: what was left out and why, one sentence each.
        volumes: the files of cases with depth, in their order; () of images and arrays.
        doubts: see `nachos_jax.data.table.Cohort`.
    """

    columns: Columns
    pixels: Pixels
    fault: UsageError | None = None
    notes: tuple[str, ...] = ()
    volumes: tuple[VolumeFile, ...] = ()
    doubts: tuple[str, ...] = ()


def check_size(height: int, width: int, path: Path) -> None:
    """Refuses an image that claims more pixels than any image for a network has.

    Raises:
        UsageError: likewise.
    """
    if height * width > MOST_PIXELS:
        raise UsageError(
            f"{path} claims {height} x {width} pixels (height x width), {height * width / 1e6:,.0f} million, "
            f"and at most {MOST_PIXELS / 1e6:,.0f} million are read: scale it down, or cut out what matters."
        )


def chosen_frame(frame: int, count: int, path: str | Path, what: str) -> int:
    """The frame of a file, or the page, that config.data.frame chooses.

    Args:
        frame: counted from 0; -1 for files with one.
        count: how many the file has.
        path: the file.
        what: "frame" or "page".

    Raises:
        UsageError: several and none chosen, or one that the file does not have.
    """
    if count > 1 and frame < 0:
        raise UsageError(
            f"{path} has {count} {what}s, and one is read a case: choose it by config.data.frame (0 is the "
            f"first), or save the {what}s wanted as files of their own."
        )
    if frame >= count:
        raise UsageError(
            f"{path} has {count} {what}(s), and config.data.frame = {frame} is counted from 0: choose one "
            "that every file has."
        )
    return max(frame, 0)


def check_volume(count: int, first: np.ndarray, where: str) -> None:
    """Refuses a volume that claims more values than any volume for a network has.

    Args:
        count: slices.
        first: one of them, [H, W, C].
        where: the volume, for messages.

    Raises:
        UsageError: likewise.
    """
    if count * first.size > MOST_VALUES:
        raise UsageError(
            f"{where} claims {count} slices of {first.shape[0]} x {first.shape[1]} pixels, "
            f"{count * first.size:,} values; at most {MOST_VALUES:,} are read: scale it down, or cut out "
            "what matters."
        )


def check_numbers(dtype: np.dtype, what: str) -> None:
    """Refuses an array of anything but numbers or booleans.

    Raises:
        UsageError: it holds something else.
    """
    if dtype.kind not in "biuf":
        raise UsageError(f"{what} holds values of type {dtype}; store images as numbers, best uint8.")


def check_stack(shape: tuple[int, ...], dtype: np.dtype, what: str, volume: str = "") -> None:
    """Refuses arrays that are no stack of images, or of volumes.

    Args:
        shape: (N, H, W), (N, H, W, 1) or (N, H, W, 3); of volumes see `nachos_jax.data.volumes`.
        dtype: whole or real numbers, or booleans.
        what: the array, for messages.
        volume: config.data.volume.

    Raises:
        UsageError: another number of axes or channels, no pixels, or another kind of values.
    """
    check_numbers(dtype, what)
    if volume:
        volumes.check_stack(shape, what)
    else:
        _check_images(shape, what)
    if shape[0] and 0 in shape[1:]:
        raise UsageError(f"{what} has shape {shape}: images of size zero; store images with pixels.")


def with_channels(stack: np.ndarray, volume: str = "") -> np.ndarray:
    """[N, H, W, C] or [N, D, H, W, C] of a stack that has passed `check_stack`."""
    return stack[..., None] if stack.ndim == (4 if volume else 3) else stack


def _check_images(shape: tuple[int, ...], what: str) -> None:
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise UsageError(
            f"{what} has shape {shape}, channels first; store it as (N, H, W, {shape[1]}), e.g. with "
            "numpy.moveaxis(images, 1, -1)."
        )
    if len(shape) == 4 and shape[3] == 4:
        raise UsageError(f"{what} has shape {shape}, four channels; drop the alpha channel: images[..., :3].")
    if len(shape) > 4 or (len(shape) == 4 and shape[3] not in (1, 3)):
        raise UsageError(
            f"{what} has shape {shape}, a stack of volumes: set config.data.volume = 'whole', or 'middle', "
            "'mean' or 'max' for an image of each (from Python: nachos_jax.ArrayCases(..., volume='whole'))."
        )
    if len(shape) < 3:
        raise UsageError(
            f"{what} has shape {shape}; images are stored as (N, H, W) or (N, H, W, 3). Vectors (N, D) are "
            "read by config.data.source = 'vectors' (--config=vectors)."
        )


def narrowed(images: np.ndarray) -> np.ndarray:
    """The same values in a stored dtype: uint8, uint16, int16, float16 or float32.

    Whole numbers take the narrowest of the first three that holds all of them, else float32.
    """
    images = np.asarray(images, images.dtype.newbyteorder("="))
    if images.dtype in (np.uint8, np.uint16, np.int16, np.float16, np.float32):
        return images
    if images.dtype.kind == "f":
        with np.errstate(over="ignore"):  # too large becomes inf, which the decoder refuses by name
            return images.astype(np.float32)
    low, high = (int(images.min()), int(images.max())) if images.size else (0, 0)
    for dtype in (np.uint8, np.uint16, np.int16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return images.astype(dtype)
    return images.astype(np.float32)


def sixteen_bits(image: np.ndarray) -> np.ndarray:
    """Whole values as int16 or uint16 where they fit, else float32.

    Never as 8 bits, so that a dark image keeps the depth of its neighbours.
    """
    for dtype in (np.int16, np.uint16):
        if np.iinfo(dtype).min <= image.min() and image.max() <= np.iinfo(dtype).max:
            return image.astype(dtype)
    return image.astype(np.float32)
