"""The pieces that every network is made of: convolution, linear layer, dropout, a choice of normalisation.

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
from jax.typing import DTypeLike

from nachos_jax.models.convolution import conv
from nachos_jax.models.normalisation import BatchNorm, GroupNorm
from nachos_jax.models.pooling import global_average_pool

NORMS = {"batch": BatchNorm, "group": GroupNorm}

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


def norm(channels: int, setting: Setting, zero_scale: bool = False) -> BatchNorm | GroupNorm:
    """The normalisation layer that the setting names; `zero_scale` starts its scale at 0."""
    return NORMS[setting.norm](channels, zero_scale)


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
