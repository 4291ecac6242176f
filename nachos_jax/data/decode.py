"""All pixels of a cohort in one array: decoded by threads, prepared, and checked case by case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.checks import SHOWN
from nachos_jax.data.pixels import Pixels, ReadCase
from nachos_jax.data.preparation import prepare
from nachos_jax.runtime import cores

Allocate = Callable[[tuple[int, ...], np.dtype], np.ndarray]
"""Shape and dtype -> an array to fill, in memory or in a file."""
Progress = Callable[[int, int], None]
"""Called with (cases decoded, cases in all)."""

_MORE = "There may be more: decoding has stopped here."
BLOCK = 32
"""Cases a thread decodes before it reports: small enough for a smooth progress bar."""


def decode(
    pixels: Pixels, preparation: Mapping[str, Any], allocate: Allocate, progress: Progress | None = None
) -> tuple[np.ndarray, Counter[tuple[int, ...]]]:
    """Reads every case into one array.

    The first case that can be read fixes shape and dtype. Where a later one of 16 or more bits does not fit
    that dtype, all start again as float32; 8-bit images are never mixed with others, because their values
    mean something else.

    Args:
        pixels: N cases, at least one.
        preparation: see `preparation.prepare`.
        allocate: gives the array to fill.
        progress: told how far it is.

    Returns:
        [N, H, W, C] or [N, D, H, W, C], and how many images had which shape as stored.

    Raises:
        UsageError: images that cannot be read, or that differ from the first in size, channels or
            bits; a pixel that is NaN or infinite. It names the first ten.
    """
    opened, shapes = pixels.open(), {}

    def read(row: int) -> np.ndarray:
        image = opened(row)
        shapes[row] = image.shape
        return image

    sample, first = _first(pixels, read, preparation)
    dtype: np.dtype | None = first.dtype
    images = np.empty(0)
    while dtype is not None:
        images = allocate((pixels.count, *first.shape), dtype)
        dtype = _fill(images, sample, pixels, read, preparation, progress)
    return images, Counter(shapes.values())


def _first(pixels: Pixels, read: ReadCase, preparation: Mapping[str, Any]) -> tuple[int, np.ndarray]:
    """The first case that can be read, prepared, with its row; those before are told with all others."""
    refused: list[str] = []
    for row in range(pixels.count):
        try:
            return row, _prepared(pixels, read, row, preparation)
        except UsageError as error:
            refused.append(str(error))
        if len(refused) == SHOWN:
            refused.append(_MORE)
            break
    raise UsageError("\n  ".join(refused))


def _fill(
    images: np.ndarray,
    sample: int,
    pixels: Pixels,
    read: ReadCase,
    preparation: Mapping[str, Any],
    progress: Progress | None,
) -> np.dtype | None:
    """Decodes all cases into `images`, which fit case `sample`; returns a wider dtype if a case needs it."""
    faults: list[str] = []

    def block(start: int) -> tuple[np.dtype | None, list[str]]:
        refused: list[str] = []
        for row in range(start, min(start + BLOCK, pixels.count)):
            try:
                image = _prepared(pixels, read, row, preparation)
                wider = _misfit(image, images, pixels, row, sample)
            except UsageError as error:
                refused.append(str(error))
                continue
            if wider is not None:
                return wider, refused
            images[row] = image
        return None, refused

    pool = ThreadPoolExecutor(min(16, cores.available()))
    try:
        # In order of the rows, so that the same data always gives the same complaint.
        for done, (wider, refused) in enumerate(pool.map(block, range(0, pixels.count, BLOCK)), 1):
            faults += refused
            if len(faults) >= SHOWN:
                faults[SHOWN:] = [_MORE]
                break
            if wider is not None and not faults:
                return wider
            if progress:
                progress(min(done * BLOCK, pixels.count), pixels.count)
    finally:
        pool.shutdown(cancel_futures=True)
    if faults:
        raise UsageError("\n  ".join(faults))
    return None


def _prepared(pixels: Pixels, read: ReadCase, row: int, preparation: Mapping[str, Any]) -> np.ndarray:
    try:
        image = read(row)
    except UsageError as error:
        where = pixels.where(row)
        raise error if where in str(error) else UsageError(f"{where}: {error}") from error
    finite(image, pixels.where(row))
    return prepare(image, preparation)


def finite(image: np.ndarray, where: str) -> None:
    """Raises UsageError naming the case when a pixel is NaN or infinite."""
    if image.dtype.kind == "f":
        bad = np.argwhere(~np.isfinite(image))
        if len(bad):
            *piece, row, column, _ = bad[0].tolist()
            at = "".join(f"slice {number}, " for number in piece)
            raise UsageError(
                f"{where}: {len(bad)} pixel(s) are NaN or infinite (the first at {at}row {row}, column "
                f"{column}); mend the image or drop the case."
            )


def _misfit(image: np.ndarray, images: np.ndarray, pixels: Pixels, row: int, sample: int) -> np.dtype | None:
    """None when the image fits, a wider dtype when that would help; raises when nothing helps."""
    where, first = pixels.where(row), pixels.where(sample)
    (*size, c), (*sides, channels) = image.shape, images.shape[1:]
    if c != channels:
        raise UsageError(
            f"{where} is {_colour(c)}, {first} is {_colour(channels)}; set config.data.channels = 1 (all "
            "gray) or 3 (all colour)."
        )
    if size != sides:
        own, other = ("x".join(map(str, lengths)) for lengths in (size, sides))
        deep = len(size) == 3
        what, order = ("voxels", "depth x height x width") if deep else ("pixels", "height x width")
        fields = "config.data.depth, " if deep else ""
        raise UsageError(
            f"{where} has {own} {what}, {first} has {other} ({order}); set {fields}config.data.height and "
            f"config.data.width to resize all {'volumes' if deep else 'images'} to one size."
        )
    if same_depth(image.dtype, images.dtype):
        return None if fits(image, images.dtype) else np.dtype(np.float32)
    raise UsageError(
        f"{where} is stored as {image.dtype}, {first} as {images.dtype}: their values are on other scales; "
        "convert all images to one bit depth."
    )


def same_depth(a: np.dtype, b: np.dtype) -> bool:
    """Whether both dtypes hold 8-bit images, or neither does."""
    return (a == np.uint8) == (b == np.uint8)


def fits(image: np.ndarray, dtype: np.dtype) -> bool:
    """Whether every value of the image can be stored as `dtype` without change."""
    if np.can_cast(image.dtype, dtype):
        return True
    if dtype.kind == "f" or image.dtype.kind == "f":
        return False
    return bool(np.iinfo(dtype).min <= image.min() and image.max() <= np.iinfo(dtype).max)


def _colour(channels: int) -> str:
    return {1: "gray", 3: "colour"}.get(channels, f"of {channels} channels")
