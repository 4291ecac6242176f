"""Layers as PyTorch has them, in the order of their arguments there, with channels last.

Weights keep the layout of their file ([O, I, h, w] of a convolution, [O, I] of a linear layer) and are turned
where they are used. Batch norm reads its running statistics, unless the place takes moved ones.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from nachos_jax.models.convolution import conv as convolve
from nachos_jax.models.depthwise import depthwise
from nachos_jax.models.normalisation import MOMENTUM
from nachos_jax.models.zoo.place import Place

SAME = -1
"""Padding that TensorFlow calls SAME: ceil(side / stride) outputs, the odd zero at the far end."""


Window = int | tuple[int, int]
"""Height and width of a window; one number for a square."""


def conv(
    w: Place, x: jax.Array, outputs: int, window: Window, stride: int = 1, padding: int | None = None
) -> jax.Array:
    """Convolution without bias, [B, H, W, C] -> [B, H', W', outputs]; padded by half the window."""
    sides = _sides(window)
    kernel = w.weights("weight", outputs, x.shape[-1], *sides).transpose(2, 3, 1, 0)
    return convolve(x, kernel, (stride, stride), _edges(x, sides, stride, padding), w.lowering)


def biased_conv(
    w: Place, x: jax.Array, outputs: int, window: Window, stride: int = 1, padding: int | None = None
) -> jax.Array:
    """As `conv`, with a bias."""
    return conv(w, x, outputs, window, stride, padding) + w.weights("bias", outputs)[None, None, None]


def depthwise_conv(
    w: Place, x: jax.Array, side: int, stride: int = 1, padding: int | None = None
) -> jax.Array:
    """Convolution of each channel by itself, without bias."""
    kernel = w.weights("weight", x.shape[-1], 1, side, side).transpose(2, 3, 1, 0)
    return depthwise(x, kernel, (stride, stride), _edges(x, (side, side), stride, padding), w.lowering)


def batch_norm(w: Place, x: jax.Array, epsilon: float = 1e-5) -> jax.Array:
    """Batch norm of the last axis: by running statistics, or by the batch if the place takes moved ones."""
    names = ("weight", "bias", "running_mean", "running_var")
    scale, bias, mean, variance = (w.weights(name, x.shape[-1]) for name in names)
    if w.moved is not None:
        mean, variance = _of_batch(w, x, mean, variance, w.moved)
    scale = scale * jax.lax.rsqrt(variance + epsilon)
    shape = (1,) * (x.ndim - 1) + (-1,)
    return x * scale.reshape(shape) + (bias - mean * scale).reshape(shape)


def layer_norm(w: Place, x: jax.Array, epsilon: float = 1e-6) -> jax.Array:
    """Layer norm of the last axis."""
    scale, bias = (w.weights(name, x.shape[-1]) for name in ("weight", "bias"))
    centred = x - x.mean(-1, keepdims=True)
    shape = (1,) * (x.ndim - 1) + (-1,)
    normed = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + epsilon)
    return normed * scale.reshape(shape) + bias.reshape(shape)


def linear(w: Place, x: jax.Array, outputs: int) -> jax.Array:
    """Linear layer of the last axis."""
    product = x @ w.weights("weight", outputs, x.shape[-1]).T
    return product + w.weights("bias", outputs).reshape((1,) * (x.ndim - 1) + (-1,))


def gelu(x: jax.Array) -> jax.Array:
    """The exact GELU, which JAX approximates unless told otherwise."""
    return jax.nn.gelu(x, approximate=False)


def average(_: Place, x: jax.Array) -> jax.Array:
    """Mean over the pixels, [B, H, W, C] -> [B, C]."""
    return x.mean((1, 2))


def _of_batch(
    w: Place, x: jax.Array, mean: jax.Array, variance: jax.Array, moved: dict[str, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of a batch; the running ones move towards them as in PyTorch's BatchNorm2d."""
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    now = x.mean(axes), x.var(axes)
    unbiased = now[1] * (count / max(count - 1, 1))
    for name, old, new in (("running_mean", mean, now[0]), ("running_var", variance, unbiased)):
        moved[w.name + name] = MOMENTUM * old + (1.0 - MOMENTUM) * jax.lax.stop_gradient(new)
    return now


def _sides(window: Window) -> tuple[int, int]:
    return (window, window) if isinstance(window, int) else window


def _edges(x: jax.Array, sides: tuple[int, int], stride: int, padding: int | None) -> list[tuple[int, int]]:
    if padding != SAME:
        return [(low, low) for low in ((side // 2 if padding is None else padding) for side in sides)]
    lengths = zip(x.shape[1:3], sides, strict=True)
    sums = [max((-(-n // stride) - 1) * stride + side - n, 0) for n, side in lengths]
    return [(total // 2, total - total // 2) for total in sums]
