"""NPZ files: arrays by key, or the MedMNIST layout (train_images, train_labels, val_images, ...)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nachos_jax.config.run_config import DataConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.data import checks
from nachos_jax.data.archive import Archive
from nachos_jax.data.columns import Columns, further_texts, target_texts, texts
from nachos_jax.data.masks import MaskSource, Pair
from nachos_jax.data.pixels import Pixels, ReadCase, Source, check_stack, narrowed, with_channels
from nachos_jax.data.reading import same_depth

SPLIT, SPLITS = "split", ("train", "val", "test")
FEATURES, NAMES = "features", "feature_names"
Check = Callable[[tuple[int, ...], np.dtype, str], None]
"""(shape, dtype, what it is called); raises UsageError."""


def read(data: DataConfig) -> Source:
    """Reads the columns of an NPZ file; its images are read when they are needed.

    The parts train, val and test of the MedMNIST layout (Yang et al. 2023) are merged. Other keys then take
    the same prefix, e.g. train_patient_id. Keys left at ''
    mean the arrays subject, site and fold, where there are such arrays with one value a case.

    Raises:
        UsageError: not an NPZ file, pickled objects, a key that is not there, arrays of unequal length, or
            volumes where config.data.volume is ''.
    """
    archive = Archive(Path(expanded(data.path)))
    parts = _parts(archive, data.image_key or "images", functools.partial(check_stack, volume=data.volume))
    where = _Rows(archive.path.name, [(part.images, part.count) for part in parts])
    keys = tuple(part.images for part in parts)

    def open_images() -> ReadCase:
        images = narrowed(np.concatenate([archive.array(part.images) for part in parts]))
        return with_channels(images, data.volume).__getitem__

    columns = _columns(archive, parts, data, where)
    pixels = Pixels(where.count, where, open_images, (archive.path,), keys)
    return Source(columns, pixels, doubts=_scales(archive, parts))


def column_names(data: DataConfig) -> tuple[str, ...]:
    """Names of the arrays with one value a case, those that hold targets, subjects or sites among them.

    "split" is one where the file has parts: the part of each case.
    """
    archive = Archive(Path(expanded(data.path)))
    parts = _parts(archive, FEATURES if data.source == "vectors" else data.image_key or "images")
    first = parts[0].split
    names = [key.removeprefix(f"{first}_") for key in archive.keys if key.startswith(first)]
    found = [name for name in names if _has_column(archive, parts, name)]
    return (*found, *((SPLIT,) if first and SPLIT not in found else ()))


class FeatureArchive:
    """The vectors of an NPZ file: `features` [N, D], and `feature_names` [D] if there are such.

    The layout of parts, `train_features` and so on, is read as that of images is.

    Raises:
        UsageError: no such arrays, or of another shape.
    """

    def __init__(self, path: Path):
        self._archive = Archive(path)
        held = self._archive.keys
        if not {FEATURES, *(f"{split}_{FEATURES}" for split in SPLITS)} & set(held):
            raise UsageError(
                f"{path.name} has no array {FEATURES!r}; it has {checks.listed(held, 20)}. Store the vectors "
                f"[N, D] under this name, and the names of their columns as {NAMES!r}."
            )
        self._parts = _parts(self._archive, FEATURES, _check_vectors)
        self.path, self.where = path, _Rows(path.name, [(part.images, part.count) for part in self._parts])
        self.header = self._names()

    def values(self, names: Sequence[str]) -> np.ndarray:
        """[N, D] numbers of these columns."""
        values = np.concatenate([self._archive.array(part.images) for part in self._parts])
        return values[:, [self.header.index(name) for name in names]]

    def cases(self, key: str) -> list[str]:
        """N names of the cases: those of the array called so, or "case"; else the row numbers."""
        found = _known(self._archive, self._parts, key, "case", self.where)
        return found or [f"row-{row:06d}" for row in range(self.where.count)]

    def columns(self, data: DataConfig) -> Columns:
        """What else is known of the cases."""
        columns = _columns(self._archive, self._parts, data, self.where)
        return replace(columns, names=self.cases(data.case_key))

    def _names(self) -> tuple[str, ...]:
        first = self._parts[0].images
        (_, count), _ = self._archive.header(first, "path")
        if NAMES not in self._archive.keys:
            return tuple(f"feature_{column}" for column in range(count))
        file, array = self.path.name, self._archive.array(NAMES)
        names = tuple(texts(array, "feature name", lambda row: f"{file}, {NAMES}[{row}]", file))
        if len(names) != count or len(set(names)) != count:
            raise UsageError(
                f"{file}: {NAMES} holds {len(names)} names, {len(set(names))} of them different, and {first} "
                f"has {count} columns; store one name a column."
            )
        return names


def read_masks(data: DataConfig) -> MaskSource:
    """Reads the columns of an NPZ file of images with masks; both are read when they are needed.

    Images are [N, H, W], [N, D, H, W], or either with channels at the end; masks have the same shape without
    channels. Arrays of shapes cut off what cases were padded with at the end of their axes.

    Raises:
        UsageError: as `read`, or images and masks that do not belong together.
    """
    archive = Archive(Path(expanded(data.path)))
    image_key, mask_key = data.image_key or "images", data.mask_key or "masks"
    parts = _parts(archive, image_key)
    for part in parts:
        _check_pair(archive, part.images, part.key(mask_key))
    where = _Rows(archive.path.name, [(part.images, part.count) for part in parts])
    names = _label_names(archive, data.label_names_key or "label_names")
    columns = replace(_who(archive, parts, data, where), order=names)
    shape, _ = archive.header(parts[0].key(mask_key), "mask_key")
    sides = _of_axes(archive, parts, data.shape_key, "shape", len(shape) - 1)
    spacing = _of_axes(archive, parts, data.spacing_key, "spacing", len(shape) - 1)
    doubts = ()
    if sides is None and spacing is None and len(shape) == 4 and shape[-1] == 1:
        doubts = (
            f"{archive.path.name}: {mask_key} has shape {shape}, as gray images with an axis of channels "
            f"have, and as volumes one voxel wide. Of images store {mask_key} without it, as "
            f"{mask_key}[..., 0]; of volumes store their sides as an array 'shape' [N, 3], or their spacing.",
        )

    def open_pairs() -> Callable[[int], Pair]:
        images = [image for stack in _stacks(archive, parts) for image in stack]
        masks = np.concatenate([archive.array(part.key(mask_key)) for part in parts])

        def pair(row: int) -> Pair:
            step = None if spacing is None else spacing[row].tolist()
            image = images[row] if images[row].ndim == masks.ndim else images[row][..., None]
            if sides is None:
                return Pair(image, masks[row], step)
            inside = tuple(slice(0, int(side)) for side in sides[row])
            if np.count_nonzero(masks[row][inside]) != np.count_nonzero(masks[row]):
                raise UsageError(
                    f"{where(row)}: the mask goes on beyond the shape {sides[row].tolist()} that "
                    f"{data.shape_key} gives; mend the shape."
                )
            return Pair(image[inside], masks[row][inside], step)

        return pair

    return MaskSource(columns, where, open_pairs, doubts=doubts)


def _of_axes(archive: Archive, parts: Sequence[_Part], key: str, what: str, axes: int) -> np.ndarray | None:
    """[N, axes]: numbers of each case along its axes, or None where the file has no such array."""
    if not key or (key == what and not all(part.key(key) in archive.keys for part in parts)):
        return None
    found = _column(archive, parts, key, what, f"{what}_key")
    if found.shape[1:] != (axes,) or found.dtype.kind not in "iuf":
        raise UsageError(
            f"{archive.path.name}: {key} has shape {found.shape} and type {found.dtype}, and the masks have "
            f"{axes} axes a case: store {axes} numbers a case, or set config.data.{what}_key = ''."
        )
    return found


def _columns(archive: Archive, parts: Sequence[_Part], data: DataConfig, where: _Rows) -> Columns:
    """Who the cases are, and their targets."""
    if data.target_keys:
        return _several(archive, parts, data, where)
    names = _label_names(archive, data.label_names_key or "label_names")
    labels = _column(archive, parts, data.label_key or "labels", "label")
    return replace(
        _who(archive, parts, data, where),
        targets=target_texts(labels, data.label_key or "labels", names, archive.path.name),
        numeric=labels.dtype.kind in "biuf",
        order=names,
    )


def _several(archive: Archive, parts: Sequence[_Part], data: DataConfig, where: _Rows) -> Columns:
    """Who the cases are, and targets in an array each."""
    arrays = {key: _column(archive, parts, key, "label", "target_keys") for key in data.target_keys}
    found = [target_texts(values, key, (), archive.path.name) for key, values in arrays.items()]
    numeric = all(values.dtype.kind in "biuf" for values in arrays.values())
    targets = {name: cells for one in found for name, cells in one.items()}
    return replace(_who(archive, parts, data, where), targets=targets, numeric=numeric)


def _who(archive: Archive, parts: Sequence[_Part], data: DataConfig, where: _Rows) -> Columns:
    """Who the cases are; without targets."""
    described = [name for name in data.described if _has_column(archive, parts, name)]
    return Columns(
        source=archive.path.name,
        names=[f"row-{row:06d}" for row in range(where.count)],
        targets={},
        where=where,
        subject_cure="add an array 'subject', or name the one there is in config.data.subject_key",
        subjects=_known(archive, parts, data.subject_key, "subject", where),
        sites=_known(archive, parts, data.site_key, "site", where),
        folds=_folds(archive, parts, data, where),
        folds_asked=_folds_asked(data),
        further={
            name: further_texts(_further(archive, parts, name))
            for name in dict.fromkeys((*data.columns, *described))
        },
    )


@dataclass(frozen=True)
class _Part:
    """One array of images or vectors: its key, the split it makes up ("" for all) and its length."""

    images: str
    split: str
    count: int

    def key(self, name: str) -> str:
        return f"{self.split}_{name}" if self.split else name


class _Rows:
    """Row number over all parts -> "x.npz, row 17 (counted from 0) of train_images"."""

    def __init__(self, file: str, parts: Sequence[tuple[str, int]]):
        self.file, self.parts = file, parts
        self.count = sum(count for _, count in parts)

    def __call__(self, row: int) -> str:
        for key, count in self.parts:
            if row < count:
                return f"{self.file}, row {row} (counted from 0) of {key}"
            row -= count
        raise IndexError(row)


def _check_vectors(shape: tuple[int, ...], dtype: np.dtype, what: str) -> None:
    if dtype.kind not in "biuf":
        raise UsageError(f"{what} holds values of type {dtype}; store features as numbers.")
    if len(shape) != 2 or not shape[1]:
        raise UsageError(f"{what} has shape {shape}; store a row a case and a column a feature, (N, D).")


def _parts(archive: Archive, image_key: str, check: Check | None = None) -> list[_Part]:
    splits = [split for split in SPLITS if f"{split}_{image_key}" in archive.keys]
    keys = {image_key: ""} if image_key in archive.keys or not splits else {}
    keys = keys or {f"{split}_{image_key}": split for split in splits}
    shapes = {}
    for key in keys:
        shapes[key], dtype = archive.header(key, "image_key")
        if check:
            check(shapes[key], dtype, f"{archive.path.name}: {key}")
    first = next(iter(keys))
    for key in keys:
        if shapes[key][1:] != shapes[first][1:]:
            raise UsageError(
                f"{archive.path.name}: {first} has shape {shapes[first]}, {key} has {shapes[key]}; store "
                "cases of one shape."
            )
    return [_Part(key, split, shapes[key][0]) for key, split in keys.items()]


def _stacks(archive: Archive, parts: Sequence[_Part]) -> list[np.ndarray]:
    """The images of all parts in one array and dtype; where only some have 8 bits, an array a part."""
    found = [archive.array(part.images) for part in parts]
    # A part of a wider type that happens to be dark is no part of 8 bits.
    if len({images.dtype for images in found}) > 1 and any(images.dtype.itemsize == 1 for images in found):
        own = [narrowed(images) for images in found if len(images)]
        if not all(same_depth(images.dtype, own[0].dtype) for images in own):
            return own
    return [narrowed(np.concatenate(found))]


def _scales(archive: Archive, parts: Sequence[_Part]) -> tuple[str, ...]:
    """What is to be told where parts have values on other scales, with the cure."""
    kinds = [archive.header(part.images, "image_key")[1] for part in parts]
    if len(set(kinds)) == 1 or len(_stacks(archive, parts)) == 1:
        return ()
    stored = ", ".join(f"{part.images} as {kind}" for part, kind in zip(parts, kinds, strict=True))
    told = f"{archive.path.name} stores {stored}: their values are on other scales; convert all images to one"
    return (f"{told} bit depth.",)


def _check_pair(archive: Archive, image_key: str, mask_key: str) -> None:
    """Refuses images and masks that cannot belong together, by their headers."""
    file, (images, dtype) = archive.path.name, archive.header(image_key, "image_key")
    masks, kind = archive.header(mask_key, "mask_key")
    for key, found in ((image_key, dtype), (mask_key, kind)):
        if found.kind not in "biuf":
            raise UsageError(f"{file}: {key} holds values of type {found}; store numbers.")
    if len(masks) not in (3, 4) or 0 in masks[1:]:
        raise UsageError(
            f"{file}: {mask_key} has shape {masks}; store masks as (N, H, W), or (N, D, H, W) of volumes."
        )
    if masks not in (images, images[:-1]):
        raise UsageError(
            f"{file}: {mask_key} has shape {masks} and {image_key} {images}: store a mask on the grid of "
            "each image, and channels of images as their last axis."
        )


def _label_names(archive: Archive, key: str) -> tuple[str, ...]:
    if key == "label_names" and key not in archive.keys:
        return ()
    archive.header(key, "label_names_key")
    file = archive.path.name
    return tuple(texts(archive.array(key), "class name", lambda row: f"{file}, {key}[{row}]", file))


def _further(archive: Archive, parts: Sequence[_Part], name: str) -> np.ndarray:
    missing = [part.key(name) for part in parts if part.key(name) not in archive.keys]
    if name == SPLIT and missing and parts[0].split:
        return np.repeat([part.split for part in parts], [part.count for part in parts])
    if missing:
        raise UsageError(
            f"{archive.path.name} has no array {missing[0]!r}; it has {checks.listed(archive.keys, 20)}. Add "
            f"the array, or mend config.report.subgroups.{checks.hint(missing[0], archive.keys)}"
        )
    return _column(archive, parts, name, name, name)


def _column(archive: Archive, parts: Sequence[_Part], name: str, what: str, field: str = "") -> np.ndarray:
    columns = []
    for part in parts:
        key = part.key(name)
        shape, _ = archive.header(key, field or f"{what}_key")
        if shape[:1] != (part.count,):
            raise UsageError(
                f"{archive.path.name}: {key} has shape {shape}, but {part.images} has {part.count} images; "
                f"store one {what} an image."
            )
        columns.append(archive.array(key))
    if len({column.shape[1:] for column in columns}) > 1:
        raise UsageError(
            f"{archive.path.name}: the {name} of {', '.join(SPLITS)} differ in shape; make them equal."
        )
    return np.concatenate(columns)


def _known(archive: Archive, parts: Sequence[_Part], key: str, what: str, where: _Rows) -> list[str] | None:
    """The column of an optional key; without key that of the array called `what`, or None."""
    if not key and not _has_column(archive, parts, what):
        return None
    return texts(_column(archive, parts, key or what, what), what, where, where.file)


def _has_column(archive: Archive, parts: Sequence[_Part], name: str) -> bool:
    """Whether there is an array of this name with one value a case; images may be called so too."""
    if not all(part.key(name) in archive.keys for part in parts):
        return False
    shapes = [archive.header(part.key(name), f"{name}_key")[0] for part in parts]
    return all(shape in ((part.count,), (part.count, 1)) for shape, part in zip(shapes, parts, strict=True))


def _folds(archive: Archive, parts: Sequence[_Part], data: DataConfig, where: _Rows) -> list[str] | None:
    try:
        return _known(archive, parts, data.fold_key, "fold", where)
    except UsageError:
        if _folds_asked(data):
            raise
        return None


def _folds_asked(data: DataConfig) -> bool:
    return bool(data.fold_key) or data.predefined
