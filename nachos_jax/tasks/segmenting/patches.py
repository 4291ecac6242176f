"""Patches of volumes, cut on the device: image and mask by one gather, with one motion for both.

Places are in voxels of a case along its three axes. The middle of a patch of sides P lies at its own place
(P - 1) / 2; a frame says on which place of the case it falls, and how far a step in the patch goes there.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nachos_jax.data.augment_volumes import rotation
from nachos_jax.data.ragged import Volumes

ANISOTROPIC = 3.0
"""Spacing of the first axis over that of the others beyond which nothing turns out of its slice (nnU-Net)."""
_GRID = 256.0
"""Parts of a voxel to which places are rounded, so that turns by 90 degrees hit voxels exactly."""


class Frame(NamedTuple):
    """Where a patch lies in its case."""

    centre: jax.Array  # [3] float32, place of the patch's middle
    steps: jax.Array  # [3, 3] float32: column j is the way in the case for one step along axis j of the patch


class Motion(NamedTuple):
    """How a patch is moved beside being cut out; float32, and may be traced."""

    flips: jax.Array  # [3], 1 mirrors an axis
    angles: jax.Array  # [3] radians, turns about each axis, in mm
    scale: jax.Array  # scalar, above 1 enlarges
    shift: jax.Array  # [3], fractions of the patch's sides


def start(
    volumes: Volumes, row: jax.Array, patch: tuple[int, ...], draws: jax.Array, foreground: jax.Array
) -> jax.Array:
    """First voxel of a patch, [3] int32, drawn anew for every step.

    With a probability it holds a voxel of a class, all classes of the case alike, which may lie anywhere in
    the patch; else all places of the patch are alike. It stays within the case, or, along an axis that is
    shorter than the patch, the case stays within it.

    Args:
        volumes: the cases.
        row: which, int32.
        patch: its sides.
        draws: [6] uniform numbers in [0, 1).
        foreground: the probability, scalar.
    """
    shape, sides = volumes.shape[row], jnp.asarray(patch, jnp.int32)
    low, high = jnp.minimum(shape - sides, 0), jnp.maximum(shape - sides, 0)
    anywhere = low + _below(draws[:3], high - low + 1)
    there = volumes.n_places[row]
    number = _nth(there > 0, _below(draws[3], jnp.sum(there > 0, dtype=jnp.int32)))
    place = volumes.places[row, number, _below(draws[4], there[number])]
    voxel = jnp.stack([place // (shape[1] * shape[2]), place // shape[2] % shape[1], place % shape[2]])
    around = jnp.clip(voxel - _below(draws[:3], sides), low, high)
    wanted = (draws[5] < foreground) & jnp.any(there > 0)
    return jnp.where(wanted, around, anywhere)


def frame(first: jax.Array, patch: tuple[int, ...], motion: Motion, spacing: jax.Array) -> Frame:
    """The frame of a patch that begins at a voxel [3] int32 and is moved about its middle.

    Turns are turns in mm, whatever the spacing [3]. In patches of one slice, and in volumes of thick slices,
    nothing turns out of its slice.
    """
    sides = jnp.asarray(patch, jnp.float32)
    centre = first.astype(jnp.float32) + (sides - 1) / 2 + motion.shift * sides
    turn = jnp.asarray([1.0, 0.0, 0.0], jnp.float32)
    if patch[0] > 1:
        turn = jnp.where(spacing[0] > ANISOTROPIC * jnp.min(spacing), turn, 1.0)
    steps = rotation(motion.angles * turn) * spacing[None, :] / spacing[:, None] / motion.scale
    return Frame(centre, steps * (1 - 2 * motion.flips)[None, :])


def moved(
    volumes: Volumes, row: jax.Array, where: Frame, patch: tuple[int, ...]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The image by linear interpolation, the labels of the nearest voxels, and what lies in the case.

    Returns:
        [*patch, C] float32, [*patch] int32 and [*patch] bool. Beyond the case the image repeats its last
        voxels and the labels are background.
    """
    places = _places(where, patch)
    shape = volumes.shape[row]
    inside = _inside(places, shape)
    axes = (1, 2) if patch[0] == 1 else (0, 1, 2)
    before = [jnp.floor(place) for place in places]
    after = [place - floor for place, floor in zip(places, before, strict=True)]
    image = jnp.float32(0.0)
    for corner in range(2 ** len(axes)):
        steps = {axis: (corner >> bit) % 2 for bit, axis in enumerate(axes)}
        voxel = [before[axis] + steps.get(axis, 0) for axis in range(3)]
        weight = jnp.ones(patch, jnp.float32)
        for axis, step in steps.items():
            weight = weight * (after[axis] if step else 1 - after[axis])
        image = image + weight[..., None] * _taken(volumes.voxels, volumes, row, voxel).astype(jnp.float32)
    nearest = [jnp.floor(place + 0.5) for place in places]
    labels = _taken(volumes.labels, volumes, row, nearest).astype(jnp.int32)
    return image, jnp.where(inside, labels, 0), inside


def cut(
    volumes: Volumes, row: jax.Array, first: jax.Array, patch: tuple[int, ...], flips: jax.Array | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The same of a patch that begins at a voxel [3] int32 and is mirrored at most: no interpolation."""
    flat, inside = _voxels(volumes, row, first, patch, flips)
    labels = jnp.where(inside, volumes.labels[flat].astype(jnp.int32), 0)
    return volumes.voxels[flat].astype(jnp.float32), labels, inside


def votes(volumes: Volumes, row: jax.Array, first: jax.Array, patch: tuple[int, ...]) -> jax.Array:
    """[*patch, K + 1] int32: how many voxels of each class of the mask that the case came with lie here."""
    flat, inside = _voxels(volumes, row, first, patch)
    return jnp.where(inside[..., None], volumes.votes[flat].astype(jnp.int32), 0)


def _voxels(
    volumes: Volumes, row: jax.Array, first: jax.Array, patch: tuple[int, ...], flips: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Where the voxels of a patch stand among all, and which of them lie in the case; see `cut`."""
    shape = volumes.shape[row]
    lines = []
    for axis, side in enumerate(patch):
        step = jnp.arange(side, dtype=jnp.int32)
        if flips is not None:
            step = jnp.where(flips[axis] > 0, side - 1 - step, step)
        lines.append(first[axis] + step)
    inside = _outer(*((line >= 0) & (line < shape[axis]) for axis, line in enumerate(lines)))
    voxel = [jnp.clip(line, 0, shape[axis] - 1) for axis, line in enumerate(lines)]
    flat = (voxel[0][:, None, None] * shape[1] + voxel[1][None, :, None]) * shape[2] + voxel[2][None, None, :]
    return volumes.offset[row] + flat, inside


def _outer(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    return a[:, None, None] & b[None, :, None] & c[None, None, :]


def _places(where: Frame, patch: tuple[int, ...]) -> list[jax.Array]:
    """The place of every voxel of a patch along each axis of the case, [*patch] float32 each."""
    found = []
    for axis in range(3):
        place = jnp.full(patch, where.centre[axis])
        for along, side in enumerate(patch):
            step = lax.broadcasted_iota(jnp.float32, patch, along) - (side - 1) / 2
            place = place + where.steps[axis, along] * step
        found.append(jnp.round(place * _GRID) / _GRID)
    return found


def _inside(places: list[jax.Array], shape: jax.Array) -> jax.Array:
    inside = jnp.ones(places[0].shape, bool)
    for axis, place in enumerate(places):
        inside = inside & (place >= -0.5) & (place < shape[axis].astype(jnp.float32) - 0.5)
    return inside


def _taken(values: jax.Array, volumes: Volumes, row: jax.Array, voxel: list[jax.Array]) -> jax.Array:
    """Values at voxels ([*patch] float32 along each axis), which are moved into the case."""
    shape = volumes.shape[row]
    z, y, x = (jnp.clip(v.astype(jnp.int32), 0, shape[axis] - 1) for axis, v in enumerate(voxel))
    return values[volumes.offset[row] + (z * shape[1] + y) * shape[2] + x]


def _below(draws: jax.Array, count: jax.Array) -> jax.Array:
    """Whole numbers from 0 to below a count, from uniform numbers in [0, 1); 0 where the count is 0."""
    found = jnp.floor(draws * count.astype(jnp.float32)).astype(jnp.int32)
    return jnp.clip(found, 0, jnp.maximum(count - 1, 0))


def _nth(there: jax.Array, number: jax.Array) -> jax.Array:
    """Place of the number-th True in [K] bool, counted from 0."""
    return jnp.argmax((jnp.cumsum(there.astype(jnp.int32)) == number + 1) & there).astype(jnp.int32)
