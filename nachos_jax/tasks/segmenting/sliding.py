"""Whole cases seen window by window, when they are larger than the patch that a network was trained on.

Window starts follow nnU-Net: no further apart than a stride, spread evenly, so that the last ends with the
case. All sizes are [rank] int32 and may be traced, so cases of different shapes share a program; a case that
is shorter than the patch has one window along that axis, which starts at 0 and reaches over its end.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Apply = Callable[[jax.Array], jax.Array]
"""[B, *patch, C] -> [B, *patch, K]."""
Read = Callable[[jax.Array], jax.Array]
"""Start [rank] int32 of a window -> its prepared image [*patch, C]; whatever it holds beyond the case."""
Measure = Callable[[jax.Array, jax.Array, jax.Array], Any]
"""Logits [*patch, K], start [rank], own voxels [*patch] bool -> arrays that may be added up."""


@dataclass(frozen=True)
class Grid:
    """Where windows lie.

    Attributes:
        patch: sides of a window in voxels.
        stride: largest steps between starts.
    """

    patch: tuple[int, ...]
    stride: tuple[int, ...]

    def together(self, canvas: Sequence[int], voxels: int) -> int:
        """Windows to give to a network in one call, so that these hold no more than so many voxels.

        Calls are of equal size, so that few windows of the largest case, which the canvas holds, are idle.
        """
        sides = zip(canvas, self.patch, self.stride, strict=True)
        many = math.prod(-(-max(side - own, 0) // step) + 1 for side, own, step in sides)
        calls = -(-many // max(1, voxels // math.prod(self.patch)))
        return -(-many // calls)

    def across(self, shape: jax.Array) -> jax.Array:
        """[rank] windows along each axis of a case of this shape."""
        return -(-self._spare(shape) // self._sizes(self.stride)) + 1

    def starts(self, places: jax.Array, shape: jax.Array) -> jax.Array:
        """[rank] first voxel of the window at a place [rank], counted along each axis."""
        gaps = jnp.maximum(self.across(shape) - 1, 1)
        return (2 * places * self._spare(shape) + gaps) // (2 * gaps)

    def own(self, places: jax.Array, shape: jax.Array) -> tuple[jax.Array, jax.Array]:
        """First own voxel of the window, and the first behind, both [rank]: each voxel has one owner.

        Neighbours meet in the middle of what both see, where they are farthest from their borders.
        """

        def border(after: jax.Array) -> jax.Array:
            seen = self.starts(after - 1, shape) + self._sizes(self.patch) + self.starts(after, shape)
            return jnp.where(after == 0, 0, jnp.where(after == self.across(shape), shape, seen // 2))

        return border(places), border(places + 1)

    def place(self, number: jax.Array, shape: jax.Array) -> jax.Array:
        """[rank] place of a window by its number, the last axis first."""
        found = []
        for many in reversed(list(self.across(shape))):
            found.append(number % many)
            number = number // many
        return jnp.stack(found[::-1])

    def _spare(self, shape: jax.Array) -> jax.Array:
        return jnp.maximum(shape - self._sizes(self.patch), 0)

    @staticmethod
    def _sizes(sizes: tuple[int, ...]) -> jax.Array:
        return jnp.asarray(sizes, jnp.int32)


def grid(patch: Sequence[int], step: float) -> Grid:
    """Windows whose starts are at most `step` of a side apart: 1 for no overlap, 0.5 as in nnU-Net.

    Raises:
        ValueError: step is not above 0 and at most 1.
    """
    if not 0 < step <= 1:
        raise ValueError(f"step {step}: must be above 0 and at most 1.")
    return Grid(tuple(patch), tuple(max(1, int(side * step)) for side in patch))


def over_tiles(apply: Apply, read: Read, shape: jax.Array, where: Grid, measure: Measure) -> Any:
    """Sum over the windows of a case of what is measured of their own voxels: each voxel counts once.

    Args:
        apply: the network.
        read: the image of a window.
        shape: [rank] int32 of the case.
        where: of the windows; a step of 1 costs least.
        measure: must count own voxels only.
    """

    def at(number: jax.Array) -> Any:
        place = where.place(number, shape)
        start = where.starts(place, shape)
        low, high = where.own(place, shape)
        return measure(apply(read(start)[None])[0], start, _within(start, low, high, where.patch))

    return _summed(at, jnp.prod(where.across(shape)))


def counts(logits: jax.Array, labels: jax.Array, own: jax.Array) -> jax.Array:
    """[K - 1, 3] int32: true positive, false positive, false negative voxels of the classes, no background.

    Args:
        logits: [*space, K] float32.
        labels: [*space] int32.
        own: [*space] bool, voxels that count.
    """
    called = jnp.argmax(logits, -1).astype(jnp.int32)

    def of(number: int) -> list[jax.Array]:
        said, true = own & (called == number), own & (labels == number)
        return [jnp.sum(hits, dtype=jnp.int32) for hits in (said & true, said & ~true, true & ~said)]

    return jnp.stack([jnp.stack(of(number)) for number in range(1, logits.shape[-1])])


def counts_of_votes(logits: jax.Array, votes: jax.Array, own: jax.Array) -> jax.Array:
    """`counts` on another grid, of which so many voxels of each class lie in a voxel: votes [*space, K]."""
    called = jnp.argmax(logits, -1).astype(jnp.int32)
    mine = jnp.where(own[..., None], votes, 0)
    every = jnp.sum(mine, -1, dtype=jnp.int32)

    def of(number: int) -> list[jax.Array]:
        said, true = called == number, mine[..., number]
        parts = (jnp.where(said, true, 0), jnp.where(said, every - true, 0), jnp.where(said, 0, true))
        return [jnp.sum(part, dtype=jnp.int32) for part in parts]

    return jnp.stack([jnp.stack(of(number)) for number in range(1, logits.shape[-1])])


def averaged(
    apply: Apply, read: Read, shape: jax.Array, where: Grid, canvas: tuple[int, ...], together: int = 1
) -> jax.Array:
    """Logits of a whole case, the mean over all windows that see a voxel, by their `importance`.

    Args:
        apply: the network, perhaps `mirrored`.
        read: the image of a window.
        shape: [rank] int32 of the case.
        where: of the windows; a step of 0.5 as in nnU-Net.
        canvas: shape of the result, at least that of the case and that of the patch.
        together: windows that the network is given in one call.

    Returns:
        [*canvas, K] float32, 0 where no window reaches.
    """
    weights = jnp.asarray(importance(where.patch))[..., None]
    many = jnp.prod(where.across(shape))

    def start(number: jax.Array) -> jax.Array:
        return where.starts(where.place(number, shape), shape)

    def call(first: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        numbers = first * together + jnp.arange(together, dtype=jnp.int32)
        starts = jax.vmap(start)(numbers)
        logits = apply(jax.vmap(read)(starts))

        def add(place: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            # The last call may go on beyond the last window: with windows that were seen, and count no more.
            counted = jnp.where(numbers[place] < many, weights, 0.0)
            at = starts[place]
            return _added(sums[0], counted * logits[place], at), _added(sums[1], counted, at)

        return lax.fori_loop(0, together, add, sums)

    seen = jax.eval_shape(lambda: apply(read(jnp.zeros_like(shape))[None])[0])
    empty = jnp.zeros((*canvas, seen.shape[-1]), jnp.float32), jnp.zeros((*canvas, 1), jnp.float32)
    total, weight = lax.fori_loop(0, -(-many // together), call, empty)
    return total / jnp.where(weight > 0, weight, 1.0)


@functools.cache
def importance(patch: tuple[int, ...]) -> np.ndarray:
    """[*patch] float32: Gaussian weights of a window's voxels, SD an eighth of the side (nnU-Net), largest 1.

    Centred between the middle voxels of an even side, where nnU-Net takes the one behind: so a mirrored case
    gives the mirrored mean.
    """
    sides = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2) for n in patch]
    whole = functools.reduce(np.multiply.outer, sides)
    return (whole / whole.max()).astype(np.float32)


def mirrored(apply: Apply, axes: Sequence[int]) -> Apply:
    """The mean of a network over all mirrorings along some axes of space, 0 the first; 2^len(axes) calls."""

    def mean(images: jax.Array) -> jax.Array:
        def seen(number: jax.Array) -> jax.Array:
            return _turned(apply(_turned(images, number, axes)), number, axes)

        return _summed(seen, 2 ** len(axes)) / 2 ** len(axes)

    return mean


def _turned(images: jax.Array, number: jax.Array, axes: Sequence[int]) -> jax.Array:
    """Images [B, *patch, C] mirrored along the axes whose bit of the number is set."""
    for bit, axis in enumerate(axes):
        images = jnp.where((number >> bit) % 2 == 1, jnp.flip(images, axis + 1), images)
    return images


def _within(start: jax.Array, low: jax.Array, high: jax.Array, patch: tuple[int, ...]) -> jax.Array:
    """[*patch] bool: voxels of a window that lie from low to before high, [rank] in voxels of the case."""
    inside = jnp.ones(patch, bool)
    for axis in range(len(patch)):
        voxels = start[axis] + lax.broadcasted_iota(jnp.int32, patch, axis)
        inside = inside & (voxels >= low[axis]) & (voxels < high[axis])
    return inside


def _added(canvas: jax.Array, patch: jax.Array, start: jax.Array) -> jax.Array:
    """The canvas with a patch added from a start on."""
    at = [*start, jnp.int32(0)]
    there = lax.dynamic_slice(canvas, at, patch.shape)
    return lax.dynamic_update_slice(canvas, there + patch, at)


def _summed(function: Callable[[jax.Array], Any], many: jax.Array | int) -> Any:
    """Sum of a function of 0, 1, ... below `many`: arrays in any structure."""
    like = jax.eval_shape(function, jnp.int32(0))
    zeros = jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), like)
    return lax.fori_loop(
        0, many, lambda number, total: jax.tree.map(jnp.add, total, function(jnp.int32(number))), zeros
    )
