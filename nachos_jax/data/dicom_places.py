"""Where slices and frames lie in the patient, and in which order and distance that puts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data.dicom_values import groups

TURNED = 1e-3
"""Direction cosines of parallel planes differ less; they are written with few digits."""
UNEVEN, ROUNDED = 0.05, 0.11
"""Part of a step, and mm of rounding to one digit, by which distances may differ."""


@dataclass(frozen=True, eq=False)
class Place:
    """Of one slice.

    Attributes:
        orientation: [6] cosines of the row and the column.
        position: [3] mm of the first voxel.
        pixel: mm between rows and between columns, or None.
    """

    orientation: np.ndarray
    position: np.ndarray
    pixel: tuple[float, float] | None


def axis_codes(header: Any) -> str:
    """Axis codes of the volume of such slices, of oblique ones the nearest; "" where the header says none.

    They are those of `nachos_jax.data.orientation`, along the normal, the column and the row.
    """
    cosines = _numbers(header, "ImageOrientationPatient", 6)
    if cosines is None:
        return ""
    row, column = cosines[:3], cosines[3:]
    ways = np.stack([np.cross(row, column), column, row])
    axes = np.abs(ways).argmax(axis=1)
    if len(set(axes.tolist())) < 3:
        return ""
    return "".join(("RL", "AP", "IS")[axis][int(way[axis] > 0)] for axis, way in zip(axes, ways, strict=True))


def of_slice(header: Any, path: Path) -> Place:
    """What a single image says (DICOM part 3, C.7.6.2).

    Raises:
        UsageError: it does not say where it lies.
    """
    return _place(header, header, header, str(path))


def of_frames(dataset: Any, path: Path, count: int) -> list[Place] | None:
    """Where each frame lies; None of frames that do not say.

    Raises:
        UsageError: some say it and some do not, or not in numbers.
    """
    offsets = dataset.get("GridFrameOffsetVector")
    if offsets is not None and dataset.get("ImagePositionPatient"):
        return _of_grid(dataset, path, count, offsets)
    found = []
    for frame in range(count):
        planes = groups(dataset, frame, "PlanePositionSequence")
        turned = groups(dataset, frame, "PlaneOrientationSequence")
        measures = groups(dataset, frame, "PixelMeasuresSequence")
        if planes and turned:
            name = f"{path}, frame {frame} (counted from 0)"
            found.append(_place(planes[-1], turned[-1], (measures or [dataset])[-1], name))
    if found and len(found) < count:
        raise UsageError(
            f"{path}: {len(found)} of {count} frames say where they lie; export it again, or save the frames "
            "wanted as files of their own."
        )
    return found or None


def _of_grid(dataset: Any, path: Path, count: int, offsets: Any) -> list[Place]:
    """Frames of a dose, whose planes lie at offsets along the normal (part 3, C.8.8.3.2)."""
    first = of_slice(dataset, path)
    try:
        steps = np.atleast_1d(np.asarray(offsets, np.float64))
    except (TypeError, ValueError):
        steps = np.empty(0)
    if len(steps) != count:
        raise UsageError(f"{path} has {count} frames and {len(steps)} offsets of them; export it again.")
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    return [
        Place(first.orientation, first.position + normal * (step - steps[0]), first.pixel) for step in steps
    ]


def _place(position: Any, orientation: Any, measures: Any, name: str) -> Place:
    cosines = _numbers(orientation, "ImageOrientationPatient", 6)
    corner = _numbers(position, "ImagePositionPatient", 3)
    if cosines is None or corner is None:
        raise UsageError(
            f"{name} does not say where it lies (ImagePositionPatient, ImageOrientationPatient): no volume "
            "can be put together; use its images one by one, or a series that says it."
        )
    row, column = cosines[:3], cosines[3:]
    sizes = np.array([row @ row, column @ column, row @ column])
    if np.abs(sizes - (1, 1, 0)).max() > 0.01:
        raise UsageError(
            f"{name}: its ImageOrientationPatient {cosines.tolist()} is no pair of directions at right "
            "angles; export it again, or mend the header."
        )
    pixel = _numbers(measures, "PixelSpacing", 2)
    known = pixel is not None and (pixel > 0).all()
    return Place(cosines, corner, (float(pixel[0]), float(pixel[1])) if known and pixel is not None else None)


def _numbers(place: Any, name: str, count: int) -> np.ndarray | None:
    try:
        values = np.asarray(place.get(name), np.float64)
    except (TypeError, ValueError):
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None


def sorted_evenly(places: Sequence[Place], names: Sequence[str]) -> tuple[list[int], float]:
    """The order along the normal of the planes, and the distance of neighbours.

    Args:
        places: of at least two slices.
        names: of the slices, for messages.

    Returns:
        Rows in ascending order, and mm.

    Raises:
        UsageError: planes that are not parallel, two at one place, or distances that are not even.
    """
    turned = [np.abs(place.orientation - places[0].orientation).max() > TURNED for place in places]
    if any(turned):
        raise UsageError(
            f"{names[0]} and {names[turned.index(True)]} have different orientations "
            "(ImageOrientationPatient): they are no slices of one volume; take other planes (localisers) out."
        )
    normal = np.cross(places[0].orientation[:3], places[0].orientation[3:])
    along = np.array([place.position @ normal for place in places])
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    step = float(np.median(gaps))
    told = [(names[order[row]], names[order[row + 1]]) for row in range(len(gaps))]
    twice = np.flatnonzero(gaps <= max(1e-3, 0.01 * step))
    if len(twice):
        raise UsageError(
            f"{told[twice[0]][0]} and {told[twice[0]][1]} lie at one place, as {len(twice)} pair(s) of "
            "slices do: they may be several echoes, times or reconstructions; give each a folder of its own."
        )
    allowed = max(UNEVEN * step, min(ROUNDED, step / 4))
    odd = np.flatnonzero(np.abs(gaps - step) > allowed)
    if len(odd):
        widest = odd[np.argmax(np.abs(gaps[odd] - step))]
        raise UsageError(
            f"{told[widest][0]} and {told[widest][1]} lie {gaps[widest]:.4g} mm apart, and slices of this "
            f"series {step:.4g} mm ({len(odd)} of {len(gaps)} distances differ): slices are missing, or "
            "unevenly spaced; add the missing files, or resample the series to even distances."
        )
    return [int(row) for row in order], float((along[order[-1]] - along[order[0]]) / len(gaps))
