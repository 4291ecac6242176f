"""EfficientNetV2 small (Tan and Le 2021): names of torchvision.

Its first stages widen and convolve at once; the later ones are blocks of EfficientNet.
"""

from __future__ import annotations

import functools

import jax

from nachos_jax.models.zoo.layers import average, batch_norm, biased_conv, conv, depthwise_conv
from nachos_jax.models.zoo.network import Expected, Network, Stage
from nachos_jax.models.zoo.place import Place

_STAGES = (
    (True, 1, 1, 24, 2),
    (True, 4, 2, 48, 4),
    (True, 4, 2, 64, 4),
    (False, 4, 2, 128, 6),
    (False, 6, 1, 160, 9),
    (False, 6, 2, 256, 15),
)
"""(fused, expansion, stride, channels, blocks) of each stage; windows are of 3 x 3."""
_EPSILON = 1e-3


def _unit(w: Place, x: jax.Array, outputs: int, side: int, stride: int = 1) -> jax.Array:
    return batch_norm(w / 1, conv(w / 0, x, outputs, side, stride), _EPSILON)


def _stem(w: Place, x: jax.Array) -> jax.Array:
    return jax.nn.silu(_unit(w / "features" / 0, x, 24, 3, 2))


def _stage(w: Place, x: jax.Array, number: int) -> jax.Array:
    fused, expansion, stride, outputs, blocks = _STAGES[number - 1]
    call = _fused if fused else _inverted
    for block in range(blocks):
        place, step = w / "features" / number / block / "block", stride if block == 0 else 1
        y = call(place, x, expansion, outputs, step)
        x = x + y if step == 1 and x.shape == y.shape else y
    return x


def _fused(w: Place, x: jax.Array, expansion: int, outputs: int, stride: int) -> jax.Array:
    if expansion == 1:
        return jax.nn.silu(_unit(w / 0, x, outputs, 3, stride))
    return _unit(w / 1, jax.nn.silu(_unit(w / 0, x, x.shape[-1] * expansion, 3, stride)), outputs, 1)


def _inverted(w: Place, x: jax.Array, expansion: int, outputs: int, stride: int) -> jax.Array:
    """Expansion by 1x1, depthwise convolution, squeeze-and-excitation, projection by 1x1."""
    y = jax.nn.silu(_unit(w / 0, x, x.shape[-1] * expansion, 1))
    y = depthwise_conv(w / 1 / 0, y, 3, stride)
    y = jax.nn.silu(batch_norm(w / 1 / 1, y, _EPSILON))
    mean = y.mean((1, 2), keepdims=True)
    squeezed = jax.nn.silu(biased_conv(w / 2 / "fc1", mean, x.shape[-1] // 4, 1))
    y = y * jax.nn.sigmoid(biased_conv(w / 2 / "fc2", squeezed, y.shape[-1], 1))
    return _unit(w / 3, y, outputs, 1)


def _last(w: Place, x: jax.Array) -> jax.Array:
    return jax.nn.silu(_unit(w / "features" / (len(_STAGES) + 1), x, 1280, 1))


_MIDDLE: list[tuple[str, Stage]] = [
    (f"stage{n}", functools.partial(_stage, number=n)) for n in range(1, len(_STAGES) + 1)
]

NETWORKS = {
    "efficientnet_v2_s": Network(
        (("stem", _stem), *_MIDDLE, ("head", _last), ("pool", average)),
        "classifier.1",
        Expected(size=384, interpolation="bilinear"),
        source="torchvision",
    )
}
