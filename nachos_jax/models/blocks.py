"""The pieces that every network is made of: convolution, normalisation, linear layer, dropout.

The modules hold float32 parameters (`nnx.Param`) and running statistics (`nnx.BatchStat`) and nothing
else: no random state. So `nnx.split` gives pure trees of arrays that lanes can stack. Kernels are zero
until `draw_weights` fills all those of a network at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from nachos_jax.models.convolution import conv
from nachos_jax.models.pooling import global_average_pool

NORMS = ("batch", "group")
MOMENTUM = 0.9
EPSILON = 1e-5
GROUP_SIZE = 8

_SD_OF_CUT_NORMAL = 0.87962566103423978
"""Standard deviation of a standard normal cut at -2 and 2."""


@dataclass(frozen=True)
class Setting:
    """What all layers of one network share.

    Attributes:
        norm: "batch" or "group".
        dtype: float32 or bfloat16, in which convolutions are computed.
        lowering: how, see `nachos_jax.models.convolution`.
    """

    norm: str
    dtype: DTypeLike
    lowering: str


class Kernel(nnx.Param):
    """Weights [..., inputs, outputs] that `draw_weights` fills with variance gain / fan_in."""

    gain: float


def draw_weights(network: nnx.Module, rngs: nnx.Rngs) -> None:
    """Fills every Kernel of a network, normal with tails cut at two SDs, from one long draw.

    One draw, because XLA's CPU backend compiles each random draw for half a second or more: drawn layer by
    layer, a ResNet-18 took 15 s to compile, four times as long as its training step.

    Args:
        network: module whose Kernels are filled in place; other parameters are left alone.
        rngs: one key is taken from its stream "params".
    """
    kernels = [node for _, node in nnx.iter_graph(network) if isinstance(node, Kernel)]
    drawn = jax.random.truncated_normal(rngs.params(), -2.0, 2.0, (sum(k.size for k in kernels),))
    start = 0
    for kernel in kernels:
        part = drawn[start : start + kernel.size].reshape(kernel.shape)
        fan_in = math.prod(kernel.shape[:-1])
        kernel[...] = part * (math.sqrt(kernel.gain / fan_in) / _SD_OF_CUT_NORMAL)
        start += kernel.size


class Conv(nnx.Module):
    """2-D convolution without bias (a norm follows), padded by half its window on every side.

    Its weights start with variance 2 / fan_in (He et al. 2015, "Delving deep into rectifiers",
    equation 10).
    """

    def __init__(self, inputs: int, outputs: int, window: int, stride: int, setting: Setting) -> None:
        self.kernel = Kernel(jnp.zeros((window, window, inputs, outputs), jnp.float32), gain=2.0)
        self.stride = stride
        self.dtype = setting.dtype
        self.lowering = setting.lowering

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), O] in the computing dtype."""
        kernel = self.kernel[...].astype(self.dtype)
        edge = kernel.shape[0] // 2
        padding = [(edge, edge), (edge, edge)]
        return conv(x.astype(self.dtype), kernel, self.stride, padding, lowering=self.lowering)


class Linear(nnx.Module):
    """Linear layer in float32, whatever the computing dtype of the convolutions before it.

    Its weights start with variance 1 / fan_in (LeCun et al. 1998, "Efficient BackProp", equation 16),
    the bias at zero.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        self.kernel = Kernel(jnp.zeros((inputs, outputs), jnp.float32), gain=1.0)
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, C] float32 -> [B, O] float32."""
        return x @ self.kernel[...] + self.bias[...][None]


class Classifier(nnx.Module):
    """The end of a classification network: global average, dropout, linear layer."""

    def __init__(self, inputs: int, classes: int) -> None:
        self.linear = Linear(inputs, classes)

    def __call__(
        self, x: jax.Array, train: bool, dropout_rate: jax.Array | float, dropout_key: jax.Array
    ) -> jax.Array:
        """[B, H, W, C] of any dtype -> logits [B, classes] float32; drops only when training."""
        features = global_average_pool(x)
        if train:
            features = dropout(features, dropout_rate, dropout_key)
        return self.linear(features)


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

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[B, H, W, C] -> the same shape and dtype; updates the running statistics when training."""
        mean, variance = self.mean[...], self.variance[...]
        exact = x.astype(jnp.float32)
        if train:
            axes = tuple(range(x.ndim - 1))
            mean = jnp.mean(exact, axes)
            variance = jnp.mean(jnp.square(exact - _last(mean, x.ndim)), axes)
            self._move(mean, variance, n=x.size // x.shape[-1])
        slope = self.scale[...] * lax.rsqrt(variance + EPSILON)
        out = (exact - _last(mean, x.ndim)) * _last(slope, x.ndim) + _last(self.bias[...], x.ndim)
        return out.astype(x.dtype)

    def _move(self, mean: jax.Array, variance: jax.Array, n: int) -> None:
        unbiased = variance * (n / max(n - 1, 1))
        for running, now in ((self.mean, mean), (self.variance, unbiased)):
            running[...] = MOMENTUM * running[...] + (1.0 - MOMENTUM) * lax.stop_gradient(now)


class GroupNorm(nnx.Module):
    """Group normalisation (Wu and He 2018): about 8 channels a group, float32, epsilon 1e-5."""

    def __init__(self, channels: int, zero_scale: bool = False) -> None:
        self.scale = nnx.Param(jnp.full((channels,), 0.0 if zero_scale else 1.0, jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.size = group_size(channels)

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[B, H, W, C] -> the same shape and dtype; training and evaluation are alike."""
        del train
        split = x.astype(jnp.float32).reshape(*x.shape[:-1], -1, self.size)
        axes = (*range(1, x.ndim - 1), x.ndim)
        mean = jnp.mean(split, axes, keepdims=True)
        variance = jnp.mean(jnp.square(split - mean), axes, keepdims=True)
        even = ((split - mean) * lax.rsqrt(variance + EPSILON)).reshape(x.shape)
        out = even * _last(self.scale[...], x.ndim) + _last(self.bias[...], x.ndim)
        return out.astype(x.dtype)


def norm(channels: int, setting: Setting, zero_scale: bool = False) -> BatchNorm | GroupNorm:
    """The normalisation layer that the setting names; `zero_scale` starts its scale at 0."""
    return {"batch": BatchNorm, "group": GroupNorm}[setting.norm](channels, zero_scale)


def group_size(channels: int) -> int:
    """Channels a group: the divisor of `channels` nearest to 8 in ratio.

    Never 1 where there are more channels, since a group of one channel in a map of one pixel is
    always normalised to zero.
    """
    divisors = [d for d in range(min(channels, 2), channels + 1) if channels % d == 0]
    return min(divisors, key=lambda d: (abs(math.log(d / GROUP_SIZE)), -d))


def dropout(x: jax.Array, rate: jax.Array | float, key: jax.Array) -> jax.Array:
    """Sets entries to 0 with probability `rate` and divides the others by 1 - rate.

    The rate is an array like any other, so lanes with different rates share a program; rate 0 is
    exactly the identity, and the Python number 0.0 compiles nothing in.

    Args:
        x: any shape, floating.
        rate: scalar in [0, 1), may be traced.
        key: random key.

    Returns:
        Shape and dtype of x.
    """
    if isinstance(rate, float) and rate == 0.0:
        return x
    kept = 1.0 - jnp.asarray(rate, jnp.float32)
    mask = jax.random.uniform(key, x.shape) < kept
    return jnp.where(mask, x / kept.astype(x.dtype), jnp.zeros_like(x))


def _last(values: jax.Array, rank: int) -> jax.Array:
    """[C] -> [1, ..., 1, C] of the rank given."""
    return values.reshape((1,) * (rank - 1) + (-1,))
