"""DenseNet-121 (Huang et al. 2017): names of torchvision and timm, and those of older files."""

from __future__ import annotations

import functools
import re

import jax
import jax.numpy as jnp

from nachos_jax.models.pooling import max_pool
from nachos_jax.models.zoo.layers import average, batch_norm, conv
from nachos_jax.models.zoo.network import Expected, Network, Stage
from nachos_jax.models.zoo.place import Place

_GROWTH = 32
_LAYERS = (6, 12, 24, 16)


def _stem(w: Place, x: jax.Array) -> jax.Array:
    features = w / "features"
    x = jax.nn.relu(batch_norm(features / "norm0", conv(features / "conv0", x, 64, 7, 2)))
    return max_pool(x, window=3, stride=2, padding=1)


def _block(w: Place, x: jax.Array, number: int) -> jax.Array:
    """A dense block, after the transition that halves channels and sides before all but the first."""
    features = w / "features"
    if number > 1:
        before = features / f"transition{number - 1}"
        x = jax.nn.relu(batch_norm(before / "norm", x))
        x = _halved(conv(before / "conv", x, x.shape[-1] // 2, 1))
    for layer in range(1, _LAYERS[number - 1] + 1):
        place = features / f"denseblock{number}" / f"denselayer{layer}"
        y = conv(place / "conv1", jax.nn.relu(batch_norm(place / "norm1", x)), 4 * _GROWTH, 1)
        y = conv(place / "conv2", jax.nn.relu(batch_norm(place / "norm2", y)), _GROWTH, 3)
        x = jnp.concatenate([x, y], axis=-1)
    return x


def _halved(x: jax.Array) -> jax.Array:
    """Mean over windows of 2 x 2; an odd row or column is cut off."""
    height, width = x.shape[1] // 2, x.shape[2] // 2
    windows = x[:, : 2 * height, : 2 * width].reshape(len(x), height, 2, width, 2, -1)
    return windows.mean((2, 4))


def _last(w: Place, x: jax.Array) -> jax.Array:
    return jax.nn.relu(batch_norm(w / "features" / "norm5", x))


def _of_older_files(name: str) -> str:
    """denselayer1.norm.1.weight -> denselayer1.norm1.weight."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.", name)


_BLOCKS: list[tuple[str, Stage]] = [(f"block{n}", functools.partial(_block, number=n)) for n in range(1, 5)]

NETWORKS = {
    "densenet121": Network(
        (("stem", _stem), *_BLOCKS, ("norm", _last), ("pool", average)),
        "classifier",
        Expected(interpolation="bilinear"),
        (_of_older_files,),
    )
}
