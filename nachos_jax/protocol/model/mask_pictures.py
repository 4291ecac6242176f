"""The picture of a mask: slices of the image with the outlines of the reference and of what was predicted."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

SIDE = 240
"""Pixels of the longer side of a panel, about."""
_GAP, _PAPER = 8, 255
_REFERENCE, _PREDICTED = (255, 255, 255), (255, 140, 0)
_DOT = 3
"""Pixels of a dot of the predicted outline, and of the gap after it."""


def picture(
    image: np.ndarray, reference: np.ndarray, predicted: np.ndarray, spacing: Sequence[float]
) -> bytes:
    """Draws a slice through a volume along each axis, or the one slice that there is.

    Slices are those that hold most of the reference, else of the prediction. The outline of every class of
    the reference is a white line with a black rim, that of the prediction dotted, so that they are told apart
    without colour.

    Args:
        image: [D, H, W, C]; the first channel is shown, its 0.5th percentile black and its 99.5th white.
        reference: [D, H, W] uint8.
        predicted: [D, H, W] uint8.
        spacing: mm along each axis, by which panels are stretched.

    Returns:
        The PNG file.
    """
    values = image[..., 0].astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    gray = np.round(255 * np.clip((values - low) / max(float(high - low), 1e-6), 0.0, 1.0)).astype(np.uint8)
    marked = reference if reference.any() else predicted
    panels = []
    for axis in range(3) if image.shape[0] > 1 else (0,):
        place = _fullest(marked, axis)
        slices = [np.take(part, place, axis) for part in (gray, reference, predicted)]
        panels.append(_panel(slices, [step for other, step in enumerate(spacing) if other != axis]))
    return _side_by_side(panels)


def _fullest(mask: np.ndarray, axis: int) -> int:
    """The slice with most voxels of any class; the middle one of an empty mask."""
    counts = np.count_nonzero(mask, axis=tuple(other for other in range(3) if other != axis))
    return int(counts.argmax()) if counts.any() else mask.shape[axis] // 2


def _panel(slices: Sequence[np.ndarray], steps: Sequence[float]) -> np.ndarray:
    """[height, width, 3] uint8 of slices of image, reference and prediction, [h, w] each."""
    sizes = [side * step for side, step in zip(slices[0].shape, steps, strict=True)]
    factor = SIDE / max(sizes)
    shape = [max(1, round(size * factor)) for size in sizes]
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape, slices[0].shape, strict=True))
    large = [part[rows[:, None], columns[None, :]] for part in slices]
    panel = np.repeat(large[0][..., None], 3, axis=2)
    inner, outer = _outlines(large[1])
    panel[outer], panel[inner] = 0, _REFERENCE
    inner, _ = _outlines(large[2])
    dots = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) // _DOT % 2 == 0
    panel[inner & dots] = _PREDICTED
    return panel


def _outlines(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of every class at its border, and those around them."""
    from scipy import ndimage

    inner, outer = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
    for number in np.unique(mask[mask > 0]).tolist():
        inside = mask == number
        inner |= inside & ~np.asarray(ndimage.binary_erosion(inside), bool)
        outer |= np.asarray(ndimage.binary_dilation(inside), bool) & ~inside
    return inner, outer & ~inner


def _side_by_side(panels: Sequence[np.ndarray]) -> bytes:
    high = max(len(panel) for panel in panels) + 2 * _GAP
    wide = sum(panel.shape[1] + _GAP for panel in panels) + _GAP
    whole, left = np.full((high, wide, 3), _PAPER, np.uint8), _GAP
    for panel in panels:
        whole[_GAP : _GAP + len(panel), left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _GAP
    file = io.BytesIO()
    Image.fromarray(whole).save(file, "PNG", optimize=True)
    return file.getvalue()
