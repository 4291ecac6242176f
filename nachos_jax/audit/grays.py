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
        top: [N] share of the values that are the highest of the dtype, or of the cohort where it has none.
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
    numbers, side = np.empty((3, count)), 0 if flat else min(store.shape[-3:-1])
    highest = np.iinfo(store.dtype).max if store.dtype.kind in "iu" else np.inf
    letters, step = np.full(count, -1), -(-count // burnt.MOST)
    for row in range(count):
        values = np.asarray(store.one(row), np.float32)
        numbers[:, row] = np.nanmean(values), np.nanstd(values), np.mean(values >= highest)
        if pictures is not None:
            gray = middle(values).mean(axis=-1)
            side = min(side, *gray.shape)
            if row % step == 0 and min(gray.shape) >= burnt.LEAST_SIDE:
                letters[row] = burnt.characters(gray)
            pictures[row] = bins(gray.shape[0], 0.0, 1.0, SIDE) @ gray @ bins(gray.shape[1], 0.0, 1.0, SIDE).T
    mean, spread, top = numbers
    return Looks(pictures, side, mean, spread, top, letters)


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
