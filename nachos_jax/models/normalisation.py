"""Batch and group normalisation, with a maximum over windows that may follow.

The gradients of batch normalisation are written out, and a pooling that follows is taken before the affine
step. On a CPU a training step of small images is bound by memory, and what JAX derives reads the activations
more often: 2.0 against 0.8 ms for norm, pooling and ReLU of 64 images of 28 x 28 x 16.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from nachos_jax.models import fences, pooling
from nachos_jax.models.pooling import Window

MOMENTUM = 0.9
EPSILON = 1e-5
GROUP_SIZE = 8


class BatchNorm(nnx.Module):
    """Batch normalisation (Ioffe and Szegedy 2015), with the numbers of PyTorch's BatchNorm2d.

    Training normalises by the batch and moves the running statistics a tenth of the way to it (the
    variance divided by n - 1); evaluation uses the running statistics. Epsilon 1e-5. Everything
    is computed in float32.
    """

    def __init__(self, channels: int, zero_scale: bool = False) -> None:
        self.scale = nnx.Param(jnp.full((channels,), 0.0 if zero_scale else 1.0, jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.mean = nnx.BatchStat(jnp.zeros((channels,), jnp.float32))
        self.variance = nnx.BatchStat(jnp.ones((channels,), jnp.float32))

    def __call__(self, x: jax.Array, train: bool, pool: int = 1, slope: float = 1.0) -> jax.Array:
        """[B, H, W, C] -> [B, H // pool, W // pool, C], same dtype; moves the running statistics in training.

        Args:
            x: activations.
            train: normalise by the batch.
            pool: side of the maximum pooling that follows; 1 for none.
            slope: of the leaky ReLU that follows, below zero; 1 for none.
        """
        axes = pooling.window_axes(x.shape, pool, pool, 0)
        if not train:
            peaks = _peaks(x, self.scale[...], axes)
            moved = _moved(peaks, self.mean[...], self.variance[...], self.scale[...], self.bias[...])
            return leaky(moved, slope)
        normed: Any = _batch_norm(x, self.scale[...], self.bias[...], axes)
        out, mean, variance = normed
        n = x.size // x.shape[-1]
        for running, now in ((self.mean, mean), (self.variance, variance * (n / max(n - 1, 1)))):
            running[...] = MOMENTUM * running[...] + (1.0 - MOMENTUM) * lax.stop_gradient(now)
        return leaky(out, slope)


class GroupNorm(nnx.Module):
    """Group normalisation (Wu and He 2018): about 8 channels a group, float32, epsilon 1e-5."""

    def __init__(self, channels: int, zero_scale: bool = False) -> None:
        self.scale = nnx.Param(jnp.full((channels,), 0.0 if zero_scale else 1.0, jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.size = group_size(channels)

    def __call__(self, x: jax.Array, train: bool, pool: int = 1, slope: float = 1.0) -> jax.Array:
        """[B, H, W, C] -> [B, H // pool, W // pool, C], same dtype; training and evaluation are alike."""
        del train
        split = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, self.size)
        axes = (*range(1, x.ndim - 1), x.ndim)
        mean = jnp.mean(split, axes, keepdims=True)
        variance = jnp.mean(jnp.square(split - mean), axes, keepdims=True)
        even = ((split - mean) * lax.rsqrt(variance + EPSILON)).reshape(x.shape)
        out = even * _last(self.scale[...], x.ndim) + _last(self.bias[...], x.ndim)
        return leaky(pooling.max_pool(out.astype(x.dtype), pool, pool), slope)


def group_size(channels: int) -> int:
    """Channels a group: the divisor of `channels` nearest to 8 in ratio.

    Never 1 where there are more channels, since a group of one channel in a map of one pixel is
    always normalised to zero.
    """
    divisors = [d for d in range(min(channels, 2), channels + 1) if channels % d == 0]
    return min(divisors, key=lambda d: (abs(math.log(d / GROUP_SIZE)), -d))


def leaky(x: jax.Array, slope: float) -> jax.Array:
    """Leaky ReLU: x where it is not negative, and slope times x elsewhere; 1 compiles nothing in."""
    return x if slope == 1.0 else jax.nn.leaky_relu(x, slope)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _batch_norm(
    x: jax.Array, scale: jax.Array, bias: jax.Array, axes: Window
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalised by the batch and pooled, with the batch's mean and variance [C], which pass no gradient."""
    return _forward(x, scale, bias, axes)[0]


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, axes: Window) -> tuple:
    mean, variance = _moments(x)
    peaks = x if pooling.is_identity(axes) else fences.once(functools.partial(_peaks, axes=axes), x, scale)
    out = _moved(peaks, mean, variance, scale, bias)
    return (out, mean, variance), (x, peaks, mean, lax.rsqrt(variance + EPSILON), scale)


def _backward(axes: Window, saved: tuple, gradients: tuple) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Ioffe and Szegedy 2015, section 3; both sums are over the peaks, as no other pixel has a gradient."""
    x, peaks, mean, inverse_sd, scale = saved
    gradient = gradients[0].astype(jnp.float32)
    rank, n = x.ndim, x.size // x.shape[-1]
    over = tuple(range(rank - 1))
    centred = peaks.astype(jnp.float32) - _last(mean, rank)
    by_bias = jnp.sum(gradient, over)
    by_scale = jnp.sum(gradient * centred, over) * inverse_sd
    spread = pooling.spread(x, peaks, gradient, axes)
    deviation = x.astype(jnp.float32) - _last(mean, rank)
    common = _last(by_bias / n, rank) + deviation * _last(inverse_sd * by_scale / n, rank)
    by_x = _last(scale * inverse_sd, rank) * (spread - common)
    return by_x.astype(x.dtype), by_scale, by_bias


_batch_norm.defvjp(_forward, _backward)


def _moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and (biased) variance of each channel, [C] float32; in two passes, for exactness."""
    exact, axes = x.astype(jnp.float32), tuple(range(x.ndim - 1))
    mean = jnp.mean(exact, axes)
    return mean, jnp.mean(jnp.square(exact - _last(mean, x.ndim)), axes)


def _peaks(x: jax.Array, scale: jax.Array, axes: Window) -> jax.Array:
    """What the affine step makes the highest value of each window: the lowest if the scale is negative."""
    if pooling.is_identity(axes):
        return x
    sign = _last(jnp.where(scale < 0, -1.0, 1.0).astype(x.dtype), x.ndim)
    return pooling.highest(x * sign, axes) * sign


def _moved(
    x: jax.Array, mean: jax.Array, variance: jax.Array, scale: jax.Array, bias: jax.Array
) -> jax.Array:
    slope = scale * lax.rsqrt(variance + EPSILON)
    out = (x.astype(jnp.float32) - _last(mean, x.ndim)) * _last(slope, x.ndim) + _last(bias, x.ndim)
    return out.astype(x.dtype)


def _last(values: jax.Array, rank: int) -> jax.Array:
    """[C] -> [1, ..., 1, C] of the rank given."""
    return values.reshape((1,) * (rank - 1) + (-1,))
