"""Cases to segment, from files, folders, tables and archives; with a reference mask where these have one."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.paths import expanded
from nachos_jax.data import checks, csv_table, given, mask_folder, nifti
from nachos_jax.data.archive import Archive
from nachos_jax.data.image_files import SUFFIXES as IMAGES
from nachos_jax.data.image_files import is_image
from nachos_jax.data.masks import Pair
from nachos_jax.data.npz import SPLITS
from nachos_jax.data.pair_files import read_alone, read_pair

_SUFFIXES = (*nifti.SUFFIXES[::-1], *IMAGES)


@dataclass(frozen=True)
class Row:
    """Where a case stands in an NPZ file."""

    file: Path
    key: str  # of the array that its mask belongs into
    number: int  # row of it
    shape: tuple[int, ...]  # [N, *space] of the array


@dataclass(frozen=True)
class MaskInput:
    """A case to segment.

    Attributes:
        name: unique; of a file the path without suffix, seen from the folder or table that was given.
        where: the case as people find it, for messages.
        read: gives the image, and the reference or zeros.
        reference: whether there is one.
        grid: the NIfTI file whose grid the mask lies on, if any.
        row: where it stands, if it comes from an NPZ file.
    """

    name: str
    where: str
    read: Callable[[], Pair]
    reference: bool = False
    grid: Path | None = None
    row: Row | None = None


@dataclass(frozen=True)
class Sought:
    """What inputs are to be like.

    Attributes:
        rank: axes of space, 2 or 3.
        channels: C of the model.
        keys: names of the arrays "image", "mask", "shape" and "spacing" of an NPZ file.
    """

    rank: int
    channels: int
    keys: Mapping[str, str]


def found(paths: Sequence[str | os.PathLike], sought: Sought) -> list[MaskInput]:
    """The cases that some paths stand for; their images are not read yet.

    Args:
        paths: image and NIfTI files, one a case or numbered as nnU-Net does (ID_0000, ID_0001: a channel
            each); folders of them at any depth, or laid out as for training; CSV tables with columns `path`
            and perhaps `mask`; NPZ files.
        sought: what the model takes.

    Raises:
        UsageError: nothing to segment, a file that is none of these, or two cases of one name.
    """
    cases: list[MaskInput] = []
    files: list[tuple[str, Path]] = []
    for given_path in paths:
        path = Path(expanded(os.fspath(given_path)))
        if not given.is_text(str(path)):
            raise UsageError(f"{str(path)!r}: the name is no UTF-8 text; rename the file or folder.")
        if os.path.isdir(path):
            cases += _of_folder(path, sought.channels)
        elif not os.path.isfile(path):
            raise UsageError(f"{path}: there is no such file; mend the path.")
        elif path.suffix.lower() == ".csv":
            cases += _of_table(path)
        elif path.suffix.lower() == ".npz":
            cases += _of_archive(path, sought)
        else:
            _check_file(path)
            files.append((path.name, path))
    cases += _of_files(files, sought.channels)
    if not cases:
        raise UsageError(
            "there is no image to segment; name image or NIfTI files, folders, tables or NPZ files."
        )
    _refuse_doubles(cases)
    return cases


def _of_folder(root: Path, channels: int) -> list[MaskInput]:
    laid_out = mask_folder.pairs_in(root)
    if laid_out is not None:
        images, masks = laid_out
        return [_of_pair(name, images[name], masks[name]) for name in sorted(images)]
    files = [path for path in sorted(root.rglob("*")) if not _hidden(path.relative_to(root)) and _known(path)]
    if not files:
        raise UsageError(f"{root} holds no NIfTI, PNG, JPEG, TIFF or DICOM image; name another folder.")
    return _of_files([(path.relative_to(root).as_posix(), path) for path in files], channels)


def _of_files(files: Sequence[tuple[str, Path]], channels: int) -> list[MaskInput]:
    """A case a file, or one for all files of an ID where every name ends with the number of a channel.

    Files that hold all channels by themselves, as colour images do, are cases, whatever their numbers.
    """
    named = [(_bare(name), path) for name, path in files]
    numbers = [mask_folder.numbered(name) for name, _ in named]
    groups: dict[str, dict[int, Path]] = {}
    for number, (_, path) in zip(numbers, named, strict=True):
        if number is not None:
            groups.setdefault(number[0], {})[number[1]] = path
    whole = all(sorted(group) == list(range(channels)) for group in groups.values())
    if groups and None not in numbers and whole and not _holds_all(named[0], channels):
        return [_alone(name, [group[k] for k in range(channels)]) for name, group in groups.items()]
    return [_alone(name, [path]) for name, path in named]


def _holds_all(named: tuple[str, Path], channels: int) -> bool:
    """Whether one file has all of several channels."""
    name, path = named
    return channels > 1 and _alone(name, [path]).read().image.shape[-1] == channels


def _of_table(path: Path) -> list[MaskInput]:
    sheet = csv_table.read_sheet(path)
    if "path" not in sheet.header:
        raise UsageError(
            f"{path} has no column 'path'; its header has {checks.listed(sheet.header)}. Rename the column "
            f"that holds the files.{checks.hint('path', sheet.header)}"
        )
    listed = sheet.column("path")
    images = csv_table.find_files(sheet, listed)
    names = [_bare(cell if _inside(cell) else Path(cell).name) for cell in listed]
    if "mask" not in sheet.header:
        return [_alone(name, [image]) for name, image in zip(names, images, strict=True)]
    masks = csv_table.find_files(sheet, sheet.column("mask"))
    return [_of_pair(name, [image], mask) for name, image, mask in zip(names, images, masks, strict=True)]


def _of_archive(path: Path, sought: Sought) -> Iterator[MaskInput]:
    """The rows of the images of an NPZ file, of all its splits."""
    archive, key = Archive(path), sought.keys["image"]
    prefixes = [before for before in ("", *(f"{split}_" for split in SPLITS)) if before + key in archive.keys]
    if not prefixes:
        raise UsageError(
            f"{path} has no array {key!r} of images, as the training data had; it has "
            f"{checks.listed(archive.keys, 20)}. Store the images under that name."
        )
    before_row = 0
    for prefix in prefixes[:1] if not prefixes[0] else prefixes:
        shape, dtype = archive.header(prefix + key, "image_key")
        if dtype.kind not in "biuf" or len(shape) not in (sought.rank + 1, sought.rank + 2):
            raise UsageError(
                f"{path}: {prefix + key} has shape {shape} and type {dtype}; store numbers [N, "
                f"{'H, W' if sought.rank == 2 else 'D, H, W'}], with channels as the last axis if any."
            )
        part = _Part(archive, prefix, sought)
        masked = bool(sought.keys["mask"]) and prefix + sought.keys["mask"] in archive.keys
        for row in range(shape[0]):
            yield MaskInput(
                name=f"{path.stem}/row-{before_row + row:06d}",
                where=f"{path}, row {row} (counted from 0) of {prefix + key}",
                read=functools.partial(part.pair, row),
                reference=masked,
                row=Row(path, prefix + (sought.keys["mask"] or "masks"), row, shape[: sought.rank + 1]),
            )
        before_row += shape[0]


class _Part:
    """One array of images of an NPZ file, with what belongs to it; read when the first case is."""

    def __init__(self, archive: Archive, prefix: str, sought: Sought):
        self._archive, self._prefix, self._sought = archive, prefix, sought

    def pair(self, row: int) -> Pair:
        """The image of a row, and its mask or zeros."""
        image = self._images[row]
        inside = () if self._sides is None else tuple(slice(0, int(side)) for side in self._sides[row])
        mask = np.zeros(image.shape[:-1], np.uint8) if self._masks is None else self._masks[row]
        spacing = None if self._spacing is None else self._spacing[row].tolist()
        return Pair(image[inside], mask[inside], spacing)

    @functools.cached_property
    def _images(self) -> np.ndarray:
        images = self._archive.array(self._prefix + self._sought.keys["image"])
        return images if images.ndim == self._sought.rank + 2 else images[..., None]

    @functools.cached_property
    def _masks(self) -> np.ndarray | None:
        return self._array("mask", self._images.shape[:-1])

    @functools.cached_property
    def _sides(self) -> np.ndarray | None:
        return self._array("shape", (len(self._images), self._sought.rank))

    @functools.cached_property
    def _spacing(self) -> np.ndarray | None:
        return self._array("spacing", (len(self._images), self._sought.rank))

    def _array(self, what: str, wanted: tuple[int, ...]) -> np.ndarray | None:
        """The array of this kind if there is one, refused if it has another shape."""
        key = self._prefix + self._sought.keys[what]
        if not self._sought.keys[what] or key not in self._archive.keys:
            return None
        shape, dtype = self._archive.header(key, f"{what}_key")
        if shape != wanted or dtype.kind not in "biuf":
            raise UsageError(
                f"{self._archive.path}: {key} has shape {shape} and type {dtype}, and {wanted} numbers "
                "belong to its images: mend it, or take it out."
            )
        return self._archive.array(key)


def _alone(name: str, images: Sequence[Path]) -> MaskInput:
    return MaskInput(name, str(images[0]), functools.partial(read_alone, images), False, _grid(images[0]))


def _of_pair(name: str, images: Sequence[Path], mask: Path) -> MaskInput:
    return MaskInput(name, str(images[0]), functools.partial(read_pair, images, mask), True, _grid(images[0]))


def _grid(path: Path) -> Path | None:
    return path if nifti.is_nifti(path) else None


def _bare(name: str) -> str:
    """A name without the suffix of a file that can be read."""
    suffix = next((end for end in _SUFFIXES if name.lower().endswith(end)), "")
    return name[: len(name) - len(suffix)] if suffix else name


def _inside(cell: str) -> bool:
    """Whether a path leads from the folder of its table further down."""
    return not Path(cell).is_absolute() and ".." not in Path(cell).parts


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _known(path: Path) -> bool:
    return path.is_file() and (nifti.is_nifti(path) or is_image(path))


def _check_file(path: Path) -> None:
    if not _known(path):
        raise UsageError(
            f"{path} is no NIfTI, PNG, JPEG, TIFF or DICOM image, table (.csv) or NPZ file: convert it, "
            "volumes best to NIfTI."
        )


def _refuse_doubles(cases: Sequence[MaskInput]) -> None:
    first: dict[Any, MaskInput] = {}
    for case in cases:
        before = first.setdefault(case.name, case)
        if before is not case:
            raise UsageError(
                f"{case.where} and {before.where} would both be called {case.name!r}: give the same image "
                "once, and name files of equal names one folder at a time."
            )
