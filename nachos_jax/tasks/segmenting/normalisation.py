"""Intensities of a case as a network wants them: clipped, shifted, scaled, by a choice that may be traced."""

from __future__ import annotations

import jax
import jax.numpy as jnp

CHOICES = ("z_score", "training", "percentiles", "min_max", "none", "ct")
"""By mean and SD of the case; by those of all voxels of the training cases, one scale for all (as CT has);
percentiles 0.5 to 99.5 of the case as 0 to 1, what lies beyond clipped; its smallest and largest value as 0
and 1; as they are; percentiles 0.5 to 99.5 of the foreground of the training cases, what lies beyond clipped,
by mean and SD of that foreground (nnU-Net's way with CT)."""


def normalised(
    image: jax.Array,
    stats: jax.Array,
    mean: jax.Array,
    sd: jax.Array,
    foreground: jax.Array,
    choice: jax.Array,
) -> jax.Array:
    """The image [..., C] float32 under one of CHOICES.

    Args:
        image: [..., C] float32, in stored range.
        stats: [C, 6] float32 of the case, see `nachos_jax.data.ragged.STATISTICS`.
        mean: [C] float32 of the training cases.
        sd: [C] float32 of the training cases.
        foreground: [C, 4] or [1, 4] float32 of the training cases, see
            `nachos_jax.data.foreground.VolumeSums`.
        choice: place in CHOICES, a scalar, traced or not.
    """
    own_mean, own_sd, p_low, p_high, low, high = (stats[:, k] for k in range(6))
    endless = jnp.full_like(low, jnp.inf)
    zero, one = jnp.zeros_like(low), jnp.ones_like(low)
    table = (
        (-endless, endless, own_mean, _or_one(own_sd)),
        (-endless, endless, mean, sd),
        (p_low, p_high, p_low, _or_one(p_high - p_low)),
        (-endless, endless, low, _or_one(high - low)),
        (-endless, endless, zero, one),
        tuple(jnp.broadcast_to(foreground[:, k], low.shape) for k in range(4)),
    )
    place = jnp.round(choice).astype(jnp.int32)
    least, most, shift, scale = (jnp.stack(column)[place] for column in zip(*table, strict=True))
    wide = (1,) * (image.ndim - 1)
    least, most, shift, scale = (value.reshape(*wide, -1) for value in (least, most, shift, scale))
    return (jnp.clip(image, least, most) - shift) / scale


def _or_one(spread: jax.Array) -> jax.Array:
    """A spread to divide by: 1 of a channel that never varies."""
    return jnp.where(spread > 0, spread, 1.0)
