"""MobileNetV3 large (Howard et al. 2019): names of torchvision.

The hidden layer of its classifier belongs to the features.
"""

from __future__ import annotations

import functools

import jax

from nachos_jax.models.zoo.layers import average, batch_norm, biased_conv, conv, depthwise_conv, linear
from nachos_jax.models.zoo.network import Expected, Network, Stage
from nachos_jax.models.zoo.place import Place

# (window, expanded channels, channels, squeeze-and-excitation, hard swish, stride)
_BLOCKS = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_STAGES = (range(3), range(3, 6), range(6, 12), range(12, 15))
_EPSILON = 1e-3


def _stem(w: Place, x: jax.Array) -> jax.Array:
    place = w / "features" / 0
    return jax.nn.hard_swish(batch_norm(place / 1, conv(place / 0, x, 16, 3, 2), _EPSILON))


def _stage(w: Place, x: jax.Array, number: int) -> jax.Array:
    for block in _STAGES[number]:
        x = _block(w / "features" / (block + 1) / "block", x, block)
    return x


def _block(w: Place, x: jax.Array, number: int) -> jax.Array:
    side, expanded, outputs, squeezes, hard, stride = _BLOCKS[number]
    activation = jax.nn.hard_swish if hard else jax.nn.relu
    y, part = x, 0
    if expanded != x.shape[-1]:
        y = activation(batch_norm(w / 0 / 1, conv(w / 0 / 0, y, expanded, 1), _EPSILON))
        part = 1
    y = activation(batch_norm(w / part / 1, depthwise_conv(w / part / 0, y, side, stride), _EPSILON))
    if squeezes:
        part += 1
        mean = y.mean((1, 2), keepdims=True)
        squeezed = jax.nn.relu(biased_conv(w / part / "fc1", mean, _eighths(expanded // 4), 1))
        y = y * jax.nn.hard_sigmoid(biased_conv(w / part / "fc2", squeezed, expanded, 1))
    y = batch_norm(w / (part + 1) / 1, conv(w / (part + 1) / 0, y, outputs, 1), _EPSILON)
    return x + y if stride == 1 and x.shape == y.shape else y


def _eighths(count: int) -> int:
    rounded = max(8, int(count + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * count else rounded


def _last(w: Place, x: jax.Array) -> jax.Array:
    place = w / "features" / 16
    return jax.nn.hard_swish(batch_norm(place / 1, conv(place / 0, x, 960, 1), _EPSILON))


def _hidden(w: Place, x: jax.Array) -> jax.Array:
    return jax.nn.hard_swish(linear(w / "classifier" / 0, average(w, x), 1280))


_MIDDLE: list[tuple[str, Stage]] = [(f"stage{n + 1}", functools.partial(_stage, number=n)) for n in range(4)]

NETWORKS = {
    "mobilenet_v3_large": Network(
        (("stem", _stem), *_MIDDLE, ("head", _last), ("hidden", _hidden)),
        "classifier.3",
        Expected(interpolation="bilinear"),
        source="torchvision",
    )
}
