"""Exact Euclidean distances on the device, for losses that know how far an error lies from the border."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp


def squared_distance(seeds: jax.Array, spacing: jax.Array) -> jax.Array:
    """Squared distance of every voxel to the nearest seed.

    The nearest is found along one axis after the other, as the minimum over all places of what the axes
    before gave plus the squared step (Felzenszwalb and Huttenlocher 2012, by all pairs of a line in place of
    the lower envelope: what vector units do at once).

    Args:
        seeds: [..., *space] bool.
        spacing: [rank] float32, mm of a voxel along each axis of space.

    Returns:
        [..., *space] float32 in mm^2, infinite where there is no seed.
    """
    field = jnp.where(seeds, jnp.float32(0.0), jnp.inf)
    for axis in range(len(spacing)):
        field = _nearest_along(field, axis - len(spacing), spacing[axis])
    return field


def squared_distance_to_border(mask: jax.Array, spacing: jax.Array) -> jax.Array:
    """Squared distance of every voxel to the nearest one of the other kind, 0 where all are of one kind.

    Args:
        mask: [..., *space] bool.
        spacing: [rank] float32, mm.

    Returns:
        [..., *space] float32 in mm^2.
    """
    to_outside, to_inside = squared_distance(jnp.stack([~mask, mask]), spacing)
    found = jnp.where(mask, to_outside, to_inside)
    return jnp.where(jnp.isfinite(found), found, 0.0)


def _nearest_along(field: jax.Array, axis: int, step: jax.Array) -> jax.Array:
    """The minimum over one axis of the field elsewhere and the squared way there: [..., *space].

    Written out place by place, XLA makes one pass of it: 3 ms for 48^3 on a CPU, 98 ms as a reduction.
    """
    lines = jnp.moveaxis(field, axis, 0)
    places = jnp.arange(len(lines), dtype=jnp.float32).reshape(-1, *(1,) * (field.ndim - 1))
    ways = (lines[place][None] + ((places - place) * step) ** 2 for place in range(len(lines)))
    return jnp.moveaxis(functools.reduce(jnp.minimum, ways), 0, axis)
