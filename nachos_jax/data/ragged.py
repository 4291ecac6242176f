"""The ragged store: images and masks of many shapes, all voxels of all cases one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.data import foreground
from nachos_jax.data.foreground import VolumeSums
from nachos_jax.data.measured import statistics

PLACES = 1024
"""Voxels of each class that a case remembers, drawn without replacement, for patches that must hold it."""
_MOST = 2**31 - 1
"""Voxels that int32 can count."""
_PURPOSE = 0x666F72
"""Keeps these draws apart from others."""


class Volume(NamedTuple):
    """One case: an image and its mask."""

    image: np.ndarray  # [D, H, W, C] of a stored dtype
    labels: np.ndarray  # [D, H, W] uint8, 0 the background
    spacing: tuple[float, float, float]  # mm of a voxel along each axis


class Volumes(NamedTuple):
    """n cases as a tree of arrays, what the store gives (`Store.rows`): V voxels, K classes, F places."""

    voxels: Any  # [V, C] stored dtype
    labels: Any  # [V] uint8, 0 the background
    offset: Any  # [n] int32, first voxel of a case; its voxels follow in C order
    shape: Any  # [n, 3] int32, voxels along each axis
    spacing: Any  # [n, 3] float32, mm
    stats: Any  # [n, C, 8] float32, see `nachos_jax.data.measured`
    places: Any  # [n, K, F] int32, some voxels of each class, counted from the case's first one
    n_places: Any  # [n, K] int32, how many of them are real; 0 where the case has none of the class
    votes: Any = None  # [V, K + 1] unsigned, of a case that was resampled: see `Origin`
    size: Any = None  # [n] float32, volume of a voxel of the masks that such cases came with


@dataclass(frozen=True, eq=False)
class Origin:
    """The masks that N cases came with before they were resampled: what is predicted is judged by these.

    Attributes:
        masks: N masks [D, H, W] uint8, each on its own grid.
        spacing: [N, 3] float32, mm of their voxels.
        votes: [V, K + 1] unsigned, how many of their voxels of each class lie nearest to each voxel of the
            store, see `nachos_jax.data.resampling.votes`.
    """

    masks: tuple[np.ndarray, ...]
    spacing: np.ndarray
    votes: np.ndarray


@dataclass(frozen=True, eq=False)
class Ragged:
    """Images and masks of N cases.

    Attributes:
        voxels: [V, C] of a stored dtype, case after case.
        labels: [V] uint8.
        sides: [N, 3] int32.
        spacing: [N, 3] float32, mm.
        stats: [N, C, 8] float32.
        places: [N, K, F] int32, see `Volumes`.
        n_places: [N, K] int32.
        total: [N, C] float64, sums of the voxels of each case, and of their squares.
        squares: [N, C] float64.
        foreground: [N, C, POINTS] float32, see `nachos_jax.data.foreground`.
        origin: None of cases that are as they came.
    """

    voxels: np.ndarray
    labels: np.ndarray
    sides: np.ndarray
    spacing: np.ndarray
    stats: np.ndarray
    places: np.ndarray
    n_places: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    foreground: np.ndarray
    origin: Origin | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Median sides of the cases and the channels, (D, H, W, C): patches are planned from it."""
        return (*np.median(self.sides, axis=0).astype(int).tolist(), self.voxels.shape[1])

    @property
    def dtype(self) -> np.dtype:
        """Stored dtype of the images."""
        return self.voxels.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all images and masks, with what is known of each case on a device."""
        return sum(part.nbytes for part in (*self._by_voxel, *self._by_case)) + 4 * len(self.sides)

    @property
    def sizes(self) -> np.ndarray:
        """[N] int64 voxels of each case."""
        return self.sides.astype(np.int64).prod(axis=1)

    def one(self, case: int) -> np.ndarray:
        """[D, H, W, C]: the image of a case."""
        return self.voxels[self._places(case)].reshape(*self.sides[case].tolist(), -1)

    def mask(self, case: int) -> np.ndarray:
        """[D, H, W] uint8: the mask of a case."""
        return self.labels[self._places(case)].reshape(self.sides[case].tolist())

    def truth(self, case: int) -> tuple[np.ndarray, tuple[float, ...]]:
        """The mask that a case came with, [D, H, W] uint8, and its spacing in mm."""
        if self.origin is None:
            return self.mask(case), tuple(self.spacing[case].tolist())
        return self.origin.masks[case], tuple(self.origin.spacing[case].tolist())

    def _places(self, case: int) -> slice:
        first = int(self.sizes[:case].sum())
        return slice(first, first + int(self.sizes[case]))

    def rows(self, cases: np.ndarray) -> Volumes:
        """Some cases, [n] int32: as many voxels as the n largest have, so that any n give equal shapes.

        Raises:
            UsageError: these are more voxels than int32 counts.
        """
        distinct, place = np.unique(cases, return_inverse=True)
        sizes, firsts = self.sizes, np.concatenate([[0], np.cumsum(self.sizes)])
        starts = np.concatenate([[0], np.cumsum(sizes[distinct])])[:-1]
        whole, room = self._by_voxel, self._room(len(cases))
        if len(distinct) == len(sizes):
            by_voxel = [np.ascontiguousarray(part) for part in whole]
        else:
            by_voxel = [np.zeros((room, *part.shape[1:]), part.dtype) for part in whole]
            for start, case in zip(starts.tolist(), distinct.tolist(), strict=True):
                here, there = slice(start, start + sizes[case]), slice(firsts[case], firsts[case + 1])
                for part, of in zip(by_voxel, whole, strict=True):
                    part[here] = of[there]
        own = [part[cases] for part in self._by_case]
        return _volumes(by_voxel, starts[place].astype(np.int32), own)

    def forms(self, count: int) -> Volumes:
        """What `rows` gives of so many cases, of zeros that take no memory."""
        room = self._room(count)

        def zeros(like: np.ndarray, rows: int) -> np.ndarray:
            return np.broadcast_to(np.zeros((), like.dtype), (rows, *like.shape[1:]))

        offset = np.broadcast_to(np.int32(0), (count,))
        by_voxel = [zeros(part, room) for part in self._by_voxel]
        return _volumes(by_voxel, offset, [zeros(part, count) for part in self._by_case])

    def sums(self) -> VolumeSums:
        """Sums of the values of each case and channel, and quantiles of the foreground."""
        return VolumeSums(self.total, self.squares, self.sizes, self.foreground)

    def take(self, cases: np.ndarray) -> Ragged:
        """Some cases alone, [n] rising row numbers, as if no others had been read."""
        chosen = np.zeros(len(self.sides), bool)
        chosen[cases] = True
        voxels = np.repeat(chosen, self.sizes)
        by_case = (*("sides", "spacing", "stats", "places", "n_places"), *("total", "squares", "foreground"))
        origin = self.origin
        if origin:
            masks = tuple(origin.masks[case] for case in cases.tolist())
            origin = Origin(masks, origin.spacing[cases], origin.votes[voxels])
        own: Any = {name: getattr(self, name)[cases] for name in by_case}
        return Ragged(self.voxels[voxels], self.labels[voxels], **own, origin=origin)

    def content(self) -> dict[str, str]:
        """Digest of images, masks, shapes and spacings."""
        sha = hashlib.sha256(f"{self.voxels.dtype.str} {self.voxels.shape}".encode())
        origin = (*self.origin.masks, self.origin.spacing) if self.origin else ()
        for part in (self.voxels, self.labels, self.sides, self.spacing, *origin):
            sha.update(np.ascontiguousarray(part).data)
        return {"pixels": sha.hexdigest()}

    @property
    def _by_voxel(self) -> list[np.ndarray]:
        """What is known of each voxel, in the order of `_volumes`."""
        return [self.voxels, self.labels, *([self.origin.votes] if self.origin else [])]

    @property
    def _by_case(self) -> list[np.ndarray]:
        """What is known of each case, in the order of `_volumes`."""
        size = [self.origin.spacing.prod(axis=1)] if self.origin else []
        return [self.sides, self.spacing, self.stats, self.places, self.n_places, *size]

    def _room(self, count: int) -> int:
        """Voxels of the `count` largest cases."""
        room = int(np.sort(self.sizes)[::-1][:count].sum())
        if room > _MOST:
            raise UsageError(
                f"{min(count, len(self.sides)):,} cases hold {room:,} voxels, and at most {_MOST:,} can lie "
                "on a device together: set config.data.residency = 'stream' and lower config.data.window."
            )
        return room


def stored(volumes: Iterable[Volume], classes: int, origin: Origin | None = None) -> Ragged:
    """The store of some cases.

    Args:
        volumes: N cases of one dtype and number of channels.
        classes: K, without the background.
        origin: of cases that were resampled.
    """
    parts = [_facts(volume, classes) for volume in volumes]
    columns = [np.stack(column) for column in list(zip(*parts, strict=True))[2:]]
    voxels, labels = (np.concatenate([part[k] for part in parts]) for k in range(2))
    known: Any = columns  # in the order of the fields
    return replace(Ragged(voxels, labels, *known), origin=origin)


def _volumes(by_voxel: list[np.ndarray], offset: np.ndarray, by_case: list[np.ndarray]) -> Volumes:
    voxels, labels, *votes = by_voxel
    return Volumes(voxels, labels, offset, *by_case[:5], *votes, *by_case[5:])


def _facts(volume: Volume, classes: int) -> tuple[np.ndarray, ...]:
    """The fields of `Ragged` of one case, in their order."""
    voxels, labels = volume.image.reshape(-1, volume.image.shape[-1]), volume.labels.reshape(-1)
    values = voxels.astype(np.float64)
    places, numbers = zip(*(_places(labels, number + 1) for number in range(classes)), strict=True)
    return (
        voxels,
        labels,
        np.asarray(volume.labels.shape, np.int32),
        np.asarray(volume.spacing, np.float32),
        statistics(voxels),
        np.stack(places),
        np.asarray(numbers, np.int32),
        values.sum(0),
        (values**2).sum(0),
        foreground.quantiles(values[labels > 0]),
    )


def _places(labels: np.ndarray, number: int) -> tuple[np.ndarray, int]:
    """Voxels of a class [F] int32, zeros at the end, and how many they are; a function of this mask alone."""
    found = np.flatnonzero(labels == number)
    if len(found) > PLACES:
        draw = np.random.default_rng((_PURPOSE, number))
        found = found[np.sort(draw.choice(len(found), PLACES, replace=False))]
    room = np.zeros(PLACES, np.int32)
    room[: len(found)] = found
    return room, len(found)
