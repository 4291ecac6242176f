"""The motion of a volume: turned, shifted and enlarged about its middle by one linear interpolation."""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
from jax import lax

FLAT = 3.0
"""Longest side over the depth beyond which a volume turns within its slices alone (nnU-Net's rule)."""


def turns_within_slices(shape: tuple[int, ...]) -> bool:
    """Whether volumes [D, H, W, C] turn within their slices alone, as they have few of them."""
    return max(shape[:3]) > FLAT * shape[0]


def rotation(angles: jax.Array) -> jax.Array:
    """[3, 3]: turns about the first, then the second, then the third axis, by [3] radians."""
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    one, nil = jnp.float32(1.0), jnp.float32(0.0)

    def matrix(*entries: jax.Array) -> jax.Array:
        return jnp.stack(entries).reshape(3, 3)

    first = matrix(one, nil, nil, nil, cosine[0], -sine[0], nil, sine[0], cosine[0])
    second = matrix(cosine[1], nil, sine[1], nil, one, nil, -sine[1], nil, cosine[1])
    third = matrix(cosine[2], -sine[2], nil, sine[2], cosine[2], nil, nil, nil, one)
    # Sums of products, not matrix products, which accelerators round to fewer bits.
    both = jnp.sum(second[:, :, None] * first[None, :, :], axis=1)
    return jnp.sum(third[:, :, None] * both[None, :, :], axis=1)


def resample(volume: jax.Array, degrees: jax.Array, shift: jax.Array, factor: jax.Array) -> jax.Array:
    """What comes in from outside repeats the nearest voxel of the border, as in images.

    Args:
        volume: [D, H, W, C] float32.
        degrees: [3], about the axes of depth, height and width, in voxels.
        shift: [3], fractions of the sides, after the turn.
        factor: scalar, above 1 enlarges.

    Returns:
        [D, H, W, C] float32.
    """
    sides = volume.shape[:3]
    middle = [(side - 1) / 2 for side in sides]
    steps = rotation(jnp.deg2rad(degrees)) / factor
    places = [lax.broadcasted_iota(jnp.float32, sides, axis) - middle[axis] for axis in range(3)]
    ahead = [place - shift[axis] * sides[axis] for axis, place in enumerate(places)]
    low, part = [], []
    for axis, side in enumerate(sides):
        from_where = sum(steps[axis, along] * ahead[along] for along in range(3)) + middle[axis]
        inside = jnp.clip(from_where, 0.0, side - 1.0)
        low.append(jnp.floor(inside).astype(jnp.int32))
        part.append(inside - jnp.floor(inside))
    flat = volume.reshape(-1, volume.shape[-1])
    corners = [_corner(flat, sides, low, part, corner) for corner in itertools.product((0, 1), repeat=3)]
    return functools.reduce(jnp.add, corners)


def _corner(
    flat: jax.Array,
    sides: tuple[int, ...],
    low: list[jax.Array],
    part: list[jax.Array],
    corner: tuple[int, ...],
) -> jax.Array:
    """[D, H, W, C]: one of the eight neighbours of each place, times its weight."""
    z, y, x = (jnp.minimum(low[axis] + step, sides[axis] - 1) for axis, step in enumerate(corner))
    weights = [part[axis] if step else 1 - part[axis] for axis, step in enumerate(corner)]
    return functools.reduce(jnp.multiply, weights)[..., None] * flat[(z * sides[1] + y) * sides[2] + x]
