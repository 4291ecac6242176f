"""The pieces that every network is made of: convolution, linear layer, dropout, a choice of normalisation.

The modules hold float32 parameters (`nnx.Param`) and running statistics (`nnx.BatchStat`) and nothing
else: no random state. So `nnx.split` gives pure trees of arrays that lanes can stack. Kernels are zero
until `draw_weights` fills all those of a network at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nachos_jax.core import rng
from nachos_jax.core.errors import UsageError
from nachos_jax.models.convolution import conv
from nachos_jax.models.instance_norm import InstanceNorm
from nachos_jax.models.normalisation import BatchNorm, GroupNorm
from nachos_jax.models.pooling import global_average_pool

NORMS = {"batch": BatchNorm, "group": GroupNorm, "instance": InstanceNorm}

_SD_OF_CUT_NORMAL = 0.87962566103423978
"""Standard deviation of a standard normal cut at -2 and 2."""


@dataclass(frozen=True)
class Setting:
    """What all layers of one network share."""

    norm: str  # a name in NORMS
    dtype: DTypeLike  # float32 or bfloat16, in which convolutions are computed
    lowering: str  # how, see `nachos_jax.models.convolution`
    axes: int = 2  # of space: 2 of images, 3 of volumes


class Mode(NamedTuple):
    """How a network is called."""

    train: bool  # True while training: dropout drops, running statistics move
    dropout_rate: jax.Array | float  # scalar in [0, 1), maybe traced; 0.0 compiles nothing in
    dropout_key: jax.Array  # random key of this step
    traced: Mapping[str, jax.Array | float]  # hyperparameters that are not static, float32 scalars by name


def evaluation(traced: Mapping[str, jax.Array | float]) -> Mode:
    """The mode in which a network predicts."""
    return Mode(False, 0.0, rng.unused(), traced)


class Convex(NamedTuple):
    """What a network offers that is one linear layer on vectors, so that it can be solved.

    Its parameters are `kernel` [D, O] and `bias` [O] on standardised inputs. What is added to the sum of the
    losses is ridge(traced) / 2 times the sum of the squared kernel.
    """

    ridge: Callable[[Mapping[str, Any]], Any]  # traced -> scalar, above 0


class Frozen(nnx.Variable):
    """Weights that no fit trains and all lanes share, as those of a frozen backbone."""


class Kernel(nnx.Param):
    """Weights [..., inputs, outputs] that `draw_weights` fills with variance gain / fan_in."""

    gain: float


def draw_weights(network: nnx.Module, rngs: nnx.Rngs) -> None:
    """Fills every Kernel of a network, normal with tails cut at two SDs, from one long draw.

    One draw, because XLA's CPU backend compiles each random draw for half a second or more: drawn layer by
    layer, a ResNet-18 took 15 s to compile, four times as long as its training step. One key is taken from
    the stream "params"; other parameters are left alone.
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
    """Convolution without bias (a norm follows), padded by half its window on every side.

    Its weights start with variance 2 / fan_in (He et al. 2015, "Delving deep into rectifiers",
    equation 10). The window is the side of a kernel along every spatial axis, or its sides along each.
    """

    def __init__(
        self, inputs: int, outputs: int, window: int | tuple[int, ...], stride: int, setting: Setting
    ) -> None:
        sides = (window,) * setting.axes if isinstance(window, int) else window
        self.kernel = Kernel(jnp.zeros((*sides, inputs, outputs), jnp.float32), gain=2.0)
        self.stride = stride
        self.dtype = setting.dtype
        self.lowering = setting.lowering

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), O] in the computing dtype."""
        kernel = self.kernel[...].astype(self.dtype)
        padding = [(side // 2, side // 2) for side in kernel.shape[:-2]]
        return conv(x.astype(self.dtype), kernel, (self.stride,) * len(padding), padding, self.lowering)


class Linear(nnx.Module):
    """Linear layer in float32, whatever the computing dtype of the convolutions before it.

    Its weights start with variance gain / fan_in, where 1 is right before an output (LeCun et al. 1998,
    "Efficient BackProp", equation 16) and 2 before a ReLU (He et al. 2015); the bias at zero.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        self.kernel = Kernel(jnp.zeros((inputs, outputs), jnp.float32), gain=gain)
        self.bias = nnx.Param(jnp.zeros((outputs,), jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, C] float32 -> [B, O] float32."""
        return x @ self.kernel[...] + self.bias[...][None]


class Head(nnx.Module):
    """The end of a network that gives a few numbers a case: global average, dropout, linear layer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.linear = Linear(inputs, outputs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        """[B, H, W, C] of any dtype -> [B, outputs] float32; drops only when training."""
        features = global_average_pool(x)
        if mode.train:
            features = dropout(features, mode.dropout_rate, mode.dropout_key)
        return self.linear(features)


def sides(architecture: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Height and width of the images, or depth, height and width of the volumes that a network is given.

    Raises:
        UsageError: a case is neither image [H, W, C] nor volume [D, H, W, C].
    """
    if len(shape) == 1:
        raise UsageError(
            f"architecture {architecture!r} takes images [H, W, C], and a case here is a vector of "
            f"{shape[0]} features: set config.model.architecture = 'linear' or 'mlp' (--config=vectors)."
        )
    if len(shape) not in (3, 4):
        raise UsageError(
            f"architecture {architecture!r} takes images [H, W, C] or volumes [D, H, W, C], and a case here "
            f"has the shape {list(shape)}: choose another one in config.model.architecture."
        )
    return shape[:-1]


def told_sides(found: tuple[int, ...]) -> str:
    """Sides of cases as people read them."""
    kind, dots = ("images", "pixels") if len(found) == 2 else ("volumes", "voxels")
    return f"{kind} of {' x '.join(map(str, found))} {dots}"


def vector_size(architecture: str, shape: tuple[int, ...]) -> int:
    """Features of the vectors that a network is given.

    Raises:
        UsageError: a case is no vector [D].
    """
    if len(shape) != 1:
        raise UsageError(
            f"architecture {architecture!r} takes vectors of features [D], and a case here has the shape "
            f"{list(shape)}: set config.model.architecture = 'cnn' or 'resnet'."
        )
    return shape[0]


def norm(channels: int, setting: Setting, zero_scale: bool = False) -> BatchNorm | GroupNorm | InstanceNorm:
    """The normalisation layer that the setting names; `zero_scale` starts its scale at 0."""
    return NORMS[setting.norm](channels, zero_scale)


def dropout(x: jax.Array, rate: jax.Array | float, key: jax.Array) -> jax.Array:
    """Sets entries of x (any shape) to 0 with probability `rate` and divides the others by 1 - rate.

    The rate, a scalar in [0, 1), is an array like any other, so lanes with different rates share a program;
    rate 0 is exactly the identity, and the Python number 0.0 compiles nothing in.
    """
    if isinstance(rate, float) and rate == 0.0:
        return x
    kept = 1.0 - jnp.asarray(rate, jnp.float32)
    mask = jax.random.uniform(key, x.shape) < kept
    return jnp.where(mask, x / kept.astype(x.dtype), jnp.zeros_like(x))
