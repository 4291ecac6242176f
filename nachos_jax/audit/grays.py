"""What an audit looks at of each input: a small gray picture, and a few numbers of its values."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from nachos_jax.audit import burnt
from nachos_jax.data.store import Store

SIDE = 64
"""Pixels of a side of the small pictures."""


@dataclass(frozen=True)
class Looks:
    """N inputs, looked at once.

    Attributes:
        pictures: [N, SIDE, SIDE] float32 gray, of volumes their middle slice; None of vectors.
        side: the shorter side of the smallest picture in pixels; 0 of vectors.
        mean: [N] mean value.
        spread: [N] standard deviation of the values.
        top: [N] share of the values that are the highest of the cohort, of 8 bits of the dtype.
        letters: [N] int characters of burnt-in text; -1 where none were looked for.
    """

    pictures: np.ndarray | None
    side: int
    mean: np.ndarray
    spread: np.ndarray
    top: np.ndarray
    letters: np.ndarray


def look(store: Store, count: int) -> Looks:
    """Looks at all inputs of a cohort, one after another."""
    flat = len(store.shape) == 1
    pictures = None if flat else np.empty((count, SIDE, SIDE), np.float32)
    numbers, side = np.empty((4, count)), 0 if flat else min(store.shape[-3:-1])
    letters, step = np.full(count, -1), -(-count // burnt.MOST)
    for row in range(count):
        values = np.asarray(store.one(row), np.float32)
        most = np.nanmax(values)
        numbers[:, row] = np.nanmean(values), np.nanstd(values), most, np.mean(values == most)
        if pictures is not None:
            gray = middle(values).mean(axis=-1)
            side = min(side, *gray.shape)
            if row % step == 0 and min(gray.shape) >= burnt.LEAST_SIDE:
                letters[row] = burnt.characters(gray)
            pictures[row] = bins(gray.shape[0], 0.0, 1.0, SIDE) @ gray @ bins(gray.shape[1], 0.0, 1.0, SIDE).T
    mean, spread, most, share = numbers
    # Of 12 bits in 16, or of real numbers, only the cohort tells where values were cut.
    highest = 255 if store.dtype == np.uint8 else np.max(most, initial=-np.inf)
    return Looks(pictures, side, mean, spread, np.where(most == highest, share, 0.0), letters)


def middle(values: np.ndarray) -> np.ndarray:
    """[H, W, C]: the image, or the middle slice of a volume [D, H, W, C]."""
    return values[len(values) // 2] if values.ndim == 4 else values


@functools.lru_cache(4096)
def bins(size: int, start: float, side: float, count: int) -> np.ndarray:
    """[count, size]: means over the parts of a window along an axis, as a matrix.

    Args:
        size: values along the axis.
        start: of the window, as a share of the axis.
        side: its length, likewise.
        count: equal parts of the window.
    """
    edges = np.clip(size * (start + side * np.linspace(0, 1, count + 1)), 0, size)
    before = np.clip(edges[:, None] - np.arange(size), 0, 1)
    return (np.diff(before, axis=0) * (count / (size * side))).astype(np.float32)
