"""Cohorts of arrays in memory, with the checks of the sources on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import beside, cache, census, checks, features, masks, volumes
from nachos_jax.data.columns import Columns, case_table, check_cases, target_texts, texts
from nachos_jax.data.pixels import Pixels, check_stack, narrowed, with_channels
from nachos_jax.data.store import Dense
from nachos_jax.data.table import CaseTable, Cohort, identity
from nachos_jax.data.targets import TargetReader, Targets

Column = Sequence | np.ndarray


@dataclass(frozen=True)
class ArrayCases:
    """N cases given from Python.

    Attributes:
        images: [N, H, W] or [N, H, W, C], C 1 or 3, whole or real numbers; or vectors [N, D]; of cases with
            masks N arrays [H, W, C] or [D, H, W, C] of any size, the channels may be left out.
        targets: N class names or numbers; of a task with several, [N, labels], NaN where one is not known; of
            masks N arrays of whole numbers on the grids of the images, 0 the background.
        subjects: N names or numbers, or None if `one_case_per_subject`.
        sites: N names or numbers.
        folds: N numbers from 0.
        names: of the classes in the order wanted, or of the labels; () sorts them, or numbers them.
        one_case_per_subject: states that no subject has two cases.
        spacing: of cases with masks, N times mm of a voxel along each axis.
        volume: of volumes [N, D, H, W] or [N, D, H, W, C] without masks: "whole", or "middle", "mean" or
            "max" for an image of each, as config.data.volume.
        spellings: of subjects, sites and classes, as P01 and p01: "refuse", "join" or keep "apart".
        vectors: [N, D] numbers beside the images, such as ages or radiomics; None where there are none.
        features: names of the D columns of vectors; () numbers them.
        impute: of vectors, what stands for NaN: "mean" or "median" of each fit's training cases, "" refuses.
    """

    images: np.ndarray | Sequence[np.ndarray]
    targets: Column | Sequence[np.ndarray]
    subjects: Column | None = None
    sites: Column | None = None
    folds: Column | None = None
    names: Column = ()
    one_case_per_subject: bool = False
    spellings: str = "refuse"
    features: Column = ()
    impute: str = ""
    spacing: Sequence[Sequence[float]] | None = None
    volume: str = ""
    vectors: np.ndarray | None = None


def cohort(cases: ArrayCases, reader: TargetReader, like: Mapping[str, Any] | None = None) -> Cohort:
    """The cohort of arrays.

    Args:
        cases: the arrays.
        reader: the task, which reads its targets.
        like: preparation of other cases that these are read like, as external ones are; None of cases that
            decide it themselves.

    Raises:
        UsageError: what the tables and images have wrong, with row (counted from 0) and cure.
    """
    if reader.masks:
        if cases.vectors is not None:
            raise UsageError("vectors beside images are for cases without masks: leave them out.")
        return _with_masks(cases, reader, like or {})
    images = np.asarray(cases.images)
    vectors, named = images.ndim == 2, tuple(cases.features)
    if not vectors:
        if cases.volume not in ("", *volumes.WAYS):
            ways = ", ".join(map(repr, volumes.WAYS))
            raise UsageError(f"volume = {cases.volume!r}: must be '' or one of {ways}.")
        check_stack(images.shape, images.dtype, "images", cases.volume)
    columns = _columns(cases, len(images))
    check_cases(columns)
    targets, table = checks.together(
        lambda: reader.targets(columns, tuple(cases.names)),
        lambda: case_table(columns, cases.one_case_per_subject),
    )
    if vectors and cases.vectors is not None:
        raise UsageError("vectors stand beside images, and the images are vectors [N, D]: join the columns.")
    if vectors:
        return features.given(table, targets, images, named, cases.impute, like)
    if (named or cases.impute) and cases.vectors is None:
        raise UsageError(f"features and impute belong to vectors [N, D], and the images are {images.shape}.")
    stack = with_channels(narrowed(images), cases.volume)
    wanted = {"height": 0, "width": 0, "channels": 0, "aspect": "stretch"}
    wanted |= {"volume": cases.volume, "depth": 0} if cases.volume else {}
    pixels = Pixels(len(stack), columns.where, lambda: stack.__getitem__)
    further = None
    if cases.vectors is not None:
        given = np.asarray(cases.vectors)
        further = beside.given(given, len(stack), named, cases.impute, like)
    found = cohort_of(table, targets, cache.in_memory(pixels, wanted), wanted)
    return further.joined(found) if further else found


def _with_masks(cases: ArrayCases, reader: TargetReader, like: Mapping[str, Any]) -> Cohort:
    count = len(cases.images)
    for what, given in (("masks", cases.targets), ("spacings", cases.spacing)):
        if given is not None and len(given) != count:
            raise UsageError(f"{what}: {len(given)} of them for {count} images; give one an image.")

    sides = [np.shape(mask) for mask in cases.targets]
    doubts = ()
    if count and cases.spacing is None and all(len(of) == 3 and of[-1] == 1 for of in sides):
        doubts = (
            f"masks have shape {sides[0]}, as gray images with an axis of channels have, and as volumes one "
            "voxel wide. Of images give mask[..., 0], without that axis; of volumes give their spacing.",
        )

    def pair(row: int) -> masks.Pair:
        image, mask = np.asarray(cases.images[row]), np.asarray(cases.targets[row])
        image = image[..., None] if image.ndim == mask.ndim else image
        return masks.Pair(image, mask, None if cases.spacing is None else tuple(cases.spacing[row]))

    columns = _who(cases, count)
    rules = masks.Rules(tuple(cases.names), cases.one_case_per_subject, cases.spellings, like=like)
    return masks.cohort(masks.MaskSource(columns, columns.where, lambda: pair, doubts=doubts), rules, reader)


def _columns(cases: ArrayCases, count: int) -> Columns:
    labels = _array(cases.targets, "label", count)
    return replace(
        _who(cases, count),
        targets=target_texts(labels, "label", tuple(cases.names), "the arrays"),
        numeric=labels.dtype.kind in "biuf",
    )


def _array(values: Any, what: str, count: int) -> np.ndarray:
    found = np.asarray(values)
    if len(found) != count:
        raise UsageError(f"{what}s: {len(found)} of them for {count} images; give one an image.")
    return found


def _who(cases: ArrayCases, count: int) -> Columns:
    """Who the cases are; without targets."""

    def where(row: int) -> str:
        return f"row {row} (counted from 0)"

    def column(values: Column | None, what: str) -> list[str] | None:
        return None if values is None else texts(_array(values, what, count), what, where, "the arrays")

    return Columns(
        source="the arrays",
        names=[f"row-{row:06d}" for row in range(count)],
        targets={},
        where=where,
        subject_cure="pass them as `subjects`",
        subjects=column(cases.subjects, "subject"),
        sites=column(cases.sites, "site"),
        folds=column(cases.folds, "fold"),
        spellings=cases.spellings,
    )


def cohort_of(
    table: CaseTable,
    targets: Targets,
    pixels: cache.Decoded,
    wanted: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Cohort:
    """Puts a cohort of images together; `wanted` is the preparation that the config asked for."""
    *depth, height, width, channels = pixels.images.shape[1:]
    of_volumes = {name: wanted[name] for name in ("volume", "spacing") if name in wanted}
    preparation = {
        **of_volumes,
        **({"depth": depth[0]} if depth else {}),
        "height": height,
        "width": width,
        "channels": channels,
        "aspect": wanted["aspect"],
        "dtype": str(pixels.images.dtype),
        "resized": bool(wanted["height"]),
        "convert_channels": bool(wanted["channels"]),
        **{
            name: wanted[name]
            for name in ("interpolation", "facing", "clahe", "voi", "frame")
            if name in wanted
        },
    }
    told = (census.sizes(pixels.sizes), *notes)
    known = identity(table, targets, {"pixels": pixels.sha256})
    return Cohort(table, targets, Dense(pixels.images), preparation, known, told, doubts=targets.doubts)
