"""One convolution, several lowerings: the same numbers, chosen by speed on the device at hand.

XLA's CPU backend runs the gradients of a convolution 15 to 40 times slower inside a loop than outside
one, and every training of this project runs inside a loop. The other lowerings compute the same value
and the same gradients from forward convolutions and matrix products, which do not have that trap.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from nachos_jax.config.fields import LOWERINGS
from nachos_jax.models import phases
from nachos_jax.models.patches import Geometry, narrow, patch_conv, slab_weight_gradient, weight_gradient
from nachos_jax.models.split import split_weight_gradient

_WEIGHT_GRADIENTS = {
    "slab": slab_weight_gradient,
    "fold": slab_weight_gradient,
    "split": split_weight_gradient,
}
"""Of the lowerings that do not make the patches of a block of cases."""


def default_lowering(platform: str) -> str:
    """The lowering to use when nothing has been timed.

    Args:
        platform: "cpu", "gpu" or "tpu".
    """
    return "split" if platform == "cpu" else "lax"


def spatial_axes(shape: Sequence[int]) -> int:
    """Axes of a case along which there is something to convolve: those longer than a pixel."""
    return sum(side > 1 for side in shape[:-1])


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
            convolution, the weight gradient as one matrix product; "slab": as "custom", with the weight
            gradient in parts along the first axis where a case is too large for a cache; "fold": as "slab"
            in 2-D, to which it takes a 3-D convolution: the taps of the first axis side by side as
            channels, the axis itself as cases of the batch; "split": as "fold", with the taps of the weight
            gradient shared out between both factors, see `nachos_jax.models.split`, and the input gradient
            of a strided convolution in phases, see `nachos_jax.models.phases`;
            "shift": shifted slices side by side and one matrix product, gradients by JAX; "im2col": as
            "custom", with patches times kernel in the place of every convolution.

    Returns:
        [B, H', W', O] (or [B, D', H', W', O]), dtype of x.

    Raises:
        ValueError: there is no such lowering.
    """
    geometry = Geometry(tuple(strides), tuple(padding))
    if lowering == "lax":
        return _lax_conv(x, kernel, geometry)
    if lowering not in LOWERINGS:
        raise ValueError(f"lowering = {lowering!r}: must be one of {', '.join(LOWERINGS)}.")
    pointwise = set(kernel.shape[:-2]) == {1}
    if lowering == "shift" or pointwise:
        return patch_conv(x, kernel, geometry)
    if lowering in ("fold", "split") and kernel.ndim == 5:
        return _folded(x, kernel, geometry, lowering)
    return _conv_with_rule(x, kernel, geometry, lowering)


def _forward(x: jax.Array, kernel: jax.Array, geometry: Geometry, lowering: str) -> jax.Array:
    return (patch_conv if lowering == "im2col" or narrow(kernel) else _lax_conv)(x, kernel, geometry)


def _lax_conv(x: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
    space = "0123456789"[: kernel.ndim - 2]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    return lax.conv_general_dilated(x, kernel, geometry.strides, geometry.padding, dimension_numbers=numbers)


def _folded(x: jax.Array, kernel: jax.Array, geometry: Geometry, lowering: str) -> jax.Array:
    """A 3-D convolution as a 2-D one of [B D', H, W, d C] with a kernel [h, w, d C, O]."""
    taps, (low, high), step = kernel.shape[0], geometry.padding[0], geometry.strides[0]
    padded = lax.pad(
        x, jnp.zeros((), x.dtype), [(low, high, 0) if axis == 1 else (0, 0, 0) for axis in range(5)]
    )
    depth = (padded.shape[1] - taps) // step + 1
    seen = [lax.slice_in_dim(padded, tap, tap + (depth - 1) * step + 1, step, axis=1) for tap in range(taps)]
    cases = jnp.concatenate(seen, -1).reshape(-1, *x.shape[2:4], taps * x.shape[-1])
    weights = jnp.moveaxis(kernel, 0, 2).reshape(*kernel.shape[1:3], -1, kernel.shape[-1])
    out = conv(cases, weights, geometry.strides[1:], geometry.padding[1:], lowering)
    return out.reshape(len(x), depth, *out.shape[1:])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_with_rule(x: jax.Array, kernel: jax.Array, geometry: Geometry, lowering: str) -> jax.Array:
    return _forward(x, kernel, geometry, lowering)


def _rule_forward(
    x: jax.Array, kernel: jax.Array, geometry: Geometry, lowering: str
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _forward(x, kernel, geometry, lowering), (x, kernel)


def _rule_backward(
    geometry: Geometry, lowering: str, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    by_input = (_by_phases if _has_phases(kernel, geometry, lowering) else _input_gradient)(
        x.shape, kernel, gradient, geometry, lowering
    )
    by_weight = _WEIGHT_GRADIENTS.get(lowering, weight_gradient)
    return by_input, by_weight(x, kernel, gradient, geometry)


_conv_with_rule.defvjp(_rule_forward, _rule_backward)


def _has_phases(kernel: jax.Array, geometry: Geometry, lowering: str) -> bool:
    """Whether the input gradient is computed phase by phase: of strides that skip no pixel."""
    steps = geometry.strides
    return lowering == "split" and max(steps) > 1 and all(map(operator.ge, kernel.shape, steps))


def _by_phases(
    shape: tuple[int, ...], kernel: jax.Array, gradient: jax.Array, geometry: Geometry, lowering: str
) -> jax.Array:
    def forward(x: jax.Array, part: jax.Array, plain: Geometry) -> jax.Array:
        return conv(x, part, plain.strides, plain.padding, lowering)

    return phases.input_gradient(shape, kernel, gradient, geometry, forward)


def _input_gradient(
    shape: tuple[int, ...], kernel: jax.Array, gradient: jax.Array, geometry: Geometry, lowering: str
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
    return _forward(gradient, turned, Geometry((1,) * len(edges), pads), lowering)
