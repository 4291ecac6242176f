"""Cohorts of images with masks: read, checked case by case, and put into a ragged store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import checks, decode, mask_names, orientation, resampling, spellings
from nachos_jax.data.columns import Columns, MaskCounts, case_table, check_cases
from nachos_jax.data.pixels import narrowed
from nachos_jax.data.ragged import Ragged, Volume, stored
from nachos_jax.data.table import Cohort, identity
from nachos_jax.data.targets import TargetReader

LABELS = 256
"""Labels that a mask can tell apart: uint8, with 0 for the background."""
BINARY = 255
"""What image programs write for 1 where a mask has one class."""
MM2, MM3 = "mm\N{SUPERSCRIPT TWO}", "mm\N{SUPERSCRIPT THREE}"


@dataclass(frozen=True)
class Pair:
    """An image with its mask as a file has them.

    Attributes:
        image: [*space, C], with two or three axes of space.
        mask: [*space] whole numbers, in any dtype.
        spacing: mm of a voxel along each axis of space; None where the file does not say.
        codes: which way the axes point, see `nachos_jax.data.orientation`; "" where the file does not say.
        eight_bit: whether the image came in 8 bits, whatever the dtype that it has now.
    """

    image: np.ndarray
    mask: np.ndarray
    spacing: Sequence[float] | None = None
    codes: str = ""
    eight_bit: bool = False


@dataclass(frozen=True)
class MaskSource:
    """All that a reader of masks found.

    Attributes:
        columns: what is known of the N cases; their `order` names the classes, the background in
            front where the source names it.
        where: row number -> the case as people find it, for messages.
        open: returns the function that reads the pair of a row.
        fault: what is wrong with the files of a table, to be told with what is wrong with its columns.
        notes: what was left out and why, one sentence each.
        files: of each case, its images and its mask; () where decoding them costs nothing worth keeping.
        doubts: see `nachos_jax.data.table.Cohort`.
    """

    columns: Columns
    where: Callable[[int], str]
    open: Callable[[], Callable[[int], Pair]]
    fault: UsageError | None = None
    notes: tuple[str, ...] = ()
    files: tuple[tuple[Path, ...], ...] = ()
    doubts: tuple[str, ...] = ()


Keep = Callable[[Callable[[], list[Pair]]], list[Pair]]
"""From a function that reads all pairs: what it gives, or what an earlier call of it gave."""


@dataclass(frozen=True)
class Rules:
    """What is asked of the case table.

    Attributes:
        classes: names of the classes 1, 2, ...; () takes those of the source, or the numbers.
        waived: every case is a subject of its own.
        spellings: config.data.spellings.
        spacing: config.data.spacing, "mean" or "median" of the headers' spacings; "" leaves the cases.
        external: sites whose cases have no say in spacing and order of the axes.
        like: preparation of other cases that decide both; {} where these do.
    """

    classes: tuple[str, ...] = ()
    waived: bool = False
    spellings: str = spellings.REFUSE
    spacing: str = ""
    external: tuple[str, ...] = ()
    like: Mapping[str, Any] = field(default_factory=dict)

    def deciding(self, columns: Columns) -> list[int]:
        """Rows of the cases that have a say; all of them where every site is external."""
        inside = np.flatnonzero(~columns.away(self.external)).tolist()
        return inside or list(range(len(columns.names)))


def cohort(
    source: MaskSource,
    rules: Rules,
    reader: TargetReader,
    progress: decode.Progress | None = None,
    keep: Keep = lambda read: read(),
) -> Cohort:
    """Reads and checks the cases of a source; `keep` may know them from before.

    Raises:
        UsageError: anything that the case table, the images or the masks have wrong, with row and cure.
    """
    columns = replace(source.columns, spellings=rules.spellings)
    check_cases(columns, source.notes)
    table, pairs = checks.together(
        lambda: case_table(columns, rules.waived), lambda: keep(lambda: _pairs(source, progress))
    )
    pairs, notes = _numbered(pairs)
    deciding = rules.deciding(columns)
    pairs, pointing, turned = _oriented(pairs, deciding, rules.like, columns)
    axes = tuple(rules.like.get("axes") or _axes([pairs[row] for row in deciding]))
    _same_axes(pairs[0], axes, columns)
    volumes = [_turned(pair, axes) for pair in pairs]
    columns = replace(columns, masks=_counts(volumes, all(pair.spacing for pair in pairs)))
    targets = reader.targets(columns, rules.classes)
    store, known = _store(volumes, len(targets.names), rules, columns)
    told = (_sizes(volumes), *notes, *turned, *_told(known), *source.notes)
    preparation = {**_preparation(store, columns, axes), **pointing, **known}
    known_as = identity(table, targets, store.content(), preparation)
    doubt = mask_names.doubt(columns, rules.classes, bool(rules.like))
    doubts = (*source.doubts, *([doubt] if doubt else []))
    bits = _eight_bit(pairs, columns)
    return Cohort(table, targets, store, preparation, known_as, told, eight_bit=bits, doubts=doubts)


def _store(
    volumes: Sequence[Volume], classes: int, rules: Rules, columns: Columns
) -> tuple[Ragged, dict[str, list[float]]]:
    """The store, and the "spacing" [3] in mm that the cases were brought to, if any."""
    how, given = rules.spacing, rules.like.get("spacing")
    if not how:
        return stored(volumes, classes), {}
    assert columns.masks is not None
    if columns.masks.unit == "voxels":
        raise UsageError(
            f"config.data.spacing = {how!r}: {columns.source} does not say how many mm a voxel measures; "
            "give the spacing of every case, or set config.data.spacing = ''."
        )
    deciding = [volumes[row] for row in rules.deciding(columns)]
    sides = np.asarray([volume.labels.shape for volume in deciding])
    steps = np.asarray([volume.spacing for volume in deciding])
    spacing = tuple(given) if given else resampling.common(steps, sides, how)
    found = [resampling.resampled(volume, spacing) for volume in volumes]
    origin = resampling.origin(volumes, found, classes)
    return stored(found, classes, origin), {"spacing": list(spacing)}


def _told(known: Mapping[str, list[float]]) -> tuple[str, ...]:
    return tuple(f"resampled to {_by([f'{step:.4g}' for step in steps])} mm" for steps in known.values())


def unseen(pair: Pair, where: str, preparation: Mapping[str, Any]) -> Volume:
    """A case to predict, checked, as those of training lie in their store.

    Args:
        pair: the image, and a reference or a mask of zeros.
        where: the case as people find it, for messages.
        preparation: `Cohort.preparation` of the training data.

    Raises:
        UsageError: other axes or channels than those of training, or as of `cohort`.
    """
    axes, channels = tuple(preparation["axes"]), preparation["channels"]
    rank, own = pair.image.ndim - 1, pair.image.shape[-1]
    if rank != len(axes):
        kinds = {2: "images of two dimensions", 3: "volumes of three dimensions"}
        raise UsageError(
            f"{where} has {rank} axes of space ({_by(pair.image.shape[:-1])}), and the model was trained on "
            f"{kinds[len(axes)]}: give it such."
        )
    if own != channels:
        raise UsageError(
            f"{where} has {own} channel(s), and the model was trained on images with {channels}: give the "
            "same channels in the same order, in one file or in files ID_0000, ID_0001, ... of each case."
        )
    if 0 in pair.image.shape:
        raise UsageError(f"{where} has shape {_by(pair.image.shape)}: it holds nothing; give another image.")
    return _turned(_pointing(_checked(pair, where, None), preparation.get("codes", "")), axes)


def as_given(mask: np.ndarray, preparation: Mapping[str, Any], codes: str = "") -> np.ndarray:
    """[*space]: the mask [D, H, W] of a case that was `unseen`, with its axes as they were given.

    Args:
        mask: of the case.
        preparation: as of `unseen`.
        codes: those of the case.
    """
    axes, common = preparation["axes"], preparation.get("codes", "")
    if len(axes) == 2:
        return mask[0]
    found = mask.transpose(np.argsort(axes).tolist())
    return orientation.turned(found, common, codes) if common and codes else found


def _pairs(source: MaskSource, progress: decode.Progress | None) -> list[Pair]:
    """All pairs, checked; the first faults are told together."""
    if source.fault:
        raise source.fault
    read, found, faults = source.open(), [], []
    count = len(source.columns.names)
    for row in range(count):
        try:
            found.append(_checked(read(row), source.where(row), found[0] if found else None))
        except UsageError as error:
            faults.append(str(error))
        if len(faults) >= checks.SHOWN:
            faults.append("There may be more: reading has stopped here.")
            break
        if progress:
            progress(row + 1, count)
    if faults:
        raise UsageError("\n  ".join(faults))
    dtype = np.result_type(*{pair.image.dtype for pair in found})
    return [replace(pair, image=pair.image.astype(dtype, copy=False)) for pair in found]


def _checked(pair: Pair, where: str, first: Pair | None) -> Pair:
    """The pair in stored dtypes; refused when image and mask do not belong together or to the others."""
    image, mask = narrowed(pair.image), np.asarray(pair.mask)
    decode.finite(image, where)
    if mask.shape != image.shape[:-1]:
        raise UsageError(
            f"{where}: the mask has shape {_by(mask.shape)} and the image {_by(image.shape[:-1])}: make the "
            "mask on the grid of its image."
        )
    whole = np.rint(mask) if mask.dtype.kind == "f" else mask
    strange = mask[(whole != mask) | (whole < 0) | (whole >= LABELS)]
    if strange.size:
        raise UsageError(
            f"{where}: the mask holds {strange.reshape(-1)[0]}, which is no class number from 0 to "
            f"{LABELS - 1}; write 0 for the background and 1, 2, ... for the classes."
        )
    spacing = pair.spacing
    if spacing is not None and not all(np.isfinite(step) and step > 0 for step in spacing):
        raise UsageError(f"{where}: the spacing is {list(spacing)}; give mm above 0, or none for all cases.")
    if first is not None and (image.ndim, image.shape[-1]) != (first.image.ndim, first.image.shape[-1]):
        raise UsageError(
            f"{where} has {image.ndim - 1} axes and {image.shape[-1]} channels, the first case "
            f"{first.image.ndim - 1} and {first.image.shape[-1]}: give all cases the same."
        )
    if first is not None and (spacing is None) != (first.spacing is None):
        raise UsageError(f"{where}: give the spacing of all cases, or of none.")
    return Pair(image, whole.astype(np.uint8), spacing, pair.codes, pair.image.dtype.itemsize == 1)


def _numbered(pairs: list[Pair]) -> tuple[list[Pair], tuple[str, ...]]:
    """Masks of 0 and 255 alone, as image programs write them, with 1 for 255."""
    found = np.unique(np.concatenate([np.unique(pair.mask) for pair in pairs])).tolist()
    if found != [0, BINARY]:
        return pairs, ()
    turned = [replace(pair, mask=(pair.mask == BINARY).astype(np.uint8)) for pair in pairs]
    return turned, (f"masks of 0 and {BINARY}: {BINARY} is read as class 1",)


def _oriented(
    pairs: list[Pair], deciding: Sequence[int], like: Mapping[str, Any], columns: Columns
) -> tuple[list[Pair], dict[str, Any], tuple[str, ...]]:
    """The pairs turned to point one way; what the preparation keeps of that, and what is to be told.

    Preparation keeps "codes", those that most of the deciding cases have, where files say any; and "turned",
    others that deciding cases had, where there are some.
    """
    common = like.get("codes", "") if like else orientation.most([pairs[row].codes for row in deciding])
    others = [row for row, pair in enumerate(pairs) if pair.codes not in ("", common)]
    silent = [row for row, pair in enumerate(pairs) if not pair.codes]
    told = []
    if others and common:
        ways = ", ".join(sorted({pairs[row].codes for row in others}))
        told.append(f"{_cases(others, columns)} whose axes point to {ways} are turned to {common}")
    elif others:
        told.append(
            f"{_cases(others, columns)} say which way their axes point, and those that decide do not: read "
            "as they are stored"
        )
    if silent and common:
        told.append(f"{_cases(silent, columns)} do not say which way their axes point: taken as {common}")
    turned = sorted({pairs[row].codes for row in deciding} - {"", common})
    kept = {"codes": common, **({"turned": turned} if turned else {})} if common else {}
    return [_pointing(pair, common) for pair in pairs], kept, tuple(told)


def _eight_bit(pairs: Sequence[Pair], columns: Columns) -> frozenset[str]:
    """Names of the cases that came in 8 bits; none where all did."""
    found = [name for pair, name in zip(pairs, columns.names, strict=True) if pair.eight_bit]
    return frozenset(found if len(found) < len(pairs) else ())


def _cases(rows: Sequence[int], columns: Columns) -> str:
    return f"{len(rows):,} case(s) ({checks.listed([columns.names[row] for row in rows], 3)})"


def _pointing(pair: Pair, codes: str) -> Pair:
    """The pair with axes that point so; as it is where it does not say how they do, or nothing is wanted."""
    if not codes or pair.codes in ("", codes):
        return pair
    image, mask = (orientation.turned(values, pair.codes, codes) for values in (pair.image, pair.mask))
    steps = pair.spacing and tuple(pair.spacing[axis] for axis in orientation.order(pair.codes, codes))
    return replace(pair, image=image, mask=mask, spacing=steps, codes=codes)


def _axes(pairs: Sequence[Pair]) -> tuple[int, ...]:
    """The axes of space, that of the widest spacing first: slices are taken across it."""
    rank, known = pairs[0].mask.ndim, [pair.spacing for pair in pairs if pair.spacing is not None]
    if rank == 2 or not known:
        return tuple(range(rank))
    median = np.median(np.asarray(known), axis=0)
    widest = int(np.argmax(median))
    return (widest, *(axis for axis in range(rank) if axis != widest))


def _same_axes(pair: Pair, axes: tuple[int, ...], columns: Columns) -> None:
    """Refuses cases of other axes than those that they are read like."""
    if pair.mask.ndim != len(axes):
        raise UsageError(
            f"{columns.source}: the masks have {pair.mask.ndim} axes of space, and those that models learn "
            f"from {len(axes)}: give such."
        )


def _turned(pair: Pair, axes: tuple[int, ...]) -> Volume:
    """The case as a volume whose axes stand in this order; an image is a volume of one slice."""
    spacing = tuple(float((pair.spacing or (1.0,) * len(axes))[axis]) for axis in axes)
    image, mask = pair.image.transpose(*axes, len(axes)), pair.mask.transpose(axes)
    if len(axes) == 2:
        image, mask, spacing = image[None], mask[None], (1.0, *spacing)
    return Volume(np.ascontiguousarray(image), np.ascontiguousarray(mask), spacing)  # pyrefly: ignore[bad-argument-type]


def _counts(volumes: Sequence[Volume], known: bool) -> MaskCounts:
    flat = all(volume.labels.shape[0] == 1 for volume in volumes)
    unit = (MM2 if flat else MM3) if known else "voxels"
    counts = [np.bincount(volume.labels.reshape(-1), minlength=LABELS) for volume in volumes]
    spacing = np.asarray([volume.spacing for volume in volumes], np.float32)
    return MaskCounts(np.stack(counts), spacing.astype(np.float64).prod(axis=1), unit)


def _preparation(store: Ragged, columns: Columns, axes: tuple[int, ...]) -> dict:
    depth, height, width, channels = store.shape
    assert columns.masks is not None
    # The unit of `columns` is mm² of volumes of one slice too, and enters the hash, by which runs go on.
    known = columns.masks.unit != "voxels"
    return {
        "depth": depth,
        "height": height,
        "width": width,
        "channels": channels,
        "aspect": "stretch",
        "dtype": str(store.dtype),
        "resized": False,
        "convert_channels": False,
        "axes": list(axes),
        "unit": (MM2 if len(axes) == 2 else MM3) if known else "voxels",
    }


def _sizes(volumes: Sequence[Volume]) -> str:
    counts = Counter(_by(volume.image.shape) for volume in volumes)
    shown = ", ".join(f"{size} ({number:,})" for size, number in counts.most_common(8))
    more = f" and {len(counts) - 8:,} more" if len(counts) > 8 else ""
    return f"sizes (depth x height x width x channels): {shown}{more}"


def _by(shape: Sequence[object]) -> str:
    return " x ".join(map(str, shape))
