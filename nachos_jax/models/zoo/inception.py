"""Inception v3 (Szegedy et al. 2016), without its auxiliary classifier: names of torchvision and timm.

Its weights were ported from TensorFlow and expect pixels in [-1, 1]. torchvision standardises by ImageNet's
constants and takes that back inside the network (`transform_input`), which comes to the same.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from nachos_jax.models.depthwise import depthwise
from nachos_jax.models.pooling import max_pool
from nachos_jax.models.zoo.layers import Window, average, batch_norm, conv
from nachos_jax.models.zoo.network import HALF, Expected, Network, Stage
from nachos_jax.models.zoo.place import Place

_EPSILON = 1e-3
_POOLED = {"5b": 32, "5c": 64, "5d": 64}
"""Channels of the branch of pooling."""
_SEVENTHS = {"6b": 128, "6c": 160, "6d": 160, "6e": 192}
"""Channels inside the branches of 1 x 7 and 7 x 1."""
_ROW, _COLUMN = (1, 7), (7, 1)


def _unit(
    w: Place,
    x: jax.Array,
    outputs: int,
    window: Window = 1,
    stride: int = 1,
    padding: int | None = None,
) -> jax.Array:
    x = conv(w / "conv", x, outputs, window, stride, padding)
    return jax.nn.relu(batch_norm(w / "bn", x, _EPSILON))


def _chain(w: Place, name: str, x: jax.Array, *units: tuple[int, Window]) -> jax.Array:
    """Units of (channels, window) one after the other, numbered from 1."""
    for number, (outputs, window) in enumerate(units, 1):
        x = _unit(w / f"{name}_{number}", x, outputs, window)
    return x


def _pooled(w: Place, x: jax.Array, outputs: int) -> jax.Array:
    """Means of 3 x 3 pixels, zeros beyond the edge counted, and a 1 x 1 convolution."""
    ninths = jnp.full((3, 3, 1, x.shape[-1]), 1 / 9, x.dtype)
    means = depthwise(x, ninths, (1, 1), [(1, 1), (1, 1)], w.lowering)
    return _unit(w / "branch_pool", means, outputs)


def _stem(w: Place, x: jax.Array) -> jax.Array:
    x = _unit(w / "Conv2d_1a_3x3", x, 32, 3, 2, padding=0)
    x = _unit(w / "Conv2d_2a_3x3", x, 32, 3, padding=0)
    x = max_pool(_unit(w / "Conv2d_2b_3x3", x, 64, 3), window=3)
    x = _unit(w / "Conv2d_3b_1x1", x, 80)
    return max_pool(_unit(w / "Conv2d_4a_3x3", x, 192, 3, padding=0), window=3)


def _mixed_5(w: Place, x: jax.Array, name: str) -> jax.Array:
    w = w / f"Mixed_{name}"
    fifths = _chain(w, "branch5x5", x, (48, 1), (64, 5))
    thirds = _chain(w, "branch3x3dbl", x, (64, 1), (96, 3), (96, 3))
    ones = _unit(w / "branch1x1", x, 64)
    return jnp.concatenate([ones, fifths, thirds, _pooled(w, x, _POOLED[name])], -1)


def _mixed_6a(w: Place, x: jax.Array) -> jax.Array:
    w = w / "Mixed_6a"
    double = _chain(w, "branch3x3dbl", x, (64, 1), (96, 3))
    double = _unit(w / "branch3x3dbl_3", double, 96, 3, 2, padding=0)
    single = _unit(w / "branch3x3", x, 384, 3, 2, padding=0)
    return jnp.concatenate([single, double, max_pool(x, window=3)], -1)


def _mixed_6(w: Place, x: jax.Array, name: str) -> jax.Array:
    w, inner = w / f"Mixed_{name}", _SEVENTHS[name]
    ones = _unit(w / "branch1x1", x, 192)
    single = _chain(w, "branch7x7", x, (inner, 1), (inner, _ROW), (192, _COLUMN))
    pairs = ((inner, _COLUMN), (inner, _ROW), (inner, _COLUMN), (192, _ROW))
    double = _chain(w, "branch7x7dbl", x, (inner, 1), *pairs)
    return jnp.concatenate([ones, single, double, _pooled(w, x, 192)], -1)


def _mixed_7a(w: Place, x: jax.Array) -> jax.Array:
    w = w / "Mixed_7a"
    thirds = _unit(w / "branch3x3_2", _chain(w, "branch3x3", x, (192, 1)), 320, 3, 2, padding=0)
    sevenths = _chain(w, "branch7x7x3", x, (192, 1), (192, _ROW), (192, _COLUMN))
    sevenths = _unit(w / "branch7x7x3_4", sevenths, 192, 3, 2, padding=0)
    return jnp.concatenate([thirds, sevenths, max_pool(x, window=3)], -1)


def _mixed_7(w: Place, x: jax.Array, name: str) -> jax.Array:
    w = w / f"Mixed_{name}"
    single = _chain(w, "branch3x3", x, (384, 1))
    double = _chain(w, "branch3x3dbl", x, (448, 1), (384, 3))
    parts = [(_unit(w / "branch1x1", x, 320))]
    for y, number, branch in ((single, 2, "branch3x3"), (double, 3, "branch3x3dbl")):
        parts += [_unit(w / f"{branch}_{number}a", y, 384, (1, 3))]
        parts += [_unit(w / f"{branch}_{number}b", y, 384, (3, 1))]
    return jnp.concatenate([*parts, _pooled(w, x, 192)], -1)


def _without_auxiliary(name: str) -> str:
    return "" if name.startswith("AuxLogits.") else name


_STAGES: dict[str, Stage] = {
    "stem": _stem,
    **{f"Mixed_{name}": functools.partial(_mixed_5, name=name) for name in _POOLED},
    "Mixed_6a": _mixed_6a,
    **{f"Mixed_{name}": functools.partial(_mixed_6, name=name) for name in _SEVENTHS},
    "Mixed_7a": _mixed_7a,
    **{f"Mixed_{name}": functools.partial(_mixed_7, name=name) for name in ("7b", "7c")},
    "pool": average,
}

NETWORKS = {
    "inception_v3": Network(
        tuple(_STAGES.items()),
        "fc",
        Expected(HALF, 299, "bilinear"),
        (_without_auxiliary,),
        least=75,
    )
}
