"""Weight gradients whose taps are shared out between both factors of the matrix product.

Patches hold every pixel of x once for each tap, and cutting them and putting them side by side takes a
processor as long as the product itself. Here x is shifted along the last axes only and the gradient along the
first ones, so that for windows of 3 x 3 each is there three times instead of x nine times, and the product
is nearer to a square. The sums are those of `nachos_jax.models.patches.weight_gradient`, in another order.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nachos_jax.models import patches
from nachos_jax.models.patches import Geometry, slab_weight_gradient

CACHE = 2**18
"""Bytes of both factors made at once, less than the second cache of a core holds."""


def split_weight_gradient(
    x: jax.Array, kernel: jax.Array, gradient: jax.Array, geometry: Geometry
) -> jax.Array:
    """The gradient of a convolution's kernel, added up over parts that stay in a cache.

    Args:
        x: [B, H, W, C] (or [B, D, H, W, C]).
        kernel: [h, w, C, O] (or [d, h, w, C, O]); only its shape and dtype are used.
        gradient: [B, H', W', O] of the output.
        geometry: of the convolution.

    Returns:
        The shape and dtype of the kernel.
    """
    turned = _turned(x.shape, kernel.shape, geometry)
    if not turned:
        return slab_weight_gradient(x, kernel, gradient, geometry)
    case = prod(x.shape[1:-1]) * _copies(kernel.shape, turned) * x.dtype.itemsize
    work = _Work(kernel.shape, geometry, turned)
    # Many parts are added up: a half-precision sum would lose the later ones.
    start = jnp.zeros(work.sums, patches.exact(kernel.dtype))
    by_part = _by_cases if case <= CACHE else _by_slabs
    return _in_order(by_part(x, gradient, work, case, start), kernel.shape, turned).astype(kernel.dtype)


class _Work(NamedTuple):
    """What is computed."""

    kernel: tuple[int, ...]  # its shape
    geometry: Geometry  # of the convolution
    turned: int  # axes, the first ones, along which the gradient is shifted

    @property
    def sums(self) -> tuple[int, ...]:
        """Taps of the last axes, inputs, taps of the first axes from the last to the first, outputs."""
        *window, inputs, outputs = self.kernel
        return (*window[self.turned :], inputs, *window[: self.turned], outputs)

    def edges(self, x: jax.Array, gradient: jax.Array, axis: int) -> tuple[int, int]:
        """Rows of zeros around the gradient where a tap looks beyond it."""
        low = self.geometry.padding[axis][0]
        return self.kernel[axis] - 1 - low, x.shape[axis + 1] + low - gradient.shape[axis + 1]


def _by_cases(x: jax.Array, gradient: jax.Array, work: _Work, case: int, start: jax.Array) -> jax.Array:
    """Some whole cases after others, so many as fit the cache."""
    parts = next(n for n in patches.divisors(len(x)) if len(x) // n * case <= CACHE)

    def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + _product(*part, work, work.edges(*part, 0)), None

    if parts == 1:
        return add(start, (x, gradient))[0]
    return lax.scan(add, start, (patches.split(x, parts), patches.split(gradient, parts)))[0]


def _by_slabs(x: jax.Array, gradient: jax.Array, work: _Work, case: int, start: jax.Array) -> jax.Array:
    """Some rows of a case after others, with the rows of the gradient that have seen them."""
    rows = x.shape[1] // next(
        (n for n in patches.divisors(x.shape[1]) if case // n <= patches.SLAB), x.shape[1]
    )
    slabs = x.shape[1] // rows
    around = [(*work.edges(x, gradient, 0), 0) if axis == 1 else (0, 0, 0) for axis in range(x.ndim)]
    padded = lax.pad(gradient, jnp.zeros((), gradient.dtype), around)

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        case, row = i // slabs, i % slabs * rows
        seen = patches.slab(x, case, row, rows)
        return total + _product(
            seen, patches.slab(padded, case, row, rows + work.kernel[0] - 1), work, (0, 0)
        )

    return lax.fori_loop(0, len(x) * slabs, add, start)


def _turned(x: tuple[int, ...], kernel: tuple[int, ...], geometry: Geometry) -> int:
    """Axes, the first ones, along which the gradient is shifted: what makes the fewest copies of numbers."""
    free = next((i for i, step in enumerate(geometry.strides) if step != 1), len(geometry.strides))
    # With one row there is nothing to share out.
    return min(range(free + 1), key=lambda axes: (_copies(kernel, axes), axes)) if x[1] > 1 else 0


def _copies(kernel: tuple[int, ...], turned: int) -> int:
    """Numbers a pixel of both factors."""
    *window, inputs, outputs = kernel
    return prod(window[turned:]) * inputs + prod(window[:turned]) * outputs


def _product(x: jax.Array, gradient: jax.Array, work: _Work, first: tuple[int, int]) -> jax.Array:
    """Sums over pixels of x, shifted along the last axes, times the gradient, along the first.

    Around the first axis of the gradient are so many rows of zeros.
    """
    window, strides, turned = work.kernel[:-2], work.geometry.strides, work.turned
    axes = len(strides)
    still = ((0, 0),) * axes
    around = (first, *(work.edges(x, gradient, axis) for axis in range(1, turned)), *still[turned:])
    ours = Geometry(strides, (*still[:turned], *work.geometry.padding[turned:]))
    seen = patches.windows(x, (*(1,) * turned, *window[turned:]), ours)
    by = patches.windows(gradient, (*window[:turned], *(1,) * (axes - turned)), Geometry((1,) * axes, around))
    rows = tuple(range(seen.ndim - 1))
    # The narrower factor first takes XLA's CPU backend less time.
    one, other = (seen, by) if seen.shape[-1] <= by.shape[-1] else (by, seen)
    exact = patches.exact(x.dtype)  # of half-precision factors XLA's CPU backend cannot do every product
    found = lax.dot_general(one.astype(exact), other.astype(exact), ((rows, rows), ((), ())))
    return (found if one is seen else found.T).reshape(work.sums)


def _in_order(total: jax.Array, kernel: tuple[int, ...], turned: int) -> jax.Array:
    """[h, w, C, O] of what has the shape of `_Work.sums`."""
    rest = len(kernel) - 2 - turned
    first = tuple(range(rest + 1, rest + 1 + turned))
    return jnp.transpose(lax.rev(total, first), (*first, *range(rest), rest, total.ndim - 1))
