"""EfficientNet b0 to b3 (Tan and Le 2019) and lite0: names of timm, torchvision, and the first PyTorch port.

Weights ported from TensorFlow ("tf_...") need its padding, its epsilon of batch norm, and pixels in [-1, 1].
Lite networks have ReLU6 instead of SiLU, no squeeze-and-excitation, and a stem and head of fixed width.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import jax

from nachos_jax.models.zoo.layers import SAME, average, batch_norm, biased_conv, conv, depthwise_conv
from nachos_jax.models.zoo.network import Expected, Network, as_it_is
from nachos_jax.models.zoo.place import Place

# (window, stride, expansion, channels, blocks) of each stage of b0
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


@dataclass(frozen=True)
class _Kind:
    """What the members of the family differ in."""

    width: float = 1.0
    depth: float = 1.0
    lite: bool = False
    ported: bool = False  # from TensorFlow

    @property
    def padding(self) -> int | None:
        return SAME if self.ported else None

    @property
    def epsilon(self) -> float:
        return 1e-3 if self.ported else 1e-5

    @property
    def activation(self) -> Callable[[jax.Array], jax.Array]:
        return jax.nn.relu6 if self.lite else jax.nn.silu

    def channels(self, count: int) -> int:
        """Channels times the width, in eights, and not below nine tenths."""
        scaled = count * self.width
        rounded = max(8, int(scaled + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * scaled else rounded

    def blocks(self, stage: int) -> int:
        count = _STAGES[stage][-1]
        return count if self.lite and stage in (0, 6) else math.ceil(count * self.depth)


def _stem(w: Place, x: jax.Array, kind: _Kind) -> jax.Array:
    x = conv(w / "conv_stem", x, 32 if kind.lite else kind.channels(32), 3, 2, kind.padding)
    return kind.activation(batch_norm(w / "bn1", x, kind.epsilon))


def _stage(w: Place, x: jax.Array, kind: _Kind, number: int) -> jax.Array:
    side, stride, expansion, channels, _ = _STAGES[number]
    for block in range(kind.blocks(number)):
        place, step = w / "blocks" / number / block, stride if block == 0 else 1
        y = _block(place, x, kind, (side, step, expansion, kind.channels(channels)))
        x = x + y if step == 1 and x.shape == y.shape else y
    return x


def _block(w: Place, x: jax.Array, kind: _Kind, shape: tuple[int, int, int, int]) -> jax.Array:
    """Expansion by 1x1, depthwise convolution, squeeze-and-excitation, projection by 1x1."""
    side, stride, expansion, outputs = shape
    y, number, inputs = x, 1, x.shape[-1]
    if expansion > 1:
        y = conv(w / "conv_pw", y, inputs * expansion, 1)
        y, number = kind.activation(batch_norm(w / "bn1", y, kind.epsilon)), 2
    y = depthwise_conv(w / "conv_dw", y, side, stride, kind.padding)
    y = kind.activation(batch_norm(w / f"bn{number}", y, kind.epsilon))
    if not kind.lite:
        squeezed = jax.nn.silu(biased_conv(w / "se" / "conv_reduce", _mean(y), inputs // 4, 1))
        y = y * jax.nn.sigmoid(biased_conv(w / "se" / "conv_expand", squeezed, y.shape[-1], 1))
    y = conv(w / ("conv_pwl" if expansion > 1 else "conv_pw"), y, outputs, 1)
    return batch_norm(w / f"bn{number + 1}", y, kind.epsilon)


def _mean(x: jax.Array) -> jax.Array:
    return x.mean((1, 2), keepdims=True)


def _last(w: Place, x: jax.Array, kind: _Kind) -> jax.Array:
    x = conv(w / "conv_head", x, 1280 if kind.lite else kind.channels(1280), 1)
    return kind.activation(batch_norm(w / "bn2", x, kind.epsilon))


def _of_torchvision(name: str) -> str:
    """features.2.0.block.1.0.weight -> blocks.1.0.conv_dw.weight."""
    ends = {"features.0.0": "conv_stem", "features.0.1": "bn1", "features.8.0": "conv_head"}
    ends |= {"features.8.1": "bn2", "classifier.1": "classifier"}
    for theirs, ours in ends.items():
        if name.startswith(f"{theirs}."):
            return ours + name.removeprefix(theirs)
    found = re.match(r"features\.(\d)\.(\d+)\.block\.(\d)\.(0|1|fc1|fc2)\.(.*)", name)
    if not found:
        return name
    stage, block, part, inner, rest = found.groups()
    kept = ["conv_dw", "se", "conv_pw"] if stage == "1" else ["conv_pw", "conv_dw", "se", "conv_pwl"]
    module = kept[int(part)] if int(part) < len(kept) else part
    norm = sum(one != "se" for one in kept[: int(part) + 1])
    modules = {"0": module, "1": f"bn{norm}", "fc1": "se.conv_reduce", "fc2": "se.conv_expand"}
    return f"blocks.{int(stage) - 1}.{block}.{modules[inner]}.{rest}"


def _of_first_port(name: str, kind: _Kind) -> str:
    """_blocks.1._depthwise_conv.weight -> blocks.1.0.conv_dw.weight."""
    ends = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    ends |= {"_fc": "classifier"}
    parts = name.split(".")
    if parts[0] in ends:
        return ".".join([ends[parts[0]], *parts[1:]])
    places = [(stage, block) for stage in range(len(_STAGES)) for block in range(kind.blocks(stage))]
    if parts[0] != "_blocks" or not parts[1].isdigit() or int(parts[1]) >= len(places):
        return name
    stage, block = places[int(parts[1])]
    norms = ("bn1", "bn2", "bn3") if stage else ("", "bn1", "bn2")
    modules = {"_expand_conv": "conv_pw", "_depthwise_conv": "conv_dw", "_se_reduce": "se.conv_reduce"}
    modules |= {"_se_expand": "se.conv_expand", "_project_conv": "conv_pwl" if stage else "conv_pw"}
    modules |= {f"_bn{number}": norm for number, norm in enumerate(norms)}
    return ".".join(["blocks", str(stage), str(block), modules.get(parts[2], parts[2]), *parts[3:]])


def _network(kind: _Kind, expected: Expected = Expected()) -> Network:  # noqa: B008  it is frozen
    stages = [("stem", functools.partial(_stem, kind=kind))]
    stages += [(f"stage{n + 1}", functools.partial(_stage, kind=kind, number=n)) for n in range(len(_STAGES))]
    stages += [("head", functools.partial(_last, kind=kind)), ("pool", average)]
    port = functools.partial(_of_first_port, kind=kind)
    return Network(tuple(stages), "classifier", expected, (as_it_is, _of_torchvision, port))


_LITE = _Kind(lite=True, ported=True)
_PORTED = ((127 / 255,) * 3, (128 / 255,) * 3)

NETWORKS = {
    "efficientnet_b0": _network(_Kind()),
    "efficientnet_b1": _network(_Kind(1.0, 1.1), Expected(size=240)),
    "efficientnet_b2": _network(_Kind(1.1, 1.2), Expected(size=260)),
    "efficientnet_b3": _network(_Kind(1.2, 1.4), Expected(size=300)),
    "efficientnet_lite0": _network(_Kind(lite=True)),
    "tf_efficientnet_b0": _network(_Kind(ported=True)),
    "tf_efficientnet_lite0": _network(_LITE, Expected(_PORTED)),
}
