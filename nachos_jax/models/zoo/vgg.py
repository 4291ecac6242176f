"""VGG-16 (Simonyan and Zisserman 2015): names of torchvision, whose features are those before the classifier.

The two hidden layers of its classifier belong to the features; they take a map of 7 x 7, to which the last
one is averaged as torchvision does.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from nachos_jax.models.pooling import max_pool
from nachos_jax.models.zoo.layers import biased_conv, linear
from nachos_jax.models.zoo.network import Expected, Network, Stage
from nachos_jax.models.zoo.place import Place

_WIDTHS, _CONVS = (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)
_FIRST = (0, 5, 10, 17, 24)
_SIDE = 7


def _stage(w: Place, x: jax.Array, number: int) -> jax.Array:
    for conv in range(_CONVS[number]):
        place = w / "features" / (_FIRST[number] + 2 * conv)
        x = jax.nn.relu(biased_conv(place, x, _WIDTHS[number], 3))
    return max_pool(x)


def _hidden(w: Place, x: jax.Array) -> jax.Array:
    x = _averaged(_averaged(x, 1), 2).transpose(0, 3, 1, 2).reshape(len(x), -1)
    for layer in (0, 3):
        x = jax.nn.relu(linear(w / "classifier" / layer, x, 4096))
    return x


def _averaged(x: jax.Array, axis: int) -> jax.Array:
    """Means over 7 windows of an axis, as PyTorch's adaptive pooling divides it."""
    side = x.shape[axis]
    windows = [(i * side // _SIDE, -(-(i + 1) * side // _SIDE)) for i in range(_SIDE)]
    means = [jax.lax.slice_in_dim(x, low, high, axis=axis).mean(axis, keepdims=True) for low, high in windows]
    return jnp.concatenate(means, axis)


_STAGES: list[tuple[str, Stage]] = [(f"stage{n + 1}", functools.partial(_stage, number=n)) for n in range(5)]

NETWORKS = {
    "vgg16": Network(
        (*_STAGES, ("hidden", _hidden)),
        "classifier.6",
        Expected(interpolation="bilinear"),
        source="torchvision",
    )
}
