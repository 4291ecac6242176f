"""Near duplicates: one picture saved twice, with noise, another contrast, or a little cut off its edges.

Every picture is compared with every other by the correlation of its details, also with windows of the other
that leave out up to an eighth of a side; pairs that come close are aligned finer. Correlations of all pairs
are products of matrices, so no perceptual hash has to choose candidates: on radiographs, which all look
alike, a hash of 64 bits lets too many pairs through.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nachos_jax.audit.grays import SIDE, bins

BINS, BLOCK = 32, 1000
"""Bins of a side in the first comparison; pictures that are compared with all others at once."""
CANDIDATE, CLOSE = 0.76, 0.84
"""Correlation of details from which a pair is aligned, then aligned finer."""
NEAR, LIKELY, AHEAD, EQUAL = 0.9, 0.85, 0.05, 0.97
"""It is told from NEAR on; from LIKELY on if either picture has no other match within AHEAD that is not its
equal: what is alike by being of one kind is like many."""
WINDOWS = ((1.0, 1), (0.95, 3), (0.9, 3))
"""Sides of the windows, as shares of the picture's, and the places along an axis of each."""
FINE = 0.02
HARD = 3.0
"""Times the median detail, beyond which a detail is cut."""
LEAST_SIDE = 48
"""Pixels of the shorter side below which different pictures look too much alike."""


@dataclass(frozen=True)
class Window:
    """A part of a picture: side and upper left corner, as shares of the picture's side."""

    side: float
    top: float
    left: float

    def of(self, pictures: np.ndarray, count: int) -> np.ndarray:
        """[n, count^2] of pictures [n, SIDE, SIDE]: means of its parts, without mean, length 1."""
        rows, columns = (bins(SIDE, start, self.side, count) for start in (self.top, self.left))
        across = np.tensordot(pictures, columns, (2, 1))
        values = np.tensordot(across, rows, (1, 1)).reshape(len(pictures), -1)
        values = values - values.mean(axis=1, keepdims=True)
        length = np.linalg.norm(values, axis=1, keepdims=True)
        return values / np.where(length > 1e-3, length, np.inf)


WHOLE = Window(1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Pairs:
    """P pairs of pictures, the most alike first.

    Attributes:
        rows: [P, 2] int, the lower first.
        likeness: [P] correlation of details after alignment.
    """

    rows: np.ndarray
    likeness: np.ndarray


def pairs(pictures: np.ndarray) -> Pairs:
    """All pairs that are likely one picture; equal ones among them.

    Args:
        pictures: [N, SIDE, SIDE] float32 gray values.
    """
    details = _details(pictures)
    windows = list(_windows())
    found = [_candidates(details, window) for window in windows]
    rows = np.concatenate([rows for rows, _ in found])
    which = np.repeat(np.arange(len(found)), [len(rows) for rows, _ in found])
    coarse = np.concatenate([likeness for _, likeness in found])
    best = _best(rows, coarse)
    rows, which = rows[best], which[best]
    likeness, near = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.int64)
    for number, window in enumerate(windows):
        members = np.flatnonzero(which == number)
        for part in np.array_split(members, -(-len(members) // BLOCK)) if len(members) else ():
            likeness[part], near[part] = _aligned(details, rows[part], window)
    for pair in np.flatnonzero(likeness >= CLOSE).tolist():
        start = list(_around(windows[which[pair]], FINE))[near[pair]]
        likeness[pair] = _refined(details[rows[pair][0]], details[rows[pair][1]], start)
    order = np.argsort(-likeness, kind="stable")
    order = order[_told(rows, likeness, len(pictures))[order]]
    return Pairs(np.sort(rows[order], axis=1), likeness[order])


def _told(rows: np.ndarray, likeness: np.ndarray, count: int) -> np.ndarray:
    """[P] whether a pair is likely one picture: by its likeness, or by being far ahead of its rivals."""
    best, second = np.zeros((2, count), np.float32)
    rivals = likeness < EQUAL
    for picture, value in zip(rows[rivals].ravel(), np.repeat(likeness[rivals], 2), strict=True):
        second[picture] = max(second[picture], min(best[picture], value))
        best[picture] = max(best[picture], value)
    ahead = (likeness[:, None] - second[rows]).min(axis=1)
    foremost = (likeness[:, None] >= best[rows]).all(axis=1)
    return (likeness >= NEAR) | ((likeness >= LIKELY) & foremost & (ahead >= AHEAD))


def _details(pictures: np.ndarray) -> np.ndarray:
    """What is larger than a pixel and smaller than a twentieth of a side; hard edges, as of bars, are cut."""
    from scipy import ndimage  # late: slow to import

    fine, blurred = (ndimage.gaussian_filter(pictures, (0, sigma, sigma)) for sigma in (1.0, 3.0))
    details = fine - blurred
    usual = np.median(np.abs(details), axis=(1, 2), keepdims=True)
    return np.clip(details, -HARD * usual, HARD * usual)


def _windows() -> Iterator[Window]:
    for side, places in WINDOWS:
        starts = np.linspace(0, 1 - side, places)
        for top, left in itertools.product(starts, starts):
            yield Window(side, float(top), float(left))


def _candidates(details: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Pairs [p, 2] whose second picture is like the window of the first, and how much [p]."""
    inside, whole = window.of(details, BINS), WHOLE.of(details, BINS)
    rows, likeness = [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)]
    for start in range(0, len(details), BLOCK):
        alike = inside[start : start + BLOCK] @ whole.T
        first, second = np.nonzero(alike >= CANDIDATE)
        apart = first + start != second
        rows.append(np.stack([first[apart] + start, second[apart]], axis=1))
        likeness.append(alike[first[apart], second[apart]])
    return np.concatenate(rows), np.concatenate(likeness)


def _best(rows: np.ndarray, likeness: np.ndarray) -> np.ndarray:
    """Numbers of the candidates, the best of each pair of pictures whichever comes first."""
    low, high = np.sort(rows, axis=1).T
    order = np.lexsort((-likeness, high, low))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)
    return order[first]


def _aligned(details: np.ndarray, rows: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """[p] the best correlation of the second with windows around this one of the first, and whose [p]."""
    first, whole = details[rows[:, 0]], WHOLE.of(details[rows[:, 1]], BINS)
    alike = [np.einsum("ij,ij->i", near.of(first, BINS), whole) for near in _around(window, FINE)]
    return np.max(alike, axis=0), np.argmax(alike, axis=0)


def _around(window: Window, step: float) -> Iterator[Window]:
    """Windows that are a step wider, narrower, higher, lower, to the left or right, or several of these."""
    for wider, lower, righter in itertools.product((0.0, -step, step), repeat=3):
        side = min(window.side + wider, 1.0)
        starts = (min(max(start, 0.0), 1 - side) for start in (window.top + lower, window.left + righter))
        yield Window(side, *starts)


def _refined(first: np.ndarray, second: np.ndarray, window: Window) -> float:
    """The correlation of the second picture [SIDE, SIDE] with the best window of the first."""
    whole, best = WHOLE.of(second[None], SIDE)[0], 0.0
    for step in (FINE / 2, FINE / 4):
        around = list(_around(window, step))
        alike = [float(near.of(first[None], SIDE)[0] @ whole) for near in around]
        window, best = around[int(np.argmax(alike))], max(best, *alike)
    return best
