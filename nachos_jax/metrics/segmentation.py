"""Overlap and surface distance of one case's masks, 2-D or 3-D: never pooled over the voxels of many cases.

Take the mean over the cases of a subject first, then over subjects (Maier-Hein, Reinke et al., 2024,
"Metrics reloaded", Nature Methods 21). An undefined distance is None with the reason: leaving such
cases out of a mean flatters a model that misses structures, so always give their number beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.metrics.value import Value

BOTH_EMPTY = "1 by convention: neither reference nor prediction holds a voxel"


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between the surfaces of two masks that are both not empty, in units of the spacing.

    Attributes:
        from_reference: [S] float64, from each surface voxel of the reference to the prediction's surface.
        from_predicted: [P] float64, from each surface voxel of the prediction to the reference's surface.
    """

    from_reference: np.ndarray
    from_predicted: np.ndarray


@dataclass(frozen=True)
class MaskValues:
    """One class of one case.

    Attributes:
        reference: number of voxels of the class in the reference.
        predicted: number of voxels predicted to be of it.
        dice: see `dice`.
        iou: see `iou`.
        hausdorff95: see `hausdorff`, percentile 95, in units of the spacing.
        surface_dice: see `normalised_surface_distance`.
    """

    reference: int
    predicted: int
    dice: Value
    iou: Value
    hausdorff95: Value
    surface_dice: Value


def dice(reference: np.ndarray, predicted: np.ndarray) -> Value:
    """Dice similarity 2 |A and B| / (|A| + |B|), 0 to 1 (Dice, 1945, Ecology 26).

    Both masks empty: 1 by convention, as Metrics Reloaded's code has it, with a note; one empty: 0,
    with a note. Not for small structures, where a voxel more or less decides, nor where shape matters.

    Args:
        reference: [H, W] or [H, W, D] bool.
        predicted: the same shape, bool.

    Raises:
        ValueError: shapes differ or are neither 2-D nor 3-D.
    """
    both, a, b = _overlap(reference, predicted)
    return _ratio(2 * both, a + b, a, b)


def iou(reference: np.ndarray, predicted: np.ndarray) -> Value:
    """Intersection over union |A and B| / |A or B|, 0 to 1 (Jaccard, 1912, New Phytologist 11).

    A monotone function of Dice, iou = dice / (2 - dice): it adds nothing beside it. Empty masks are
    dealt with as in `dice`.

    Args:
        reference: [H, W] or [H, W, D] bool.
        predicted: the same shape, bool.

    Raises:
        ValueError: shapes differ or are neither 2-D nor 3-D.
    """
    both, a, b = _overlap(reference, predicted)
    return _ratio(both, a + b - both, a, b)


def surface_distances(
    reference: np.ndarray, predicted: np.ndarray, spacing: Sequence[float]
) -> SurfaceDistances | None:
    """Euclidean distances between the surface voxels of two masks, both ways; None when one is empty.

    A surface voxel is one of the mask with a neighbour across a face that is not, or that lies outside
    the image: the surface of scipy's binary erosion, as in MONAI and Metrics Reloaded. Distances run
    between voxel centres, so they are right to about one voxel.

    Args:
        reference: [H, W] or [H, W, D] bool.
        predicted: the same shape, bool.
        spacing: distance of neighbouring voxels along each axis, e.g. in mm.

    Raises:
        ValueError: shapes differ or are neither 2-D nor 3-D, or the spacing is no positive number an axis.
    """
    from scipy import ndimage

    reference, predicted = _masks(reference, predicted)
    step = np.asarray(spacing, np.float64)
    if step.shape != (reference.ndim,) or not (np.isfinite(step) & (step > 0)).all():
        raise ValueError(f"spacing {tuple(spacing)}: {reference.ndim} positive numbers expected")
    if not reference.any() or not predicted.any():
        return None
    # Both surfaces lie in the box around both masks, and what is cut away is background on all sides.
    box = ndimage.find_objects((reference | predicted).astype(np.int8))[0]
    reference, predicted = reference[box], predicted[box]
    of_reference = reference & ~np.asarray(ndimage.binary_erosion(reference), bool)
    of_predicted = predicted & ~np.asarray(ndimage.binary_erosion(predicted), bool)
    to_reference = np.asarray(ndimage.distance_transform_edt(~of_reference, sampling=step))
    to_predicted = np.asarray(ndimage.distance_transform_edt(~of_predicted, sampling=step))
    return SurfaceDistances(to_predicted[of_reference], to_reference[of_predicted])


def hausdorff(
    reference: np.ndarray,
    predicted: np.ndarray,
    spacing: Sequence[float],
    percentile: float = 95.0,
    pooled: bool = False,
) -> Value:
    """Percentile of the symmetric surface distances, in units of the spacing; 0 is best.

    By default the larger of the two directions' percentiles, max(P(reference to prediction),
    P(prediction to reference)), as MONAI and Metrics Reloaded define it (Huttenlocher, Klanderman and
    Rucklidge, 1993, IEEE PAMI 15). `pooled` takes the percentile of the union of both directions'
    distances instead, as MedPy does; it is mostly smaller, so never compare results of the two.
    Percentile 100 is the Hausdorff distance, the same either way. An empty mask leaves it undefined.

    Args:
        reference: [H, W] or [H, W, D] bool.
        predicted: the same shape, bool.
        spacing: distance of neighbouring voxels along each axis, e.g. in mm.
        percentile: 0 to 100, linear between neighbours.
        pooled: one percentile of both directions' distances together.

    Raises:
        ValueError: shapes differ or are neither 2-D nor 3-D, a wrong spacing or percentile.
    """
    distances = surface_distances(reference, predicted, spacing)
    if distances is None:
        return Value(None, _empty(bool(np.any(reference)), bool(np.any(predicted))))
    return Value(_percentile(distances, percentile, pooled))


def normalised_surface_distance(
    reference: np.ndarray, predicted: np.ndarray, spacing: Sequence[float], tolerance: float
) -> Value:
    """Normalised surface distance, or surface Dice: share of both surfaces within a tolerance; 1 is best.

    (surface voxels of either mask whose distance to the other's surface is at most the tolerance) /
    (surface voxels of both): Nikolov et al. (2021), Journal of Medical Internet Research 23. They weigh
    a voxel by its area of surface; as MONAI and Metrics Reloaded, this counts voxels, which differs when the
    spacing is uneven. The tolerance should be what two experts differ by. One mask empty: 0 with a note;
    both: undefined.

    Args:
        reference: [H, W] or [H, W, D] bool.
        predicted: the same shape, bool.
        spacing: distance of neighbouring voxels along each axis, e.g. in mm.
        tolerance: in units of the spacing, not negative.

    Raises:
        ValueError: shapes differ or are neither 2-D nor 3-D, a wrong spacing or tolerance.
    """
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance {tolerance}: must be finite and not negative")
    distances = surface_distances(reference, predicted, spacing)
    return _within(distances, tolerance, bool(np.any(reference)), bool(np.any(predicted)))


def per_class(
    reference: np.ndarray,
    predicted: np.ndarray,
    classes: Mapping[int, str],
    spacing: Sequence[float],
    tolerance: float,
) -> dict[str, MaskValues]:
    """All values of every class of one case, by class name.

    Args:
        reference: [H, W] or [H, W, D] int class numbers.
        predicted: the same shape, int class numbers.
        classes: number and name of the classes to look at; leave the background out.
        spacing: distance of neighbouring voxels along each axis, e.g. in mm.
        tolerance: of the normalised surface distance, in units of the spacing.

    Raises:
        ValueError: shapes differ or are neither 2-D nor 3-D, a wrong spacing or tolerance.
    """
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance {tolerance}: must be finite and not negative")
    values = {}
    for number, name in classes.items():
        a, b = np.asarray(reference) == number, np.asarray(predicted) == number
        distances, there = surface_distances(a, b, spacing), (bool(a.any()), bool(b.any()))
        far = Value(_percentile(distances, 95.0, False)) if distances else Value(None, _empty(*there))
        near = _within(distances, tolerance, *there)
        values[name] = MaskValues(int(a.sum()), int(b.sum()), dice(a, b), iou(a, b), far, near)
    return values


def _masks(reference: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    reference, predicted = np.asarray(reference, bool), np.asarray(predicted, bool)
    if reference.shape != predicted.shape or reference.ndim not in (2, 3):
        raise ValueError(f"masks {reference.shape} and {predicted.shape}: one 2-D or 3-D shape expected")
    return reference, predicted


def _overlap(reference: np.ndarray, predicted: np.ndarray) -> tuple[int, int, int]:
    reference, predicted = _masks(reference, predicted)
    return int((reference & predicted).sum()), int(reference.sum()), int(predicted.sum())


def _ratio(part: int, whole: int, in_reference: int, in_predicted: int) -> Value:
    if whole == 0:
        return Value(1.0, BOTH_EMPTY)
    one_empty = not in_reference or not in_predicted
    return Value(part / whole, _empty(in_reference > 0, in_predicted > 0) if one_empty else "")


def _empty(in_reference: bool, in_predicted: bool) -> str:
    if in_reference:
        return "empty prediction"
    return "empty reference" if in_predicted else "empty reference and prediction"


def _percentile(distances: SurfaceDistances, percentile: float, pooled: bool) -> float:
    both = (distances.from_reference, distances.from_predicted)
    if pooled:
        return float(np.percentile(np.concatenate(both), percentile))
    return max(float(np.percentile(one, percentile)) for one in both)


def _within(
    distances: SurfaceDistances | None, tolerance: float, in_reference: bool, in_predicted: bool
) -> Value:
    if distances is None:
        return Value(0.0 if in_reference or in_predicted else None, _empty(in_reference, in_predicted))
    both = np.concatenate([distances.from_reference, distances.from_predicted])
    # 3 * 0.1 is above 0.3 in floating point; no voxel should fall out of the tolerance for that.
    return Value(float(np.mean(both <= tolerance * (1 + 1e-9))))
