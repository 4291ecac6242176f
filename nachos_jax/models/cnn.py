"""A plain convolutional network: stages of convolution, norm, ReLU and pooling, then a linear layer."""

from __future__ import annotations

import functools

import jax
from flax import nnx
from jax.typing import DTypeLike

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams
from nachos_jax.models.blocks import Conv, Head, Mode, Setting, draw_weights, norm, sides, told_sides

_row = functools.partial(Hyperparameter, static=True, when=("architecture", ("cnn",)))

HYPERPARAMETERS = (
    _row("cnn.stages", "integer", 1, 6, default=3, meaning="stages, each halving the side"),
    _row("cnn.width", "integer", 4, 512, default=16, meaning="channels of the first stage"),
)


class Stage(nnx.Module):
    """Convolution of 3, norm, maximum over 2 an axis, ReLU (which is the same before it, and dearer)."""

    def __init__(self, inputs: int, outputs: int, setting: Setting) -> None:
        self.conv = Conv(inputs, outputs, 3, 1, setting)
        self.norm = norm(outputs, setting)

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[B, H, W, C] -> [B, H // 2, W // 2, O], with depth likewise; an axis of one pixel stays."""
        return jax.nn.relu(self.norm(self.conv(x), train, pool=2))


class CNN(nnx.Module):
    """Stages whose width doubles, global average, dropout, linear layer."""

    def __init__(self, stages: int, width: int, channels: int, outputs: int, setting: Setting) -> None:
        widths = [channels, *(width * 2**stage for stage in range(stages))]
        pairs = zip(widths, widths[1:], strict=False)
        self.stages = nnx.List([Stage(inputs, outputs, setting) for inputs, outputs in pairs])
        self.head = Head(widths[-1], outputs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        """[B, H, W, channels] or [B, D, H, W, channels] float32 -> [B, outputs] float32."""
        for stage in self.stages:
            x = stage(x, mode.train)
        return self.head(x, mode)


def build(
    hparams: HParams, shape: tuple[int, ...], outputs: int, dtype: DTypeLike, lowering: str, rngs: nnx.Rngs
) -> nnx.Module:
    """The network, see `nachos_jax.models.registry`."""
    setting = Setting(str(hparams["norm"]), dtype, lowering, len(shape) - 1)
    network = CNN(int(hparams["cnn.stages"]), int(hparams["cnn.width"]), shape[-1], outputs, setting)
    draw_weights(network, rngs)
    return network


def check(hparams: HParams, shape: tuple[int, ...]) -> None:
    """Raises UsageError when a stage would have nothing left to pool."""
    found = sides("cnn", shape)
    stages = int(hparams["cnn.stages"])
    # An axis of one slice is not pooled; one of a volume that is short beside the others is not made up for.
    least = min((side for side in found if side > 1 or len(found) == 2), default=1)
    if least < 2**stages:
        most = least.bit_length() - 1
        lower = f"lower cnn.stages to {most} or less, or " if most else ""
        halved = f"can be halved {most} times" if most else "cannot be halved"
        raise UsageError(f"cnn.stages = {stages}: {told_sides(found)} {halved}; {lower}prepare larger ones.")
