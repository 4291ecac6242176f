"""Depthwise convolution: as many shifted copies of the input as the kernel has taps, each times its weights.

XLA's CPU backend computes a convolution of one channel at a time without its matrix products; multiplied and
added in one loop, the same sum took a fourth to a seventh of the time there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax


def depthwise(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lowering: str,
) -> jax.Array:
    """Cross-correlation of each channel with a window of its own.

    Args:
        x: [B, H, W, C], floating.
        kernel: [h, w, 1, C], dtype of x.
        strides: step along H and W.
        padding: (low, high) of zeros along H and W.
        lowering: "lax" for XLA's grouped convolution; any other (see `nachos_jax.models.convolution`) for
            shifted copies.

    Returns:
        [B, H', W', C], dtype of x.
    """
    if lowering == "lax":
        return lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )
    return _shifted(x, kernel, strides, padding)


def _shifted(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Sequence[tuple[int, int]]
) -> jax.Array:
    edges = [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)]
    padded = lax.pad(x, jnp.zeros((), x.dtype), edges)
    sides = padded.shape[1:3]
    counts = [(n - k) // s + 1 for n, k, s in zip(sides, kernel.shape[:2], strides, strict=True)]
    total = jnp.zeros((len(x), *counts, x.shape[-1]), x.dtype)
    for i, j in itertools.product(*map(range, kernel.shape[:2])):
        stops = [start + (n - 1) * s + 1 for start, n, s in zip((i, j), counts, strides, strict=True)]
        seen = lax.slice(padded, (0, i, j, 0), (len(x), *stops, x.shape[-1]), (1, *strides, 1))
        total = total + seen * kernel[i, j][None, None]
    return total
