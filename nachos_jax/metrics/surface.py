"""Distances between the surfaces of two masks in mm: Hausdorff at 95 % and normalised surface distance.

Surfaces as in DeepMind's surface-distance (Nikolov et al. 2021): a surface is the set of points where 2^rank
voxels meet of which some are inside, some outside, each with the length or area of the border there
(`surface_elements`); beyond the image all is outside. Distances go from every point of one surface to the
nearest point of the other.

Empty masks: both empty agree (HD95 0 mm, NSD 1); one empty is as bad as can be (NSD 0; HD95 the diagonal of
the image, where surface-distance says infinity), so that every case has a number and means are over all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from nachos_jax.metrics import surface_elements
from nachos_jax.metrics.contract import NOT_NEGATIVE, SHARE, Metric

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("hd95", "Hausdorff distance at 95 % (mm)", False, NOT_NEGATIVE, in_unit=True),
        Metric("nsd", "Normalised surface distance", True, SHARE),
    )
}
"""Metrics of a case, in the order of the last axis of `of_classes`."""


class Distances(NamedTuple):
    """From one surface to the other, point by point, the nearest first."""

    mm: np.ndarray  # [points] float64; infinite where the other surface is empty
    weights: np.ndarray  # [points] float64, mm or mm^2 of the surface

    def percentile(self, percent: float) -> float:
        """The distance, in mm, that this share of the surface does not exceed."""
        up_to = np.cumsum(self.weights) / np.sum(self.weights)
        return float(self.mm[min(np.searchsorted(up_to, percent / 100), len(self.mm) - 1)])


def of_classes(
    reference: np.ndarray, predicted: np.ndarray, classes: int, spacing: Sequence[float], tolerance: float
) -> np.ndarray:
    """Both metrics of every class of a case.

    Args:
        reference: [*space] of two or three axes, classes as integers, 0 the background.
        predicted: [*space], the same.
        classes: K, with the background.
        spacing: [rank] mm of a voxel.
        tolerance: mm that NSD forgives.

    Returns:
        [K - 1, 2] float64: HD95 in mm, NSD.

    Raises:
        ValueError: masks of different shapes, or a spacing that does not fit.
    """
    masks = [(reference == number, predicted == number) for number in range(1, classes)]
    found = [between(*pair, spacing) for pair in masks]
    worst = float(np.linalg.norm(np.multiply(reference.shape, spacing)))
    return np.array([[min(hd95(*pair), worst), nsd(*pair, tolerance)] for pair in found]).reshape(-1, 2)


def between(
    reference: np.ndarray, predicted: np.ndarray, spacing: Sequence[float]
) -> tuple[Distances, Distances]:
    """Distances from the surface of the reference to that of the prediction, and back.

    Args:
        reference: [*space] bool, two or three axes.
        predicted: [*space] bool.
        spacing: [rank] mm of a voxel.

    Raises:
        ValueError: masks of different shapes, or a spacing that does not fit.
    """
    if reference.shape != predicted.shape or len(spacing) != reference.ndim or reference.ndim not in (2, 3):
        raise ValueError(
            f"masks {reference.shape} and {predicted.shape} with spacing {tuple(spacing)}: "
            "two of one shape with a spacing for each of two or three axes expected"
        )
    box = _box(reference | predicted)
    codes = [_codes(mask[box]) for mask in (reference, predicted)]
    table = surface_elements.weights(tuple(map(float, spacing)))
    borders = [(code > 0) & (code < len(table) - 1) for code in codes]
    away = [_distance_to(border, spacing) for border in borders]
    return (
        _sorted(away[1][borders[0]], table[codes[0][borders[0]]]),
        _sorted(away[0][borders[1]], table[codes[1][borders[1]]]),
    )


def hd95(forth: Distances, back: Distances) -> float:
    """The larger of the directed distances at 95 % of the surface, in mm; 0 if both are empty, inf if one."""
    there = [len(way.mm) > 0 for way in (forth, back)]
    if not all(there):
        return float("inf") if any(there) else 0.0
    return max(forth.percentile(95), back.percentile(95))


def nsd(forth: Distances, back: Distances, tolerance: float) -> float:
    """The share of both surfaces no further than the tolerance in mm from the other; 1 if both are empty."""
    whole = sum(way.weights.sum() for way in (forth, back))
    near = sum(way.weights[way.mm <= tolerance].sum() for way in (forth, back))
    return float(near / whole) if whole else 1.0


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds a mask; all of it if it is empty."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    return found[0] if found else (slice(None),) * mask.ndim


def _codes(mask: np.ndarray) -> np.ndarray:
    """[space + 1] of every point where voxels meet: its code, see `surface_elements`."""
    padded = np.pad(mask, 1)
    codes = np.zeros(np.add(mask.shape, 1), np.int64)
    for corner in np.ndindex((2,) * mask.ndim):
        part = tuple(slice(first, first + n) for first, n in zip(corner, codes.shape, strict=True))
        codes = 2 * codes + padded[part]
    return codes


def _distance_to(border: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    if not border.any():
        return np.full(border.shape, np.inf)
    found: Any = ndimage.distance_transform_edt(~border, sampling=spacing)
    return found


def _sorted(mm: np.ndarray, weights: np.ndarray) -> Distances:
    order = np.argsort(mm, kind="stable")
    return Distances(mm[order], weights[order])
