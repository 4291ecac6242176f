"""Convolution as a matrix product: windows of an array side by side, made in parts that stay in a cache."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from nachos_jax.models import fences

CACHE = 2 * 2**20
"""Bytes of patches made at once: what a core of a processor finds again in its cache. Patches of a whole
batch of 64 images of 28 x 28 x 16 take 29 MB, and twice the time."""

SLAB = 2**19
"""Bytes of patches of a slab: 40 ms instead of 70 with slabs of a whole cache, 8 images of 128 x 128 x 16."""


NARROW = 32
"""Inputs a kernel reads (taps x channels) up to which patches times kernel beats XLA's convolution on a
processor: 0.5 against 1.7 ms for the first layer of one-channel images."""


@dataclass(frozen=True)
class Geometry:
    """What a convolution does along its spatial axes."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]


def patch_conv(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """Patches times kernel, a block of the batch after the other: [B, H', W', O]."""
    blocks = _blocks(x, kernel, geometry)
    if blocks == 1:
        return _patch_product(x, kernel, geometry)
    parts = lax.map(lambda part: _patch_product(part, kernel, geometry), split(x, blocks))
    return parts.reshape(-1, *parts.shape[2:])


def weight_gradient(x: jax.Array, kernel: jax.Array, gradient: jax.Array, geometry: Geometry) -> jax.Array:
    """Patches of x, transposed, times gradient, added up over blocks of the batch: [h, w, C, O]."""
    blocks = _blocks(x, kernel, geometry)
    if blocks == 1:
        return _weight_product(x, gradient, kernel, geometry)

    def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + _weight_product(*part, kernel, geometry), None

    return lax.scan(add, jnp.zeros_like(kernel), (split(x, blocks), split(gradient, blocks)))[0]


def slab_weight_gradient(
    x: jax.Array, kernel: jax.Array, gradient: jax.Array, geometry: Geometry
) -> jax.Array:
    """As `weight_gradient`, where the patches of one case are too many for a cache: slab after slab of it.

    A slab is some rows of the gradient along its first spatial axis, with the rows of x that they have seen.
    """
    rows = _rows(x, kernel, gradient, geometry)
    if rows == gradient.shape[1]:
        return weight_gradient(x, kernel, gradient, geometry)
    (low, high), step = geometry.padding[0], geometry.strides[0]
    edges = [(low, high, 0) if axis == 1 else (0, 0, 0) for axis in range(x.ndim)]
    padded = lax.pad(x, jnp.zeros((), x.dtype), edges)
    inner = replace(geometry, padding=((0, 0), *geometry.padding[1:]))
    seen, count = (rows - 1) * step + kernel.shape[0], gradient.shape[1] // rows

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        case, first = i // count, i % count * rows
        part = slab(padded, case, first * step, seen), slab(gradient, case, first, rows)
        return total + _slab_product(*part, kernel, inner).astype(total.dtype)

    # Many slabs are added up: a half-precision sum would lose the later ones.
    start = jnp.zeros(kernel.shape, exact(kernel.dtype))
    return lax.fori_loop(0, len(x) * count, add, start).astype(kernel.dtype)


def narrow(kernel: jax.Array) -> bool:
    """True for a kernel [h, w, C, O] of more than a pixel that reads few numbers."""
    return kernel.shape[-2] < prod(kernel.shape[:-1]) <= NARROW


def _patch_product(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    if narrow(kernel):
        taps = _taps(x, kernel, geometry)
        return _product(taps, kernel.reshape(-1, kernel.shape[-1]), (((0,), (0,)), ((), ())))
    patches = windows(x, kernel.shape[:-2], geometry)
    if max(geometry.strides) > 1:
        patches = fences.unfused(patches)
    weights = kernel.reshape(-1, kernel.shape[-1])
    return _product(patches, weights, (((patches.ndim - 1,), (0,)), ((), ())))


def _weight_product(x: jax.Array, gradient: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    if narrow(kernel):
        return over_pixels(_taps(x, kernel, geometry), gradient).astype(x.dtype).reshape(kernel.shape)
    patches = windows(x, kernel.shape[:-2], geometry)
    rows = tuple(range(patches.ndim - 1))
    return _product(patches, gradient, ((rows, rows), ((), ()))).reshape(kernel.shape)


def _slab_product(x: jax.Array, gradient: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """As `_weight_product`, with the narrower factor first, which takes XLA's CPU backend half the time."""
    patches = windows(x, kernel.shape[:-2], geometry)
    if patches.shape[-1] <= gradient.shape[-1]:
        return _weight_product(x, gradient, kernel, geometry)
    rows = tuple(range(patches.ndim - 1))
    return _product(gradient, patches, ((rows, rows), ((), ()))).T.reshape(kernel.shape)


def _taps(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    """[h * w * C, B, H', W']: whole rows are copied faster than the few numbers of a pixel side by side."""
    return windows(jnp.moveaxis(x, -1, 0), kernel.shape[:-2], geometry, channels_first=True)


def over_pixels(taps: jax.Array, rows: jax.Array) -> jax.Array:
    """Sums over pixels of [M, B, H, W] times [B, H, W, N], added up in float32 at least: [M, N]."""
    pixels = tuple(range(1, taps.ndim)), tuple(range(rows.ndim - 1))
    return lax.dot_general(taps, rows, (pixels, ((), ())), preferred_element_type=exact(taps.dtype))


def _product(a: jax.Array, b: jax.Array, numbers: lax.DotDimensionNumbers) -> jax.Array:
    """Matrix product that adds up in float32 at least and returns the dtype of a."""
    return lax.dot_general(a, b, numbers, preferred_element_type=exact(a.dtype)).astype(a.dtype)


def exact(dtype: jnp.dtype) -> DTypeLike:
    """In which numbers of this dtype are added up: float32 at least."""
    return dtype if dtype.itemsize >= 4 else jnp.float32


def windows(
    x: jax.Array, window: Sequence[int], geometry: Geometry, channels_first: bool = False
) -> jax.Array:
    """All windows of x: [B, H', W', h * w * C], the channels of a tap side by side.

    Args:
        x: [B, H, W, C].
        window: its sides, (h, w).
        geometry: strides and padding.
        channels_first: x is [C, B, H, W], and the result [h * w * C, B, H', W'].
    """
    first = 2 if channels_first else 1
    rest = x.ndim - first - len(window)
    edges = [(low, high, 0) for low, high in geometry.padding]
    padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * first + edges + [(0, 0, 0)] * rest)
    steps = [1] * first + list(geometry.strides) + [1] * rest
    sides = [1] * first + list(window) + [1] * rest
    taps = []
    for start in itertools.product(*(range(k) for k in sides)):
        axes = zip(start, padded.shape, sides, steps, strict=True)
        stop = [s + (n - k) // step * step + 1 for s, n, k, step in axes]
        taps.append(lax.slice(padded, start, stop, steps))
    return jnp.concatenate(taps, axis=0 if channels_first else -1)


def _blocks(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> int:
    """Number of equal blocks of the batch whose patches stay in a cache; those of one pixel are x itself."""
    if prod(kernel.shape[:-2]) == 1:
        return 1
    case = _case_bytes(x, kernel, geometry)
    return next((n for n in divisors(len(x)) if len(x) // n * case <= CACHE), len(x))


def _rows(x: jax.Array, kernel: jax.Array, gradient: jax.Array, geometry: Geometry) -> int:
    """Rows of a slab, as many in all; all rows where the patches of a case stay in the cache."""
    case, rows = _case_bytes(x, kernel, geometry), gradient.shape[1]
    if case <= CACHE:
        return rows
    return rows // next((n for n in divisors(rows) if case // n <= SLAB), rows)


def _case_bytes(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> int:
    """Bytes of the patches of one case."""
    spaces = zip(x.shape[1:-1], kernel.shape, geometry.strides, geometry.padding, strict=False)
    pixels = prod((n + low + high - k) // s + 1 for n, k, s, (low, high) in spaces)
    return pixels * prod(kernel.shape[:-2]) * x.shape[-1] * x.dtype.itemsize


def divisors(number: int) -> list[int]:
    """From 1 to the number itself."""
    return [n for n in range(1, number + 1) if number % n == 0]


def split(x: jax.Array, blocks: int) -> jax.Array:
    """[B, ...] -> [blocks, B / blocks, ...]."""
    return x.reshape(blocks, len(x) // blocks, *x.shape[1:])


def slab(x: jax.Array, case: jax.Array, first: jax.Array, rows: int) -> jax.Array:
    """[1, rows, ...] of one case."""
    starts = (case, first, *(jnp.zeros_like(case) for _ in range(x.ndim - 2)))
    return lax.dynamic_slice(x, starts, (1, rows, *x.shape[2:]))
