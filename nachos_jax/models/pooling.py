"""Pooling whose gradients are cheap inside loops.

The gradient of XLA's `reduce_window` maximum is select-and-scatter, which takes most of a training step
on CPU. Here the maximum is taken over strided slices, one for each tap of the window, and its gradient
is written out with comparisons: in one pass where windows do not overlap.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from nachos_jax.models import fences

Window = tuple[tuple[int, int, int], ...]
"""(length, stride, padding on both sides) for each spatial axis."""


def max_pool(x: jax.Array, window: int = 2, stride: int = 2, padding: int = 0) -> jax.Array:
    """Maximum over windows of the spatial axes; what does not fill a window is cut off.

    The gradient goes to the first maximum of a window in row-major order, as XLA's own does.

    Args:
        x: [B, H, W, C] or [B, D, H, W, C], floating.
        window: side of the window; an axis of one pixel is not pooled.
        stride: step between windows.
        padding: cells of -inf added at both ends of every pooled axis; less than `window`.

    Returns:
        [B, H', W', C] or [B, D', H', W', C] with H' = (H + 2 padding - window) // stride + 1.

    Raises:
        ValueError: an axis is shorter than the window, or the padding could fill a window.
    """
    axes = window_axes(x.shape, window, stride, padding)
    return x if is_identity(axes) else _max_pool(x, axes)


def max_pool_by_axis(x: jax.Array, sides: Sequence[int]) -> jax.Array:
    """Maximum over windows side by side, the last of an axis maybe narrower: no pixel is cut off.

    Args:
        x: [B, H, W, C] or [B, D, H, W, C], floating.
        sides: of a window, along each spatial axis.

    Returns:
        [B, H', W', C] or [B, D', H', W', C] with H' = ceil(H / side).
    """
    rest = [(0, -n % side, 0) for n, side in zip(x.shape[1:-1], sides, strict=True)]
    if any(high for _, high, _ in rest):
        x = lax.pad(x, jnp.asarray(-math.inf, x.dtype), [(0, 0, 0), *rest, (0, 0, 0)])
    axes = tuple((side, side, 0) for side in sides)
    return x if is_identity(axes) else _max_pool(x, axes)


def global_average_pool(x: jax.Array) -> jax.Array:
    """Mean over the spatial axes: [B, H, W, C] or [B, D, H, W, C] of any dtype -> [B, C] float32."""
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)), dtype=jnp.float32)


def window_axes(shape: Sequence[int], window: int, stride: int, padding: int) -> Window:
    """The windows of a pooling of [B, H, W, C] or [B, D, H, W, C]; arguments and errors of `max_pool`."""
    if not 0 <= padding < window or stride < 1:
        raise ValueError(f"window {window}, stride {stride}, padding {padding}: no such pooling.")
    axes = tuple((1, 1, 0) if n == 1 else (window, stride, padding) for n in shape[1:-1])
    if any(n + 2 * pad < k for n, (k, _, pad) in zip(shape[1:-1], axes, strict=True)):
        raise ValueError(f"x {tuple(shape)} is smaller than a window of {window}; use fewer poolings.")
    return axes


def is_identity(axes: Window) -> bool:
    """True when every window is a single pixel and none is left out."""
    return all(axis == (1, 1, 0) for axis in axes)


def highest(x: jax.Array, axes: Window) -> jax.Array:
    """Maximum of each window: [B, H, W, C] -> [B, H', W', C]."""
    return functools.reduce(jnp.maximum, [_tap(x, offset, axes) for offset in _offsets(axes)])


def spread(x: jax.Array, y: jax.Array, gradient: jax.Array, axes: Window) -> jax.Array:
    """Takes the gradient of each window back to the first pixel of x that equals the window's y.

    x is [B, H, W, C], y and gradient [B, H', W', C], y one of the values of each window; the result has the
    shape of x and the dtype of gradient.
    """
    if is_identity(axes):
        return gradient
    if all(length == stride and not padding for length, stride, padding in axes):
        return _spread_tiles(x, y, gradient, axes)
    return _spread_windows(x, y, gradient, axes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x: jax.Array, axes: Window) -> jax.Array:
    return highest(x, axes)


def _forward(x: jax.Array, axes: Window) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    y = fences.once(functools.partial(highest, axes=axes), x)
    return y, (x, y)


def _backward(axes: Window, residuals: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array]:
    return (spread(*residuals, gradient, axes),)


_max_pool.defvjp(_forward, _backward)


def _spread_tiles(x: jax.Array, y: jax.Array, gradient: jax.Array, axes: Window) -> jax.Array:
    """For windows side by side: each pixel asks whether its window has chosen it."""
    chosen = fences.once(functools.partial(_chosen, axes=axes), x, y)
    lengths = [length for length, _, _ in axes]
    # [B, H', 1, W', 1, C] against the number of each tap, [1, 1, h, 1, w, 1].
    apart = [side for n in y.shape[1:-1] for side in (n, 1)]
    numbers = jnp.arange(math.prod(lengths)).reshape([1, *(side for k in lengths for side in (1, k)), 1])
    own = chosen.reshape(y.shape[0], *apart, -1) == numbers
    values = jnp.where(own, gradient.reshape(y.shape[0], *apart, -1), jnp.zeros((), gradient.dtype))
    tiled = values.reshape(y.shape[0], *(n * k for n, k in zip(y.shape[1:-1], lengths, strict=True)), -1)
    rest = [(0, n - m, 0) for n, m in zip(x.shape, tiled.shape, strict=True)]
    return lax.pad(tiled, jnp.zeros((), tiled.dtype), rest) if any(high for _, high, _ in rest) else tiled


def _chosen(x: jax.Array, y: jax.Array, axes: Window) -> jax.Array:
    """Number of the first tap that sees y: [B, H', W', C] int32."""
    offsets = _offsets(axes)
    chosen = jnp.full(y.shape, len(offsets) - 1, jnp.int32)
    for number in reversed(range(len(offsets) - 1)):
        chosen = jnp.where(_tap(x, offsets[number], axes) == y, number, chosen)
    return chosen


def _spread_windows(x: jax.Array, y: jax.Array, gradient: jax.Array, axes: Window) -> jax.Array:
    """For windows that may overlap: what each tap has earned is put back and added up."""
    shape = _pad(x, axes).shape
    total = jnp.zeros(shape, gradient.dtype)
    free = jnp.ones(y.shape, bool)
    for offset in _offsets(axes):
        chosen = (_tap(x, offset, axes) == y) & free
        free &= ~chosen
        total += _untap(jnp.where(chosen, gradient, jnp.zeros_like(gradient)), offset, axes, shape)
    inner = [slice(pad, n + pad) for n, (_, _, pad) in zip(x.shape[1:-1], axes, strict=True)]
    return total[:, *inner]


def _offsets(axes: Window) -> list[tuple[int, ...]]:
    """Position of each tap in the window, row-major."""
    return list(itertools.product(*(range(length) for length, _, _ in axes)))


def _pad(x: jax.Array, axes: Window) -> jax.Array:
    edges = [(0, 0, 0), *((pad, pad, 0) for _, _, pad in axes), (0, 0, 0)]
    return lax.pad(x, jnp.asarray(-math.inf, x.dtype), edges)


def _tap(x: jax.Array, offset: tuple[int, ...], axes: Window) -> jax.Array:
    """What one tap sees in every window: [B, H', W', C]."""
    padded = _pad(x, axes)
    starts, stops, steps = [], [], []
    for n, start, (length, stride, _) in zip(padded.shape[1:-1], offset, axes, strict=True):
        starts.append(start)
        stops.append(start + (n - length) // stride * stride + 1)
        steps.append(stride)
    return lax.slice(padded, (0, *starts, 0), (padded.shape[0], *stops, padded.shape[-1]), (1, *steps, 1))


def _untap(values: jax.Array, offset: tuple[int, ...], axes: Window, shape: tuple[int, ...]) -> jax.Array:
    """Transpose of `_tap` (before the padding is cut): puts values back where the tap saw them."""
    edges = [(0, 0, 0)]
    for n, m, start, (_, stride, _) in zip(shape[1:-1], values.shape[1:-1], offset, axes, strict=True):
        edges.append((start, n - start - (m - 1) * stride - 1, stride - 1))
    return lax.pad(values, jnp.zeros((), values.dtype), [*edges, (0, 0, 0)])
