"""EfficientNetV2 small (Tan and Le 2021): names of torchvision."""

from __future__ import annotations

import functools

import jax

from nachos_jax.models.zoo.layers import average, batch_norm, biased_conv, conv, depthwise_conv
from nachos_jax.models.zoo.network import Expected, Network, Stage
from nachos_jax.models.zoo.place import Place

# (whether expansion and depthwise convolution are one, expansion, stride, channels, blocks)
_STAGES = (
    (True, 1, 1, 24, 2),
    (True, 4, 2, 48, 4),
    (True, 4, 2, 64, 4),
    (False, 4, 2, 128, 6),
    (False, 6, 1, 160, 9),
    (False, 6, 2, 256, 15),
)
_EPSILON = 1e-3


def _normed_conv(w: Place, x: jax.Array, outputs: int, side: int, stride: int = 1) -> jax.Array:
    return batch_norm(w / 1, conv(w / 0, x, outputs, side, stride), _EPSILON)


def _stem(w: Place, x: jax.Array) -> jax.Array:
    return jax.nn.silu(_normed_conv(w / "features" / 0, x, 24, 3, 2))


def _stage(w: Place, x: jax.Array, number: int) -> jax.Array:
    fused, expansion, stride, channels, blocks = _STAGES[number]
    for block in range(blocks):
        place, step = w / "features" / (number + 1) / block / "block", stride if block == 0 else 1
        y = (_fused if fused else _block)(place, x, expansion, step, channels)
        x = x + y if step == 1 and x.shape == y.shape else y
    return x


def _fused(w: Place, x: jax.Array, expansion: int, stride: int, outputs: int) -> jax.Array:
    if expansion == 1:
        return jax.nn.silu(_normed_conv(w / 0, x, outputs, 3, stride))
    y = jax.nn.silu(_normed_conv(w / 0, x, expansion * x.shape[-1], 3, stride))
    return _normed_conv(w / 1, y, outputs, 1)


def _block(w: Place, x: jax.Array, expansion: int, stride: int, outputs: int) -> jax.Array:
    inputs = x.shape[-1]
    y = jax.nn.silu(_normed_conv(w / 0, x, expansion * inputs, 1))
    y = jax.nn.silu(batch_norm(w / 1 / 1, depthwise_conv(w / 1 / 0, y, 3, stride), _EPSILON))
    squeezed = jax.nn.silu(biased_conv(w / 2 / "fc1", y.mean((1, 2), keepdims=True), inputs // 4, 1))
    y = y * jax.nn.sigmoid(biased_conv(w / 2 / "fc2", squeezed, y.shape[-1], 1))
    return _normed_conv(w / 3, y, outputs, 1)


def _last(w: Place, x: jax.Array) -> jax.Array:
    return jax.nn.silu(_normed_conv(w / "features" / 7, x, 1280, 1))


_MIDDLE: list[tuple[str, Stage]] = [
    (f"stage{n + 1}", functools.partial(_stage, number=n)) for n in range(len(_STAGES))
]

NETWORKS = {
    "efficientnet_v2_s": Network(
        (("stem", _stem), *_MIDDLE, ("head", _last), ("pool", average)),
        "classifier.1",
        Expected(size=384, interpolation="bilinear"),
        source="torchvision",
    )
}
