"""Intensities of a case as a network wants them: clipped, shifted, scaled, by a choice that may be traced."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from nachos_jax.core.hparams import BY_TRAINING
from nachos_jax.data.foreground import UNLIMITED

TRAINING = BY_TRAINING
CHOICES = ("z_score", TRAINING, "percentiles", "min_max", "none", "clipped", "ct")
"""By mean and SD of the case; by those of all voxels of the training cases, one scale for all (as CT has);
percentiles 0.5 to 99.5 of the case as 0 to 1, what lies beyond clipped; its smallest and largest value as 0
and 1; as they are; what lies beyond percentiles 0.5 to 99.5 of the case clipped, then by mean and SD of what
that gives; percentiles 0.5 to 99.5 of the foreground of the training cases, what lies beyond clipped, by mean
and SD of that foreground (nnU-Net's way with CT)."""
WITHOUT_MASKS = CHOICES[:-1]
"""Those that need no foreground."""
OWN_SCALE = ("z_score", "percentiles", "min_max", "clipped")
"""Those to which the scale of an image does not matter."""
_WORDS = {
    "z_score": "({0} - mean) / SD of the case",
    TRAINING: "({0} - pixel_mean) / pixel_sd of the training cases, which are in the weights files",
    "percentiles": "percentiles 0.5 to 99.5 of the case as 0 to 1, what lies beyond clipped",
    "min_max": "the smallest and largest value of the case as 0 and 1",
    "none": "none",
    "clipped": "clipped to percentiles 0.5 and 99.5 of the case, then ({0} - mean) / SD of that",
    "ct": "clipped to percentiles 0.5 and 99.5 of the foreground of the training cases, then by its mean "
    "and SD; all four are in the weights files",
}


def words(choice: str, of: str) -> str:
    """A choice for people, `of` the "voxel" or "pixel"."""
    return _WORDS.get(choice, choice).format(of)


def by_case(choices: Iterable[str]) -> bool:
    """Whether some of them look at more than the training cases, so that a case brings its statistics."""
    return set(choices) != {TRAINING}


def limits(
    stats: jax.Array, mean: jax.Array, sd: jax.Array, foreground: jax.Array, choice: jax.Array | int
) -> tuple[jax.Array, ...]:
    """What clips, shifts and scales a case: least, most, shift and scale, [C] float32 each.

    Args:
        stats: [C, 8] float32 of the case, see `nachos_jax.data.measured.STATISTICS`.
        mean: [C] float32 of the training cases.
        sd: [C] float32 of the training cases.
        foreground: [C, 4] or [1, 4] float32 of the training cases, see
            `nachos_jax.data.foreground.VolumeSums`.
        choice: place in CHOICES, a scalar, traced or not.
    """
    own_mean, own_sd, p_low, p_high, low, high, clipped_mean, clipped_sd = (stats[:, k] for k in range(8))
    endless = jnp.full_like(low, jnp.inf)
    zero, one = jnp.zeros_like(low), jnp.ones_like(low)
    table = (
        (-endless, endless, own_mean, _or_one(own_sd)),
        (-endless, endless, mean, sd),
        (p_low, p_high, p_low, _or_one(p_high - p_low)),
        (-endless, endless, low, _or_one(high - low)),
        (-endless, endless, zero, one),
        (p_low, p_high, clipped_mean, _or_one(clipped_sd)),
        tuple(jnp.broadcast_to(foreground[:, k], low.shape) for k in range(4)),
    )
    place = jnp.round(jnp.asarray(choice, jnp.float32)).astype(jnp.int32)
    return tuple(jnp.stack(column)[place] for column in zip(*table, strict=True))


def of_cases(stats: np.ndarray, choice: str) -> np.ndarray:
    """[N, 4, C] float32: `limits` of N cases from their [N, C, 8], by a choice that looks at nothing else."""
    channels = stats.shape[1]
    none, foreground = jnp.zeros(channels, jnp.float32), jnp.asarray([UNLIMITED], jnp.float32)

    def one(own: jax.Array) -> tuple[jax.Array, ...]:
        return limits(own, none, none + 1, foreground, CHOICES.index(choice))

    return np.stack([np.asarray(column) for column in jax.vmap(one)(jnp.asarray(stats))], axis=1)


def normalised(
    image: jax.Array,
    stats: jax.Array,
    mean: jax.Array,
    sd: jax.Array,
    foreground: jax.Array,
    choice: jax.Array | int,
) -> jax.Array:
    """The image [..., C] float32, in stored range, under one of CHOICES; the rest as of `limits`."""
    wide = (1,) * (image.ndim - 1)
    found = limits(stats, mean, sd, foreground, choice)
    least, most, shift, scale = (value.reshape(*wide, -1) for value in found)
    return (jnp.clip(image, least, most) - shift) / scale


def _or_one(spread: jax.Array) -> jax.Array:
    """A spread to divide by: 1 of a channel that never varies."""
    return jnp.where(spread > 0, spread, 1.0)
