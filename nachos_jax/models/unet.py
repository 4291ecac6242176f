"""U-Net in two and three dimensions (Ronneberger et al. 2015; nnU-Net, Isensee et al. 2021).

A patch goes down through levels of half the resolution and up again, where each level meets what it was on
the way down. Pooling by maximum goes down; a transposed convolution as long as its stride goes up, which is a
matrix product and a rearrangement. The kernel of a level and the axes that are halved follow nnU-Net's rule,
see `nachos_jax.models.levels`. Convolutions a level and the path around them are those of MONAI's UNet
(`num_res_units`; Kerfoot et al. 2019); with two convolutions and without that path it is the plain U-Net.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams
from nachos_jax.models.blocks import Conv, Kernel, Linear, Mode, Setting, draw_weights, dropout, norm
from nachos_jax.models.levels import Level, channels, levels
from nachos_jax.models.planning import plan
from nachos_jax.models.pooling import max_pool_by_axis

_row = functools.partial(Hyperparameter, static=True, when=("architecture", ("unet",)))
_CONVOLUTIONS = "convolutions a level; 0 = one, without a path around it"
_SUPERVISED = (
    "deep supervision: the training loss is taken at coarser levels too, with weights 1, 1/2, 1/4, ...; not "
    "at the lowest two, so from 4 levels on"
)
_FLAT = "3-D: levels before the axis of the widest spacing is halved and has kernels of 3; -1 = planned"
_DEPTH = "levels, each but the first of half the side; 0 = planned from the cases"
_WIDTH = "channels of the first level; 0 = planned"

HYPERPARAMETERS = (
    _row("unet.depth", "integer", 2, 8, default=0, planned=0, meaning=_DEPTH),
    _row("unet.width", "integer", 8, 128, default=0, planned=0, meaning=_WIDTH),
    _row(
        "unet.multiplier",
        "choice",
        choices=(0.5, 1.0, 1.5, 2.0, 3.0),
        default=2.0,
        meaning="channels of a level over those of the level above",
    ),
    _row("unet.convolutions", "integer", 0, 3, default=2, meaning=_CONVOLUTIONS),
    Hyperparameter(
        "unet.residual",
        "boolean",
        static=True,
        when=("unet.convolutions", (1, 2, 3)),
        default=False,
        meaning="a path around the convolutions of a level, added to what they give",
    ),
    _row("unet.flat_levels", "integer", 0, 5, default=-1, planned=-1, meaning=_FLAT),
    Hyperparameter(
        "unet.deep_supervision",
        "boolean",
        static=True,
        when=("unet.depth", (4, 5, 6, 7, 8)),
        default=False,
        absent=False,
        meaning=_SUPERVISED,
    ),
)

PLAN = plan
"""Depth, channels, patch and batch follow from the cases where the config does not say."""
MAPS = True
"""The network gives numbers for every pixel, see `nachos_jax.models.registry`."""

_SLOPE = 0.01
_UNSUPERVISED = 2
"""Levels at the lower end whose maps are too coarse for a loss (nnU-Net), the lowest one among them."""
_LEAST = 2
"""Pixels that an axis keeps. nnU-Net stops at 4; a searched depth may go one level further."""


class Stage(nnx.Module):
    """Convolutions of one level, each with norm and leaky ReLU, and maybe a path around them.

    The path is a 1x1 convolution where the number of channels changes; nothing follows the sum.
    """

    def __init__(
        self, inputs: int, outputs: int, window: tuple[int, ...], shape: tuple[int, bool], setting: Setting
    ) -> None:
        count, residual = shape
        sources = [inputs, *[outputs] * (count - 1)]
        self.convs = nnx.List([Conv(source, outputs, window, 1, setting) for source in sources])
        self.norms = nnx.List([norm(outputs, setting) for _ in sources])
        projected = residual and inputs != outputs
        self.skip = Conv(inputs, outputs, (1,) * len(window), 1, setting) if projected else None
        self.residual = residual

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[B, *S, inputs] -> [B, *S, outputs]."""
        y = x
        for layer, normed in zip(self.convs, self.norms, strict=True):
            y = normed(layer(y), train, slope=_SLOPE)
        if not self.residual:
            return y
        return y + (self.skip(x) if self.skip is not None else x.astype(y.dtype))


class Up(nnx.Module):
    """Transposed convolution whose kernel is as long as its stride, without bias.

    Every output pixel is made from one input pixel, so that a matrix product gives all that an input pixel
    makes, and a rearrangement puts it in place. Weights start with variance 1 / (inputs x pixels of the
    kernel), as no ReLU follows: below 1 / fan_in, which is the number of inputs.
    """

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, ...], setting: Setting) -> None:
        self.kernel = Kernel(jnp.zeros((inputs, *stride, outputs), jnp.float32), gain=1.0)
        self.stride = stride
        self.dtype = setting.dtype

    def __call__(self, x: jax.Array, sides: Sequence[int]) -> jax.Array:
        """[B, *S, inputs] -> [B, *sides, outputs]; what the last pixels make beyond the sides is cut off."""
        kernel = self.kernel[...].astype(self.dtype)
        made = jnp.tensordot(x.astype(self.dtype), kernel, 1)
        rank = len(self.stride)
        order = [0, *(axis + part * rank for axis in range(1, rank + 1) for part in (0, 1)), 2 * rank + 1]
        whole = [n * step for n, step in zip(x.shape[1:-1], self.stride, strict=True)]
        placed = made.transpose(order).reshape(len(x), *whole, -1)
        return placed[:, *(slice(side) for side in sides)]


class UNet(nnx.Module):
    """Levels down, levels up, and a linear layer on every pixel; with deep supervision on those of coarser
    levels too, which training alone looks at.
    """

    def __init__(self, hparams: HParams, shape: tuple[int, ...], outputs: int, setting: Setting) -> None:
        plan = _plan(hparams, shape)
        # Axes of one pixel, as of slices [1, H, W, C], are none: in 2-D all is faster.
        self.axes = tuple(axis for axis, side in enumerate(shape[:-1]) if side > 1)
        self.strides = tuple(level.stride for level in plan[1:])
        width, multiplier = int(hparams["unet.width"]), float(hparams["unet.multiplier"])
        widths = channels(width, multiplier, len(plan), len(self.axes))
        form = max(1, int(hparams["unet.convolutions"])), bool(hparams.get("unet.residual", False))
        pairs = list(zip(widths, widths[1:], strict=False))
        ends = zip([shape[-1], *widths], widths, plan, strict=False)
        self.down = nnx.List([Stage(a, b, level.kernel, form, setting) for a, b, level in ends])
        self.ups = nnx.List(
            [Up(b, a, stride, setting) for (a, b), stride in zip(pairs, self.strides, strict=True)]
        )
        self.merged = nnx.List(
            [
                Stage(2 * a, a, level.kernel, form, setting)
                for a, level in zip(widths[:-1], plan, strict=False)
            ]
        )
        self.last = Linear(widths[0], outputs)
        deep = bool(hparams.get("unet.deep_supervision", False))
        supervised = widths[1:-_UNSUPERVISED] if deep else []
        self.coarser = nnx.List([Linear(a, outputs) for a in supervised]) if supervised else None

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array | tuple[jax.Array, ...]:
        """[B, *S, channels] float32 -> [B, *S, outputs] float32; drops before the last layer in training.

        With deep supervision training is given a tuple: that, and the same of coarser levels, finest first.
        """
        space = x.shape[1:-1]
        x = x.reshape(len(x), *(space[axis] for axis in self.axes), x.shape[-1])
        x = self.down[0](x, mode.train)
        passed, merged = [], []
        for stride, stage in zip(self.strides, self.down[1:], strict=True):
            passed.append(x)
            x = stage(max_pool_by_axis(x, stride), mode.train)
        for up, stage, skip in zip(self.ups[::-1], self.merged[::-1], passed[::-1], strict=True):
            x = stage(jnp.concatenate([skip, up(x, skip.shape[1:-1])], -1), mode.train)
            merged.append(x)
        whole = self._map(self.last, x, mode, len(space))
        if self.coarser is None or not mode.train:
            return whole
        found = [whole]
        for level, (head, x) in enumerate(zip(self.coarser, merged[-2::-1], strict=False)):
            key = jax.random.fold_in(mode.dropout_key, level)
            found.append(self._map(head, x, mode._replace(dropout_key=key), len(space)))
        return tuple(found)

    def _map(self, head: Linear, x: jax.Array, mode: Mode, rank: int) -> jax.Array:
        """[B, *S, outputs] float32 of [B, *sides, channels]: S has the axes that `sides` leaves out."""
        features = x.astype(jnp.float32)
        if mode.train:
            features = dropout(features, mode.dropout_rate, mode.dropout_key)
        sides = dict(zip(self.axes, x.shape[1:-1], strict=True))
        space = [sides.get(axis, 1) for axis in range(rank)]
        return head(features.reshape(-1, features.shape[-1])).reshape(len(x), *space, -1)


def build(
    hparams: HParams, shape: tuple[int, ...], outputs: int, dtype: DTypeLike, lowering: str, rngs: nnx.Rngs
) -> nnx.Module:
    """The network, see `nachos_jax.models.registry`."""
    network = UNet(hparams, shape, outputs, Setting(str(hparams["norm"]), dtype, lowering))
    draw_weights(network, rngs)
    return network


def check(hparams: HParams, shape: tuple[int, ...]) -> None:
    """Raises UsageError when patches are no images or volumes, or cannot be halved so often."""
    if len(shape) not in (3, 4):
        raise UsageError(
            "architecture 'unet' takes images [H, W, C] and volumes [D, H, W, C], and a case here has the "
            f"shape {list(shape)}: choose another one in config.model.architecture."
        )
    depth, possible = int(hparams["unet.depth"]), len(_plan({**hparams, "unet.depth": 99}, shape))
    if possible < depth:
        sides = " x ".join(map(str, shape[:-1]))
        lower = f"lower unet.depth to {possible} or less, or " if possible > 1 else ""
        raise UsageError(
            f"unet.depth = {depth}: patches of {sides} pixels can be halved {possible - 1} times (a side "
            f"keeps {_LEAST} pixels); {lower}take larger patches."
        )


def _plan(hparams: HParams, shape: tuple[int, ...]) -> tuple[Level, ...]:
    patch = [side for side in shape[:-1] if side > 1]
    flat = int(hparams["unet.flat_levels"]) if len(patch) == 3 else 0
    spacing = [2.0**flat if axis == 0 else 1.0 for axis in range(len(patch))]
    return levels(patch, spacing, int(hparams["unet.depth"]), _LEAST)
