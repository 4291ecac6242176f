"""ConvNeXt tiny (Liu et al. 2022): names of timm and torchvision."""

from __future__ import annotations

import functools
import re

import jax

from nachos_jax.models.zoo.layers import average, biased_conv, depthwise_conv, gelu, layer_norm, linear
from nachos_jax.models.zoo.network import Network, Stage, as_it_is
from nachos_jax.models.zoo.place import Place

_WIDTHS, _BLOCKS = (96, 192, 384, 768), (3, 3, 9, 3)


def _stem(w: Place, x: jax.Array) -> jax.Array:
    stem = w / "stem"
    return layer_norm(stem / 1, biased_conv(stem / 0, x, _WIDTHS[0], 4, 4, padding=0))


def _stage(w: Place, x: jax.Array, number: int) -> jax.Array:
    """Blocks, after the layer that halves the sides before all but the first stage."""
    stage, width = w / "stages" / number, _WIDTHS[number]
    if number:
        halving = stage / "downsample"
        x = biased_conv(halving / 1, layer_norm(halving / 0, x), width, 2, 2, padding=0)
    for block in range(_BLOCKS[number]):
        place = stage / "blocks" / block
        y = depthwise_conv(place / "conv_dw", x, 7)
        y = layer_norm(place / "norm", y + (place / "conv_dw").weights("bias", width)[None, None, None])
        y = linear(place / "mlp" / "fc2", gelu(linear(place / "mlp" / "fc1", y, 4 * width)), width)
        x = x + y * _gamma(place, width)
    return x


def _gamma(w: Place, width: int) -> jax.Array:
    return w.weights("gamma", width)[None, None, None]


def _pool(w: Place, x: jax.Array) -> jax.Array:
    return layer_norm(w / "head" / "norm", average(w, x))


_MODULES = {"0": "conv_dw", "2": "norm", "3": "mlp.fc1", "5": "mlp.fc2"}
_ENDS = {"features.0.": "stem.", "classifier.0.": "head.norm.", "classifier.2.": "head.fc."}


def _of_torchvision(name: str) -> str:
    """features.1.0.block.0.weight -> stages.0.blocks.0.conv_dw.weight."""
    for theirs, ours in _ENDS.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    found = re.match(r"features\.(\d)\.(\d)\.(block\.(\d)\.)?(.*)", name)
    if not found:
        return name
    part, inner, block, module, rest = found.groups()
    stage = (int(part) - 1) // 2
    if int(part) % 2 == 0:
        return f"stages.{stage + 1}.downsample.{inner}.{rest}"
    if block:
        return f"stages.{stage}.blocks.{inner}.{_MODULES.get(module, module)}.{rest}"
    return f"stages.{stage}.blocks.{inner}.{rest.replace('layer_scale', 'gamma')}"


_STAGES: list[tuple[str, Stage]] = [(f"stage{n + 1}", functools.partial(_stage, number=n)) for n in range(4)]

NETWORKS = {
    "convnext_tiny": Network(
        (("stem", _stem), *_STAGES, ("pool", _pool)), "head.fc", renames=(as_it_is, _of_torchvision)
    )
}
