"""The part of an image that is not background, found in each image alone."""

from __future__ import annotations

from typing import Any

import numpy as np

MARGIN = 0.05
"""Of the sides of the box, kept around it."""
SPECK = 1e-3
"""Share of the image below which a bright part is a speck: dust, a marker's edge, noise."""
LEVELS = 256


def foreground_box(image: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the box around all that is not background, with a margin.

    Background is dark and touches the border: pixels at most half-way from the darkest value to Otsu's
    threshold (Otsu 1979) that are connected to the border through such pixels. What it encloses stays,
    however dark. The whole image is taken where nothing, or nothing but specks, remains.

    Args:
        image: [H, W, C], finite.
    """
    gray = image.astype(np.float32).mean(axis=2)
    darkest = float(gray.min())
    dark = gray <= darkest + (otsu(gray) - darkest) / 2
    parts, _ = _labelled(dark, 1)
    border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    kept, count = _labelled(~(dark & np.isin(parts, border)), 2)
    sizes = np.bincount(kept.ravel(), minlength=count + 1)
    sizes[0] = 0
    inside = (sizes >= SPECK * gray.size)[kept]
    return _side(inside.any(axis=1)), _side(inside.any(axis=0))


def otsu(gray: np.ndarray) -> float:
    """The threshold with the largest variance between two classes, of 256 levels (Otsu 1979, equation 12)."""
    counts, edges = np.histogram(gray.astype(np.float64), LEVELS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, moment = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    parted = np.flatnonzero((below > 0) & (above > 0))
    if not len(parted):
        return float(gray.max())
    below, above, part = below[parted], above[parted], moment[parted]
    between = below * above * (part / below - (moment[-1] - part) / above) ** 2
    best = parted[between >= between.max() * (1 - 1e-9)]
    return float(centres[best].mean())  # an empty stretch of levels is cut in its middle


def _labelled(mask: np.ndarray, neighbours: int) -> tuple[np.ndarray, int]:
    """Connected parts by number and how many; neighbours: 1 of the sides, 2 of the corners too."""
    from scipy import ndimage

    found: Any = ndimage.label(mask, ndimage.generate_binary_structure(2, neighbours))
    return found


def _side(inside: np.ndarray) -> slice:
    places = np.flatnonzero(inside)
    if not len(places):
        return slice(0, len(inside))
    start, stop = int(places[0]), int(places[-1]) + 1
    margin = round(MARGIN * (stop - start))
    return slice(max(0, start - margin), min(len(inside), stop + margin))
