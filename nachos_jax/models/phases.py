"""Input gradients of strided convolutions without the zeros between the pixels of the output.

With a stride of 2 every second row of the input is seen by other taps of the kernel than its neighbours: the
rows of a phase, and likewise the columns, have a kernel of their own, which is every second tap of the whole.
A convolution for each phase does a quarter of the products of one over the output spread out with zeros.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nachos_jax.models.patches import Geometry

Forward = Callable[[jax.Array, jax.Array, Geometry], jax.Array]


class _Phase(NamedTuple):
    """The pixels r, r + stride, r + 2 stride, ... of an axis of the input."""

    first: int  # tap that they are seen by; the others follow at the stride
    edges: tuple[int, int]  # zeros around the output, so that a convolution gives a value for each pixel


def input_gradient(
    shape: tuple[int, ...], kernel: jax.Array, gradient: jax.Array, geometry: Geometry, forward: Forward
) -> jax.Array:
    """The gradient of a convolution's input, phase after phase.

    Args:
        shape: of the input, (B, H, W, C).
        kernel: [h, w, C, O], along each axis at least as long as its stride.
        gradient: [B, H', W', O] of the output.
        geometry: of the convolution.
        forward: a convolution with stride 1.

    Returns:
        [B, H, W, C], dtype of the gradient.
    """
    strides, axes = geometry.strides, len(geometry.strides)
    counts = [-(-n // s) for n, s in zip(shape[1:-1], strides, strict=True)]
    told = zip(counts, kernel.shape, strides, geometry.padding, gradient.shape[1:-1], strict=False)
    along = [_phases(count, k, s, low, m) for count, k, s, (low, _), m in told]
    found = [_of_phase(chosen, kernel, gradient, strides, forward) for chosen in itertools.product(*along)]
    # [B, counts, strides, C]: each count beside its stride gives back an axis.
    side_by_side = jnp.stack(found, -2).reshape(shape[0], *counts, *strides, shape[-1])
    order = [0, *(axis + part * axes for axis in range(1, axes + 1) for part in (0, 1)), 2 * axes + 1]
    whole = [count * s for count, s in zip(counts, strides, strict=True)]
    joined = side_by_side.transpose(order).reshape(shape[0], *whole, shape[-1])
    return joined[:, *(slice(n) for n in shape[1:-1])]


def _phases(count: int, taps: int, stride: int, low: int, outputs: int) -> list[_Phase]:
    """All phases of an axis, each of `count` pixels.

    Output o reads pixel j by the tap j + low - stride * o.
    """
    found = []
    for phase in range(stride):
        first = (phase + low) % stride
        seen = len(range(first, taps, stride))
        before = seen - 1 - (phase + low) // stride
        found.append(_Phase(first, (before, count + seen - 1 - outputs - before)))
    return found


def _of_phase(
    chosen: tuple[_Phase, ...],
    kernel: jax.Array,
    gradient: jax.Array,
    strides: tuple[int, ...],
    forward: Forward,
) -> jax.Array:
    """[B, counts, C]."""
    axes = range(len(chosen))
    taps = kernel[*(slice(phase.first, None, stride) for phase, stride in zip(chosen, strides, strict=True))]
    turned = jnp.swapaxes(lax.rev(taps, axes), -1, -2)
    edges = [(0, 0, 0), *((*phase.edges, 0) for phase in chosen), (0, 0, 0)]
    padded = lax.pad(gradient, jnp.zeros((), gradient.dtype), edges)
    return forward(padded, turned, Geometry((1,) * len(chosen), ((0, 0),) * len(chosen)))
