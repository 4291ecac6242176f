"""Decoded images with their masks on disk, by the content of their files: decoded once, then mapped.

Three arrays of `nachos_jax.data.cache` under one key, each whole or not there: the voxels of all cases one
after another, their labels, and shapes, spacings, axis codes and bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache as once
from functools import partial
from pathlib import Path

import numpy as np

from nachos_jax.data import cache
from nachos_jax.data.decode import Allocate, Images
from nachos_jax.data.masks import Pair

VERSION = 4
"""Raised whenever reading or checking of pairs changes, so that no cache of an older rule is used."""
PARTS = ("voxels", "labels", "grids")


def kept(files: Sequence[Sequence[Path]], place: Path, read: Callable[[], list[Pair]]) -> list[Pair]:
    """The pairs of N cases as `read` gives them, from the cache where it holds them.

    Args:
        files: of each case, images and mask.
        place: the cache folder.
        read: decodes and checks all pairs; all have one dtype and number of axes and channels.

    Returns:
        The pairs, their arrays mapped into memory.

    Raises:
        UsageError: the cache folder cannot be written to, or whatever `read` raises.
    """
    paths = [path for of in files for path in of]
    kinds = ["".join(path.suffixes[-2:]).lower() for path in paths]
    try:
        name = cache.key(paths, kinds, {"pairs": VERSION, "files": [len(of) for of in files]})
    except OSError:  # whoever reads them says which, and what is wrong
        return read()
    decoded = once(read)
    voxels, labels, grids = (
        cache.decoded(place, f"{name}-{part}", partial(_filled, part, decoded)).images for part in PARTS
    )
    return _pairs(voxels, labels, grids)


def _filled(part: str, read: Callable[[], list[Pair]], allocate: Allocate) -> Images:
    """One of PARTS, filled into the array that the cache gives."""
    pairs = read()
    rows = [_rows(part, pair) for pair in pairs]
    room = allocate((sum(map(len, rows)), *rows[0].shape[1:]), rows[0].dtype)
    np.concatenate(rows, out=room)
    return Images(room)


def _rows(part: str, pair: Pair) -> np.ndarray:
    """Voxels [V, C], labels [V], or [1, 3 * axes + 1] sides, spacing, axis codes as numbers of characters,
    NaN where the file does not say, and whether it has 8 bits.
    """
    if part == "voxels":
        return pair.image.reshape(-1, pair.image.shape[-1])
    if part == "labels":
        return pair.mask.reshape(-1)
    unknown = (np.nan,) * pair.mask.ndim
    codes = map(ord, pair.codes) if pair.codes else unknown
    grid = (*pair.mask.shape, *(pair.spacing or unknown), *codes, pair.eight_bit)
    return np.asarray([grid], np.float64)


def _pairs(voxels: np.ndarray, labels: np.ndarray, grids: np.ndarray) -> list[Pair]:
    found, start, axes = [], 0, grids.shape[1] // 3
    for grid in grids.tolist():
        sides, spacing = [int(side) for side in grid[:axes]], tuple(grid[axes : 2 * axes])
        here = slice(start, start + int(np.prod(sides)))
        known = None if np.isnan(spacing[0]) else spacing
        codes = "".join(chr(int(number)) for number in grid[2 * axes : 3 * axes] if not np.isnan(number))
        image, mask = voxels[here].reshape(*sides, -1), labels[here].reshape(sides)
        found.append(Pair(image, mask, known, codes, bool(grid[-1])))
        start = here.stop
    return found
