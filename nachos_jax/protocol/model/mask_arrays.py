"""Masks of cases by a deployed model: of arrays, and of the inputs of `nachos predict`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import checks, masks, resampling
from nachos_jax.data.mask_inputs import MaskInput
from nachos_jax.data.masks import BINARY, Pair
from nachos_jax.data.ragged import Volume
from nachos_jax.data.resampling import Spacing
from nachos_jax.metrics import overlap
from nachos_jax.protocol.model import mask_facts
from nachos_jax.protocol.model.segmenter import Segmenter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Segmented:
    """A case with its mask.

    Attributes:
        case: what it is of.
        mask: [*space] uint8, on the grid that was given.
        voxels: [K] of each class.
        size: mm³ of a voxel (mm² of a pixel), None where the spacing is not known.
        dice: [K] against the reference, None without one.
    """

    case: MaskInput
    mask: np.ndarray
    voxels: np.ndarray
    size: float | None
    dice: np.ndarray | None


def segment(
    of: Segmenter, description: Mapping[str, Any], images: Any, mirror: bool, spacing: Sequence[float] | None
) -> Any:
    """See `nachos_jax.protocol.model.deployed.DeployedModel.segment`."""
    rank = len(description["preparation"]["axes"])
    if spacing is not None and (np.shape(spacing) != (rank,) or not all(step > 0 for step in spacing)):
        raise UsageError(
            f"spacing = {spacing!r}: give {rank} numbers above 0, mm of a voxel along each axis."
        )
    several = isinstance(images, (list, tuple))
    steps = None if spacing is None else tuple(map(float, spacing))
    found = _all(of.mirror(mirror), description, images if several else [images], steps)
    return found if several else found[0]


def sizes(description: Mapping[str, Any], cases: Sequence[MaskInput]) -> list[tuple[int, ...]]:
    """Sides (D, H, W) of all cases, each of which was read and found fit.

    Raises:
        UsageError: cases that the model cannot segment; the first ten are named.
    """
    found = checks.together(*(lambda case=case: _sides(description, case) for case in cases))
    _warn_of_axes(description["preparation"], cases, [codes for _, codes in found])
    return [sides for sides, _ in found]


def segmented(
    of: Segmenter, description: Mapping[str, Any], cases: Sequence[MaskInput], sides: Sequence[Sequence[int]]
) -> Iterator[Segmented]:
    """The masks of cases, one after another.

    Args:
        of: the networks.
        description: model.json.
        cases: what to segment.
        sides: see `sizes`.
    """
    canvas, classes = of.canvas(sides), len(description["classes"])
    for case in cases:
        volume, spaced, codes = _read(description, case)
        mask = _mask(of, description, volume, canvas)
        counts = overlap.voxels(volume.labels, mask, classes)
        yield Segmented(
            case=case,
            mask=np.ascontiguousarray(masks.as_given(mask, description["preparation"], codes)),
            voxels=counts[:, :2].sum(axis=1),
            size=float(np.prod(volume.spacing)) if spaced else None,
            dice=overlap.dice(counts) if case.reference else None,
        )


def _mask(
    of: Segmenter, description: Mapping[str, Any], volume: Volume, canvas: tuple[int, int, int]
) -> np.ndarray:
    """[D, H, W] uint8 on the grid of the case, which is brought to the spacing of training and back; of some
    classes the largest component alone, where the model was exported so.
    """
    spacing, kept = _spacing(description), mask_facts.largest(description)
    if spacing is None:
        return kept.of(of.mask(volume, canvas))
    found = of.mask(resampling.resampled(volume, spacing), canvas)
    return kept.of(resampling.restored(found, volume.labels.shape, spacing, volume.spacing))


def _warn_of_axes(preparation: Mapping[str, Any], cases: Sequence[MaskInput], codes: Sequence[str]) -> None:
    """Tells of files whose orientation cannot be compared with that of the training cases."""
    common = preparation.get("codes", "")
    odd = [
        case.where for case, own in zip(cases, codes, strict=True) if case.grid and bool(own) != bool(common)
    ]
    if odd and common:
        log.warning(
            "%s of %s cases do not say which way their axes point, like %s: taken as those of training, %s",
            *(f"{len(odd):,}", f"{len(cases):,}", odd[0], common),
        )
    elif odd:
        log.warning(
            "model.json does not say which way the axes of the training cases pointed (they were arrays, or "
            "an older version exported it): %s case(s), like %s, are taken as they are stored; if training "
            "files were stored otherwise, left and right or the axis of the slices are exchanged",
            *(f"{len(odd):,}", odd[0]),
        )


def _sides(description: Mapping[str, Any], case: MaskInput) -> tuple[tuple[int, ...], str]:
    """Sides of what the networks are given of a case, and its axis codes."""
    volume, spaced, codes = _read(description, case)
    spacing = _spacing(description)
    if spacing is None:
        return volume.labels.shape, codes
    if not spaced:
        raise UsageError(
            f"{case.where}: the model was trained on cases resampled to {list(spacing)} mm, and the spacing "
            "of this one is not known: give a NIfTI file, an npz file with spacings, or from Python spacing=."
        )
    return resampling.sides_at(volume.labels.shape, volume.spacing, spacing), codes


def _spacing(description: Mapping[str, Any]) -> Spacing | None:
    """mm that training cases were resampled to; None where they were left as they came."""
    found = description["preparation"].get("spacing")
    return None if found is None else (float(found[0]), float(found[1]), float(found[2]))


def _read(description: Mapping[str, Any], case: MaskInput) -> tuple[Volume, bool, str]:
    """The case as the networks take it, whether its spacing is known, and its axis codes."""
    pair, classes = case.read(), description["classes"]
    if len(classes) == 1 and set(np.unique(pair.mask).tolist()) <= {0, BINARY}:
        pair = replace(pair, mask=pair.mask == BINARY)
    volume = masks.unseen(pair, case.where, description["preparation"])
    given = np.asarray(pair.image).dtype
    wide = given.kind in "iu" and given.itemsize > 2
    if not (wide and volume.image.dtype == np.uint8):  # which dark ones are stored as, whatever their scale
        mask_facts.check_scale(description, volume.image.dtype, case.where)
    if volume.labels.max() > len(classes):
        raise UsageError(
            f"{case.where}: its reference mask holds label {volume.labels.max()}, and the model knows 0 "
            f"(background) to {len(classes)} ({classes[-1]}): mend the mask, or leave it out."
        )
    return volume, pair.spacing is not None, pair.codes


def _all(
    of: Segmenter, description: Mapping[str, Any], images: Sequence[Any], spacing: Sequence[float] | None
) -> list[Any]:
    if not images:
        return []
    cases = [
        MaskInput(
            str(row), f"images[{row}]", lambda image=image, row=row: _pair(description, image, row, spacing)
        )
        for row, image in enumerate(map(np.asarray, images))
    ]
    return [one.mask for one in segmented(of, description, cases, sizes(description, cases))]


def _pair(
    description: Mapping[str, Any], image: np.ndarray, row: int, spacing: Sequence[float] | None
) -> Pair:
    """The image [*space, C] with a mask of zeros."""
    rank, channels = len(description["preparation"]["axes"]), description["channels"]
    wanted = ("H, W", "D, H, W")[rank - 2]
    if image.dtype.kind not in "biuf":
        raise UsageError(f"images[{row}] holds values of type {image.dtype}; give numbers.")
    if image.ndim == rank and channels == 1:
        image = image[..., None]
    if image.ndim != rank + 1 or image.shape[-1] != channels:
        raise UsageError(
            f"images[{row}] has shape {image.shape}: this model takes [{wanted}, {channels}] a case; give "
            "several as a list."
        )
    return Pair(image, np.zeros(image.shape[:-1], np.uint8), spacing)
