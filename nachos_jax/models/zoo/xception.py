"""Xception (Chollet 2017), ported from Keras: names of timm's legacy_xception."""

from __future__ import annotations

import functools

import jax

from nachos_jax.models.pooling import max_pool
from nachos_jax.models.zoo.layers import average, batch_norm, conv, depthwise_conv
from nachos_jax.models.zoo.network import HALF, Expected, Network, Stage
from nachos_jax.models.zoo.place import Place

_BLOCKS = (
    ((128, 128), 2),
    ((256, 256), 2),
    ((728, 728), 2),
    *((((728,) * 3), 1),) * 8,
    ((728, 1024), 2),
)
"""(channels after each convolution, stride) of each block."""


def _stem(w: Place, x: jax.Array) -> jax.Array:
    x = jax.nn.relu(batch_norm(w / "bn1", conv(w / "conv1", x, 32, 3, 2, padding=0)))
    return jax.nn.relu(batch_norm(w / "bn2", conv(w / "conv2", x, 64, 3, padding=0)))


def _separable(w: Place, x: jax.Array, outputs: int) -> jax.Array:
    """A depthwise convolution of 3 x 3, then one of 1 x 1."""
    return conv(w / "pointwise", depthwise_conv(w / "conv1", x, 3), outputs, 1)


def _block(w: Place, x: jax.Array, number: int) -> jax.Array:
    w, (widths, stride) = w / f"block{number}", _BLOCKS[number - 1]
    y, place = x, 0
    for convolution, outputs in enumerate(widths):
        if number > 1 or convolution:  # the stem ends in a ReLU of its own
            y, place = jax.nn.relu(y), place + 1
        y = batch_norm(w / "rep" / (place + 1), _separable(w / "rep" / place, y, outputs))
        place += 2
    if stride == 1:
        return x + y
    skip = batch_norm(w / "skipbn", conv(w / "skip", x, widths[-1], 1, stride))
    return skip + max_pool(y, window=3, stride=stride, padding=1)


def _last(w: Place, x: jax.Array) -> jax.Array:
    x = jax.nn.relu(batch_norm(w / "bn3", _separable(w / "conv3", x, 1536)))
    return jax.nn.relu(batch_norm(w / "bn4", _separable(w / "conv4", x, 2048)))


_MIDDLE: list[tuple[str, Stage]] = [
    (f"block{n}", functools.partial(_block, number=n)) for n in range(1, len(_BLOCKS) + 1)
]

NETWORKS = {
    "xception": Network(
        (("stem", _stem), *_MIDDLE, ("head", _last), ("pool", average)),
        "fc",
        Expected(HALF, 299),
        source="timm on the Hugging Face hub",
    )
}
