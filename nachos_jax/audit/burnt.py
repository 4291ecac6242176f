"""Text that is burnt into pictures: a name, a marker of the ward, settings of the scanner.

Characters are small parts with thin strokes, of one brightness and height, side by side. Three in a row do
happen by chance in pictures of tissue; a picture is told from CHARACTERS of them on. Text lower than LOWEST
pixels is missed, text on a busy ground often, single letters always.
"""

from __future__ import annotations

import numpy as np

CHARACTERS = 4
"""Characters on lines of three or more from which a picture is told."""
LEAST_SIDE, MOST = 96, 2000
"""Pixels of the shorter side below which text cannot be read; pictures of a cohort that are looked at."""
LOWEST, HIGHEST, PART = 5, 40, 6
"""Pixels of a character's height; the picture is at least PART times as high."""
THRESHOLDS, STROKE = (0.3, 0.5, 0.7), 9
"""Contrasts of a stroke to its ground, as shares of the picture's range; pixels a stroke is thinner than."""


def characters(gray: np.ndarray) -> int:
    """Characters of the text in a picture [H, W], bright or dark; 0 where there is none."""
    from scipy import ndimage  # late: slow to import

    low, high = np.percentile(gray, (0.5, 99.9))
    if high <= low:
        return 0
    levels = np.clip((gray.astype(np.float32) - low) / (high - low), 0, 1)
    most = 0
    for shown in (levels, -levels):
        strokes = np.asarray(ndimage.white_tophat(shown, size=(STROKE, STROKE)))
        for threshold in THRESHOLDS:
            most = max(most, _on_lines(_boxes(strokes > threshold, levels)))
    return most


def _boxes(strokes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """[n, 5]: top, bottom, left, right and mean level of the parts that have the shape of a character."""
    from scipy import ndimage

    parts = np.empty(strokes.shape, np.int32)
    ndimage.label(strokes, output=parts)
    count = int(parts.max())
    if not count:
        return np.empty((0, 5))
    places = [(s.start, s.stop, t.start, t.stop) for s, t in ndimage.find_objects(parts)]
    boxes = np.asarray(places, float)
    level = ndimage.mean(levels, parts, np.arange(1, count + 1))
    height, width = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    filled = np.bincount(parts.ravel(), minlength=count + 1)[1:] / (height * width)
    shaped = (height >= LOWEST) & (height <= min(HIGHEST, len(levels) / PART))
    shaped &= (width >= 0.15 * height) & (width <= 1.5 * height) & (filled >= 0.2) & (filled <= 0.9)
    return np.column_stack([boxes, level])[shaped]


def _on_lines(boxes: np.ndarray) -> int:
    """How many boxes [n, 5] stand in a row of three or more."""
    left = boxes[np.argsort(boxes[:, 2], kind="stable")]
    free, found = np.ones(len(left), bool), 0
    for start in range(len(left)):
        row, last = 0, start if free[start] else -1
        while last >= 0:
            free[last], row = False, row + 1
            last = _next(left, free, left[last])
        found += row if row >= 3 else 0
    return found


def _next(boxes: np.ndarray, free: np.ndarray, box: np.ndarray) -> int:
    """The nearest free box to the right of one that goes on with its line; -1 if there is none."""
    height, gap = box[1] - box[0], boxes[:, 2] - box[3]
    fits = free & (gap >= -0.2 * height) & (gap <= 0.9 * height)
    fits &= np.abs(boxes[:, 1] - box[1]) <= 0.2 * height
    fits &= np.abs(np.log((boxes[:, 1] - boxes[:, 0]) / height)) <= np.log(1.43)
    fits &= np.abs(boxes[:, 4] - box[4]) <= 0.15
    return int(np.argmin(np.where(fits, gap, np.inf))) if fits.any() else -1
