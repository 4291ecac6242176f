"""ResNet (He et al. 2015), the stride in the 3x3 convolution: names of torchvision and timm."""

from __future__ import annotations

import functools

import jax

from nachos_jax.models.pooling import max_pool
from nachos_jax.models.zoo.layers import average, batch_norm, conv
from nachos_jax.models.zoo.network import Expected, Network, Stage
from nachos_jax.models.zoo.place import Place

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def _stem(w: Place, x: jax.Array) -> jax.Array:
    x = jax.nn.relu(batch_norm(w / "bn1", conv(w / "conv1", x, 64, 7, 2)))
    return max_pool(x, window=3, stride=2, padding=1)


def _stage(w: Place, x: jax.Array, number: int, depth: int) -> jax.Array:
    for block in range(_BLOCKS[depth][number - 1]):
        stride = 2 if number > 1 and block == 0 else 1
        x = _block(w / f"layer{number}" / block, x, 32 * 2**number, stride, depth >= 50)
    return x


def _block(w: Place, x: jax.Array, width: int, stride: int, bottleneck: bool) -> jax.Array:
    outputs = 4 * width if bottleneck else width
    shapes = [(width, 1, 1), (width, 3, stride), (outputs, 1, 1)]
    y = x
    for number, shape in enumerate(shapes if bottleneck else [(width, 3, stride), (width, 3, 1)], 1):
        y = y if number == 1 else jax.nn.relu(y)
        y = batch_norm(w / f"bn{number}", conv(w / f"conv{number}", y, *shape))
    if stride > 1 or x.shape[-1] != outputs:
        skip = w / "downsample"
        x = batch_norm(skip / 1, conv(skip / 0, x, outputs, 1, stride))
    return jax.nn.relu(x + y)


def _network(depth: int) -> Network:
    stages: list[tuple[str, Stage]] = [("stem", _stem)]
    stages += [(f"layer{n}", functools.partial(_stage, number=n, depth=depth)) for n in range(1, 5)]
    return Network((*stages, ("pool", average)), "fc", Expected(interpolation="bilinear"))


NETWORKS = {f"resnet{depth}": _network(depth) for depth in _BLOCKS}
