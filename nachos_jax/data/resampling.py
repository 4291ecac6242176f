"""Volumes of one spacing: the spacing, the way there, and the way back for masks. NumPy and SciPy alone.

The rules are nnU-Net's (Isensee et al. 2021): images by cubic splines within their own range, masks linearly,
class by class; across slices that are more than APART times as thick as their pixels the nearest slice.
Grids share their outer borders, so middles of voxels lie at (i + 1/2) / sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nachos_jax.data.ragged import Origin, Volume

APART = 3.0
"""Spacing of one axis over that of the others beyond which nothing is interpolated along it."""
Spacing = tuple[float, float, float]
"""mm of a voxel along each axis."""
Sides = tuple[int, int, int]
"""Voxels along each axis."""


def common(spacing: np.ndarray, sides: np.ndarray, how: str) -> Spacing:
    """The spacing that cases are brought to, from their headers alone.

    Args:
        spacing: [N, 3] mm.
        sides: [N, 3] voxels.
        how: "mean", or "median", where an axis that is more than APART times as coarse and as short as the
            others takes its percentile 10, at least the coarsest of the others.
    """
    if how == "mean":
        return _three(spacing.mean(axis=0))
    found = np.median(spacing, axis=0)
    size = np.median(sides * spacing / found, axis=0)
    worst = int(np.argmax(found))
    others = [axis for axis in range(3) if axis != worst]
    if found[worst] > APART * found[others].max() and size[worst] * APART < size[others].min():
        found[worst] = max(np.percentile(spacing[:, worst], 10), found[others].max())
    return _three(found)


def resampled(volume: Volume, spacing: Spacing) -> Volume:
    """The case at a spacing, image and mask in their dtypes."""
    sides = sides_at(volume.labels.shape, volume.spacing, spacing)
    apart = _apart(volume.spacing, spacing)
    if sides == volume.labels.shape:
        return volume._replace(spacing=spacing)
    channels = [
        _within(_resized(part.astype(np.float32), sides, 3, apart), part)
        for part in np.moveaxis(volume.image, -1, 0)
    ]
    return Volume(np.stack(channels, axis=-1), _mask(volume.labels, sides, apart), spacing)


def origin(sources: Sequence[Volume], volumes: Sequence[Volume], classes: int) -> Origin:
    """What `volumes` came with, the `sources` that they were resampled from; K classes."""
    pairs = zip(sources, volumes, strict=True)
    found = np.concatenate([votes(source.labels, there.labels.shape, classes) for source, there in pairs])
    spacing = np.asarray([source.spacing for source in sources], np.float32)
    fitting = found.astype(np.min_scalar_type(int(found.max())))
    return Origin(tuple(source.labels for source in sources), spacing, fitting)


def restored(
    mask: np.ndarray, sides: Sequence[int], spacing: Sequence[float], own: Sequence[float]
) -> np.ndarray:
    """A mask, or probabilities, of a case that was `resampled`, on the grid that it came from.

    Args:
        mask: [D, H, W] uint8; or [D, H, W, K + 1] float32 probabilities, the background first.
        sides: of the grid that the case came from.
        spacing: that the case was resampled to.
        own: that of the grid it came from.

    Returns:
        The mask there, uint8.
    """
    depth, height, width = sides
    there, apart = (depth, height, width), _apart(own, spacing)
    if mask.ndim == 3:
        return mask if mask.shape == there else _mask(mask, there, apart)
    parts = [_resized(np.asarray(part, np.float32), there, 1, apart) for part in np.moveaxis(mask, -1, 0)]
    return np.argmax(np.stack(parts), axis=0).astype(np.uint8)


def votes(labels: np.ndarray, sides: Sequence[int], classes: int) -> np.ndarray:
    """How many voxels of each class of a mask lie nearest to each voxel of another grid.

    A class that the other grid gives one of its voxels is right for so many voxels of the mask, and wrong for
    the rest: counts on the mask's own grid, without going there.

    Args:
        labels: [D, H, W] the mask.
        sides: of the other grid.
        classes: K, without the background.

    Returns:
        [voxels of the other grid, K + 1] int64.
    """
    lines = [_nearest(many, side) for many, side in zip(labels.shape, sides, strict=True)]
    flat = (lines[0][:, None, None] * sides[1] + lines[1][:, None]) * sides[2] + lines[2]
    voxels, many = int(np.prod(sides)), classes + 1
    return np.bincount((flat * many + labels).reshape(-1), minlength=voxels * many).reshape(voxels, many)


def sides_at(sides: Sequence[int], own: Sequence[float], spacing: Sequence[float]) -> Sides:
    """Voxels that cover a volume of these sides, whose own spacing is given, at another one."""
    depth, height, width = (
        max(1, round(side * step / there)) for side, step, there in zip(sides, own, spacing, strict=True)
    )
    return depth, height, width


def _apart(*spacings: Sequence[float]) -> int | None:
    """The one axis of the first of some spacings with thick slices; None if none has a single such axis."""
    for spacing in spacings:
        coarsest = max(spacing)
        thick = [axis for axis in range(3) if spacing[axis] == coarsest]
        if coarsest > APART * min(spacing):
            return thick[0] if len(thick) == 1 else None
    return None


def _resized(values: np.ndarray, sides: Sides, order: int, apart: int | None) -> np.ndarray:
    """[D, H, W] float32 interpolated to other sides, along the axis `apart` by the nearest slice."""
    from scipy import ndimage

    if apart is not None:
        values = np.take(values, _nearest(sides[apart], values.shape[apart]), axis=apart)
    if values.shape == sides:
        return values
    factors = [there / here for there, here in zip(sides, values.shape, strict=True)]
    return np.asarray(ndimage.zoom(values, factors, order=order, mode="nearest", grid_mode=True))


def _mask(labels: np.ndarray, sides: Sides, apart: int | None) -> np.ndarray:
    """The mask on other sides: in each voxel the class with the largest share, the lower one of equals."""
    known = np.unique(labels)
    shares = [_resized((labels == number).astype(np.float32), sides, 1, apart) for number in known]
    return known[np.argmax(np.stack(shares), axis=0)].astype(np.uint8)


def _within(values: np.ndarray, part: np.ndarray) -> np.ndarray:
    """The values in the dtype and the range of a channel: splines overshoot at edges."""
    held = np.clip(values, part.min(), part.max())
    return (np.rint(held) if part.dtype.kind in "iu" else held).astype(part.dtype)


def _nearest(many: int, side: int) -> np.ndarray:
    """[many] int64: the voxel of a grid of so many voxels, `side`, nearest to each of another grid."""
    return ((2 * np.arange(many) + 1) * side) // (2 * many)


def _three(values: np.ndarray) -> Spacing:
    first, second, third = (float(value) for value in values)
    return first, second, third
