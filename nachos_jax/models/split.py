"""Weight gradients whose taps are shared out between both factors of the matrix product.

Patches hold every pixel of x once for each tap, and cutting them and putting them side by side takes a
processor as long as the product itself. Here x is shifted along the last axes only and the gradient along the
first ones, so that for windows of 3 x 3 each is there three times instead of x nine times, and the product
is nearer to a square. The channels of x come first, as the left side of a product wants them, so that whole
rows are copied where it is shifted. The sums are those of `nachos_jax.models.patches.weight_gradient`, in
another order.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nachos_jax.models import patches
from nachos_jax.models.patches import Geometry, slab_weight_gradient

CACHE = 2**19
"""Bytes of both factors that are made at once, about what the second cache of a core holds."""

MOST = 2**21
"""Bytes of them where the sums are large: a part has to be worth reading and writing these once more."""

CASE = 2**23
"""Bytes of both factors of a case up to which its taps are shared out; a part is one case at least."""

WIDE = 64
"""Channels from which on every other pixel is copied faster with its channels side by side."""


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
    pixels = prod(x.shape[1 : 1 + turned]) * prod(gradient.shape[1 + turned : -1])
    case = pixels * _copies(kernel.shape, turned) * x.dtype.itemsize
    # Few inputs stand side by side already: the forward pass has put them there by the same words.
    if patches.narrow(kernel) or case > CASE or not turned and x.shape[-1] >= WIDE:
        return slab_weight_gradient(x, kernel, gradient, geometry)
    work = _Work(x.shape, kernel.shape, gradient.shape, geometry, turned)
    # Many parts are added up: a half-precision sum would lose the later ones.
    start = jnp.zeros(work.sums, patches.exact(kernel.dtype))
    room = max(CACHE, min(4 * start.nbytes, MOST))
    parts = next((n for n in patches.divisors(len(x)) if len(x) // n * case <= room), len(x))

    def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + _product(jnp.moveaxis(part[0], -1, 0), part[1], work), None

    found = lax.scan(add, start, (patches.split(x, parts), patches.split(gradient, parts)))[0]
    return _in_order(found, kernel.shape, turned).astype(kernel.dtype)


class _Work(NamedTuple):
    """What is computed."""

    x: tuple[int, ...]  # shapes
    kernel: tuple[int, ...]
    gradient: tuple[int, ...]
    geometry: Geometry  # of the convolution
    turned: int  # axes, the first ones, along which the gradient is shifted

    @property
    def sums(self) -> tuple[int, ...]:
        """Taps of the last axes, inputs, taps of the first axes from the last to the first, outputs."""
        *window, inputs, outputs = self.kernel
        return (*window[self.turned :], inputs, *window[: self.turned], outputs)

    def edges(self, axis: int) -> tuple[int, int]:
        """Rows of zeros around the gradient where a tap looks beyond it."""
        low = self.geometry.padding[axis][0]
        return self.kernel[axis] - 1 - low, self.x[axis + 1] + low - self.gradient[axis + 1]


def _turned(x: tuple[int, ...], kernel: tuple[int, ...], geometry: Geometry) -> int:
    """Axes, the first ones, along which the gradient is shifted: what makes the fewest copies of numbers."""
    free = next((i for i, step in enumerate(geometry.strides) if step != 1), len(geometry.strides))
    # With one row there is nothing to share out.
    return min(range(free + 1), key=lambda axes: (_copies(kernel, axes), axes)) if x[1] > 1 else 0


def _copies(kernel: tuple[int, ...], turned: int) -> int:
    """Numbers a pixel of both factors."""
    *window, inputs, outputs = kernel
    return prod(window[turned:]) * inputs + prod(window[:turned]) * outputs


def _product(x: jax.Array, gradient: jax.Array, work: _Work) -> jax.Array:
    """Sums over pixels of x [C, B, H, W], shifted along the last axes, times the gradient along others."""
    window, strides, turned = work.kernel[:-2], work.geometry.strides, work.turned
    axes = len(strides)
    still = ((0, 0),) * axes
    around = (*(work.edges(axis) for axis in range(turned)), *still[turned:])
    ours = Geometry(strides, (*still[:turned], *work.geometry.padding[turned:]))
    theirs = Geometry((1,) * axes, around)
    exact = patches.exact(x.dtype)  # of half-precision factors XLA's CPU backend cannot do every product
    seen = patches.windows(x, (*(1,) * turned, *window[turned:]), ours, channels_first=True)
    ones = (1,) * (axes - turned)
    by = patches.windows(gradient, (*window[:turned], *ones), theirs)
    return patches.over_pixels(seen.astype(exact), by.astype(exact)).reshape(work.sums)


def _in_order(total: jax.Array, kernel: tuple[int, ...], turned: int) -> jax.Array:
    """[h, w, C, O] of what has the shape of `_Work.sums`."""
    rest = len(kernel) - 2 - turned
    first = tuple(range(rest + 1, rest + 1 + turned))
    return jnp.transpose(lax.rev(total, first), (*first, *range(rest), rest, total.ndim - 1))
