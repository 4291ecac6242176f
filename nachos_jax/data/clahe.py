"""Contrast-limited adaptive histogram equalisation of gray images (Zuiderveld 1994, Graphics Gems IV).

Each tile of an image has the mapping that would make its own histogram flat, but no bin may count more than
`limit` times the mean of all bins; what lies above is shared out evenly among bins that have room. A pixel's
value is interpolated between the mappings of the four tiles whose centres surround it.
"""

from __future__ import annotations

import numpy as np

from nachos_jax.core.errors import UsageError

TILES, SMALLEST, BINS = 8, 8, 256
"""Tiles along an axis, fewer where they would be smaller than so many pixels; bins between the darkest and
the brightest value of the image."""


def equalised(image: np.ndarray, limit: float) -> np.ndarray:
    """The image [..., H, W, 1] of the same dtype and range; of a volume each slice by itself.

    Args:
        image: of a stored dtype.
        limit: at least 1, in mean counts of a bin: 1 leaves the image as it is, to one bin.

    Raises:
        UsageError: the image is in colour.
    """
    if image.shape[-1] != 1:
        raise UsageError(
            f"config.data.clahe = {limit:g} takes gray images, and it has {image.shape[-1]} channels: set "
            "config.data.channels = 1, or config.data.clahe = 0."
        )
    slices = image.reshape(-1, *image.shape[-3:-1])
    return np.stack([_plane(one, limit) for one in slices]).reshape(image.shape)


def _plane(plane: np.ndarray, limit: float) -> np.ndarray:
    """[H, W] of the same dtype."""
    values = plane.astype(np.float64)
    low, high = values.min(), values.max()
    if low == high:
        return plane
    levels = np.rint((values - low) / (high - low) * (BINS - 1)).astype(np.int64)
    tiles = [max(1, min(TILES, side // SMALLEST)) for side in plane.shape]
    sides = [-(-side // count) for side, count in zip(plane.shape, tiles, strict=True)]
    found = _interpolated(levels, _mappings(levels, tiles, sides, limit), sides)
    mapped = low + found * (high - low)
    return (np.rint(mapped) if plane.dtype.kind in "iu" else mapped).astype(plane.dtype)


def _mappings(levels: np.ndarray, tiles: list[int], sides: list[int], limit: float) -> np.ndarray:
    """[rows, columns, BINS]: share of a tile's pixels up to each level, once its histogram is limited."""
    spare = [count * side - own for count, side, own in zip(tiles, sides, levels.shape, strict=True)]
    whole = np.pad(levels, [(0, rest) for rest in spare], mode="symmetric")
    parts = (
        whole.reshape(tiles[0], sides[0], tiles[1], sides[1]).swapaxes(1, 2).reshape(-1, sides[0] * sides[1])
    )
    counts = np.stack([np.bincount(part, minlength=BINS) for part in parts]).astype(np.float64)
    shared = _shared_out(counts, limit * parts.shape[1] / BINS)
    return (np.cumsum(shared, axis=1) / parts.shape[1]).reshape(*tiles, BINS)


def _shared_out(counts: np.ndarray, most: float) -> np.ndarray:
    """Histograms [n, BINS] of the same sums without a bin above `most`: equal amounts to those with room."""
    total, limited = counts.sum(axis=1, keepdims=True), np.minimum(counts, most)
    for _ in range(BINS):  # each pass fills a bin, or is the last
        left = total - limited.sum(axis=1, keepdims=True)
        room = limited < most
        if (left < 1e-6 * total).all() or not room.any():
            break
        share = left / np.maximum(room.sum(axis=1, keepdims=True), 1)
        limited = np.minimum(limited + np.where(room, share, 0), most)
    return limited


def _interpolated(levels: np.ndarray, mappings: np.ndarray, sides: list[int]) -> np.ndarray:
    """[H, W] float64 in [0, 1]: each level through the mappings around it."""
    axes = [_around(*numbers) for numbers in zip(levels.shape, sides, mappings.shape, strict=False)]
    (top, bottom, down), (left, right, across) = axes
    down, across = down[:, None], across[None]

    def of(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return mappings[row[:, None], column[None], levels]

    above = of(top, left) * (1 - across) + of(top, right) * across
    below = of(bottom, left) * (1 - across) + of(bottom, right) * across
    return above * (1 - down) + below * down


def _around(length: int, side: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pixel the tiles with centres before and behind it, and how far it is to the second, 0 to 1."""
    place = (np.arange(length) + 0.5) / side - 0.5
    first = np.floor(place).astype(np.int64)
    return np.clip(first, 0, count - 1), np.clip(first + 1, 0, count - 1), place - first
