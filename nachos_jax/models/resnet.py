"""Residual networks of 18, 34 and 50 layers, versions 1 and 2.

Version 1 (He et al. 2015, "Deep residual learning for image recognition"): norm after each
convolution, ReLU after the sum. The stride of a bottleneck is in its 3x3 convolution and the last
norm scale of each block starts at 0, so that blocks start as the identity (both from Goyal et al.
2017, "Accurate, large minibatch SGD", section 5.1). Version 2 (He et al. 2016, "Identity mappings in
deep residual networks"): norm and ReLU before each convolution, nothing after the sum; it has no last
norm to start at 0. With width 64 and the large stem, version 1 is torchvision's network.
"""

from __future__ import annotations

import functools

import jax
from flax import nnx
from jax.typing import DTypeLike

from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.core.types import HParams
from nachos_jax.models.blocks import Conv, Head, Mode, Setting, draw_weights, norm, sides, told_sides
from nachos_jax.models.pooling import max_pool

_row = functools.partial(Hyperparameter, static=True, when=("architecture", ("resnet",)))
_VERSIONS = "1: norm after convolution; 2: norm and ReLU before it"
_STEMS = "small: 3x3, for images to about 64 pixels; large: 7x7 and pooling, a quarter of the side"

HYPERPARAMETERS = (
    _row("resnet.depth", "choice", choices=(18, 34, 50), default=18, meaning="layers"),
    _row("resnet.version", "choice", choices=(1, 2), default=1, meaning=_VERSIONS),
    _row(
        "resnet.width", "integer", 4, 512, default=64, meaning="channels of the first stage; 64 is standard"
    ),
    _row("resnet.stem", "choice", choices=("small", "large"), default="small", meaning=_STEMS),
)

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
_HALVINGS = {"small": 3, "large": 5}


class Block(nnx.Module):
    """One residual block: two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1."""

    def __init__(
        self, inputs: int, width: int, stride: int, bottleneck: bool, version: int, setting: Setting
    ) -> None:
        outputs = 4 * width if bottleneck else width
        shapes = (
            [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
            if bottleneck
            else [(inputs, width, 3, stride), (width, outputs, 3, 1)]
        )
        last = len(shapes) - 1
        self.convs = nnx.List([Conv(*shape, setting) for shape in shapes])
        self.norms = nnx.List(
            [
                norm(shape[1], setting, zero_scale=i == last) if version == 1 else norm(shape[0], setting)
                for i, shape in enumerate(shapes)
            ]
        )
        projected = stride > 1 or inputs != outputs
        self.skip = Conv(inputs, outputs, 1, stride, setting) if projected else None
        self.skip_norm = norm(outputs, setting) if projected and version == 1 else None
        self.version = version
        self.outputs = outputs

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), outputs], with depth likewise."""
        return self._post_activated(x, train) if self.version == 1 else self._pre_activated(x, train)

    def _post_activated(self, x: jax.Array, train: bool) -> jax.Array:
        y = x
        for i, (layer, normed) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = normed(layer(jax.nn.relu(y) if i else y), train)
        shortcut = x
        if self.skip is not None and self.skip_norm is not None:
            shortcut = self.skip_norm(self.skip(x), train)
        return jax.nn.relu(y + shortcut)

    def _pre_activated(self, x: jax.Array, train: bool) -> jax.Array:
        y, shortcut = x, x
        for i, (layer, normed) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = jax.nn.relu(normed(y, train))
            if i == 0 and self.skip is not None:
                shortcut = self.skip(y)
            y = layer(y)
        return y + shortcut


class ResNet(nnx.Module):
    """Stem, four stages of blocks, global average, dropout, linear layer."""

    def __init__(self, hparams: HParams, channels: int, outputs: int, setting: Setting) -> None:
        depth, version = int(hparams["resnet.depth"]), int(hparams["resnet.version"])
        width = int(hparams["resnet.width"])
        self.large = hparams["resnet.stem"] == "large"
        self.stem = Conv(channels, width, 7 if self.large else 3, 2 if self.large else 1, setting)
        self.stem_norm = norm(width, setting) if version == 1 else None
        blocks, inputs = [], width
        for stage, count in enumerate(_BLOCKS[depth]):
            for i in range(count):
                stride = 2 if stage and not i else 1
                blocks.append(Block(inputs, width * 2**stage, stride, depth >= 50, version, setting))
                inputs = blocks[-1].outputs
        self.blocks = nnx.List(blocks)
        self.last_norm = norm(inputs, setting) if version == 2 else None
        self.head = Head(inputs, outputs)

    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        """[B, H, W, channels] or [B, D, H, W, channels] float32 -> [B, outputs] float32."""
        x = self.stem(x)
        if self.stem_norm is not None:
            x = jax.nn.relu(self.stem_norm(x, mode.train))
        if self.large:
            x = max_pool(x, window=3, stride=2, padding=1)
        for block in self.blocks:
            x = block(x, mode.train)
        if self.last_norm is not None:
            x = jax.nn.relu(self.last_norm(x, mode.train))
        return self.head(x, mode)


def build(
    hparams: HParams, shape: tuple[int, ...], outputs: int, dtype: DTypeLike, lowering: str, rngs: nnx.Rngs
) -> nnx.Module:
    """The network, see `nachos_jax.models.registry`."""
    setting = Setting(str(hparams["norm"]), dtype, lowering, len(shape) - 1)
    network = ResNet(hparams, shape[-1], outputs, setting)
    draw_weights(network, rngs)
    return network


def check(hparams: HParams, shape: tuple[int, ...]) -> None:
    """Raises UsageError when the last halving has one pixel to halve, or leaves one to a norm of a case."""
    found = sides("resnet", shape)
    stem = str(hparams["resnet.stem"])
    least = 2 ** (_HALVINGS[stem] - 1) + 1
    if min(found) < least:
        cure = 'set resnet.stem to "small", or prepare' if stem == "large" else "prepare"
        raise UsageError(
            f'resnet.stem = "{stem}": {told_sides(found)} are too small, their sides must be at least '
            f"{least} long; {cure} larger ones."
        )
    if hparams["norm"] == "instance" and max(found) <= 2 ** _HALVINGS[stem]:
        raise UsageError(
            f'model.norm = "instance": of {told_sides(found)} the last stage has one pixel, which it makes 0 '
            'in every case; have "batch" or "group" alone in config.model.norm and config.search.space.norm, '
            "or prepare larger ones."
        )
