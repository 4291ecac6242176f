"""One convolution, several lowerings: the same numbers, chosen by speed on the device at hand.

XLA's CPU backend runs the gradients of a convolution 15 to 40 times slower inside a loop than outside
one, and every training of this project runs inside a loop. The other lowerings compute the same value
and the same gradients from forward convolutions and matrix products, which do not have that trap.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import jax
import jax.numpy as jnp
from jax import lax

from nachos_jax.config.fields import LOWERINGS

_NARROW = 32
"""Inputs a kernel reads (taps x channels) up to which patches times kernel beats XLA's convolution on
CPU: 0.5 against 1.7 ms for the first layer of one-channel images."""


_CACHE = 2 * 2**20
"""Bytes of patches made at once: what a core of a processor finds again in its cache. Patches of a whole
batch of 64 images of 28 x 28 x 16 take 29 MB, and twice the time."""


@dataclass(frozen=True)
class _Geometry:
    """What a convolution does along its spatial axes."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]


def default_lowering(platform: str) -> str:
    """The lowering to use on a platform ("cpu", "gpu", "tpu") when nothing has been timed there."""
    return "custom" if platform == "cpu" else "lax"


def conv(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    lowering: str = "lax",
) -> jax.Array:
    """Cross-correlation over the spatial axes, of which the kernel's rank says how many there are.

    Args:
        x: [B, H, W, C] (or [B, D, H, W, C]), float32 or bfloat16.
        kernel: [h, w, C, O] (or [d, h, w, C, O]), dtype of x.
        strides: step along each spatial axis.
        padding: (low, high) for each spatial axis, less than the kernel is long.
        lowering: "lax": XLA's convolution and its own gradients; "custom": XLA's convolution forward
            (a matrix product for kernels of 1x1 or few inputs), the input gradient as a forward
            convolution, the weight gradient as one matrix product;
            "shift": shifted slices side by side and one matrix product, gradients by JAX; "im2col": as
            "custom", with patches times kernel in the place of every convolution.

    Returns:
        [B, H', W', O] (or [B, D', H', W', O]), dtype of x.

    Raises:
        ValueError: there is no such lowering.
    """
    geometry = _Geometry(tuple(strides), tuple(padding))
    if lowering == "lax":
        return _lax_conv(x, kernel, geometry)
    if lowering not in LOWERINGS:
        raise ValueError(f"lowering = {lowering!r}: must be one of {', '.join(LOWERINGS)}.")
    pointwise = set(kernel.shape[:-2]) == {1}
    if lowering == "shift" or pointwise:
        return _patch_conv(x, kernel, geometry)
    return _conv_with_rule(x, kernel, geometry, lowering)


def _forward(x: jax.Array, kernel: jax.Array, geometry: _Geometry, lowering: str) -> jax.Array:
    narrow = prod(kernel.shape[:-1]) <= _NARROW
    return (_patch_conv if lowering == "im2col" or narrow else _lax_conv)(x, kernel, geometry)


def _lax_conv(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    space = "0123456789"[: kernel.ndim - 2]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    return lax.conv_general_dilated(x, kernel, geometry.strides, geometry.padding, dimension_numbers=numbers)


def _patch_conv(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    """Patches times kernel, a block of the batch after the other."""
    blocks = _blocks(x, kernel, geometry)
    if blocks == 1:
        return _patch_product(x, kernel, geometry)
    parts = lax.map(lambda part: _patch_product(part, kernel, geometry), _split(x, blocks))
    return parts.reshape(-1, *parts.shape[2:])


def _patch_product(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    patches = _patches(x, kernel.shape[:-2], geometry)
    weights = kernel.reshape(-1, kernel.shape[-1])
    return _product(patches, weights, (((patches.ndim - 1,), (0,)), ((), ())))


def _blocks(x: jax.Array, kernel: jax.Array, geometry: _Geometry) -> int:
    """Number of equal blocks of the batch whose patches stay in a processor's cache."""
    spaces = zip(x.shape[1:-1], kernel.shape, geometry.strides, geometry.padding, strict=False)
    pixels = prod((n + low + high - k) // s + 1 for n, k, s, (low, high) in spaces)
    case = pixels * prod(kernel.shape[:-2]) * x.shape[-1] * x.dtype.itemsize
    divisors = [n for n in range(1, len(x) + 1) if len(x) % n == 0]
    return next((n for n in divisors if len(x) // n * case <= _CACHE), len(x))


def _split(x: jax.Array, blocks: int) -> jax.Array:
    return x.reshape(blocks, len(x) // blocks, *x.shape[1:])


def _patches(x: jax.Array, window: Sequence[int], geometry: _Geometry) -> jax.Array:
    """All windows of x: [B, H', W', h * w * C], the channels of a tap side by side."""
    edges = [(0, 0, 0), *((low, high, 0) for low, high in geometry.padding), (0, 0, 0)]
    padded = lax.pad(x, jnp.zeros((), x.dtype), edges)
    axes = list(zip(padded.shape[1:-1], window, geometry.strides, strict=True))
    taps = []
    for start in itertools.product(*(range(k) for k in window)):
        stop = [s + (n - k) // step * step + 1 for s, (n, k, step) in zip(start, axes, strict=True)]
        ends = (x.shape[0], *stop, x.shape[-1])
        taps.append(lax.slice(padded, (0, *start, 0), ends, (1, *geometry.strides, 1)))
    return jnp.concatenate(taps, axis=-1)


def _product(a: jax.Array, b: jax.Array, numbers: lax.DotDimensionNumbers) -> jax.Array:
    """Matrix product that adds up in float32 at least and returns the dtype of a."""
    exact = a.dtype if a.dtype.itemsize >= 4 else jnp.float32
    return lax.dot_general(a, b, numbers, preferred_element_type=exact).astype(a.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_with_rule(x: jax.Array, kernel: jax.Array, geometry: _Geometry, lowering: str) -> jax.Array:
    return _forward(x, kernel, geometry, lowering)


def _rule_forward(
    x: jax.Array, kernel: jax.Array, geometry: _Geometry, lowering: str
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _forward(x, kernel, geometry, lowering), (x, kernel)


def _rule_backward(
    geometry: _Geometry, lowering: str, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    by_input = _input_gradient(x.shape, kernel, gradient, geometry, lowering)
    return by_input, _weight_gradient(x, kernel, gradient, geometry)


_conv_with_rule.defvjp(_rule_forward, _rule_backward)


def _input_gradient(
    shape: tuple[int, ...], kernel: jax.Array, gradient: jax.Array, geometry: _Geometry, lowering: str
) -> jax.Array:
    """Gradient [B, H', W', O] spread to the strides, convolved with the kernel turned round."""
    sizes = zip(
        shape[1:-1], kernel.shape, geometry.strides, geometry.padding, gradient.shape[1:-1], strict=False
    )
    edges = [(k - 1 - low, n + low - (m - 1) * s - 1, s - 1) for n, k, s, (low, _), m in sizes]
    pads = tuple((low, high) for low, high, _ in edges)
    if any(low < 0 or high < 0 or inside for low, high, inside in edges):
        # Zeros written between and around, so that a plain convolution is left, as in every forward pass.
        gradient = lax.pad(gradient, jnp.zeros((), gradient.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
        pads = ((0, 0),) * len(edges)
    turned = jnp.swapaxes(lax.rev(kernel, range(len(edges))), -1, -2)
    return _forward(gradient, turned, _Geometry((1,) * len(edges), pads), lowering)


def _weight_gradient(x: jax.Array, kernel: jax.Array, gradient: jax.Array, geometry: _Geometry) -> jax.Array:
    """Patches of x, transposed, times gradient, added up over blocks of the batch: [h, w, C, O]."""
    blocks = _blocks(x, kernel, geometry)
    if blocks == 1:
        return _weight_product(x, gradient, kernel, geometry)

    def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + _weight_product(*part, kernel, geometry), None

    return lax.scan(add, jnp.zeros_like(kernel), (_split(x, blocks), _split(gradient, blocks)))[0]


def _weight_product(x: jax.Array, gradient: jax.Array, kernel: jax.Array, geometry: _Geometry) -> jax.Array:
    patches = _patches(x, kernel.shape[:-2], geometry)
    rows = tuple(range(patches.ndim - 1))
    return _product(patches, gradient, ((rows, rows), ((), ()))).reshape(kernel.shape)
