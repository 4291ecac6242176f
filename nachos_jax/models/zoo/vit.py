"""Vision Transformer (Dosovitskiy et al. 2021), small and base: names of timm and torchvision.

Positions are interpolated to other sizes as timm does (bicubic, widened when shrinking). DINOv2's networks
(Oquab et al. 2024) scale each residual; their features are the class token, as in all of these.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from nachos_jax.models.zoo.layers import biased_conv, gelu, layer_norm, linear
from nachos_jax.models.zoo.network import HALF, IMAGENET, Expected, Network
from nachos_jax.models.zoo.place import Place

BLOCKS = 12


@dataclass(frozen=True)
class _Kind:
    """What the members of the family differ in."""

    width: int
    heads: int
    patch: int
    scaled: bool = False  # whether each residual has a scale


def _tokens(w: Place, x: jax.Array, kind: _Kind) -> jax.Array:
    """Patches and the class token, with their positions: [B, H, W, 3] -> [B, 1 + patches, width]."""
    x = biased_conv(w / "patch_embed" / "proj", x, kind.width, kind.patch, kind.patch, padding=0)
    count, height, width, channels = x.shape
    token = jnp.broadcast_to(w.weights("cls_token", 1, 1, channels), (count, 1, channels))
    known = w.any_length("pos_embed", 1, 1, 1 + height * width, channels)
    x = jnp.concatenate([token, x.reshape(count, -1, channels)], axis=1)
    return x + _positions(known, height, width)


def _positions(known: jax.Array, height: int, width: int) -> jax.Array:
    """Positions [1, 1 + n^2, D] of a square of patches, for height x width of them."""
    side = math.isqrt(known.shape[1] - 1)
    if (side, side) == (height, width):
        return known
    grid = known[:, 1:].reshape(1, side, side, -1)
    grid = jax.image.resize(grid, (1, height, width, grid.shape[-1]), "cubic", antialias=True)
    return jnp.concatenate([known[:, :1], grid.reshape(1, height * width, -1)], axis=1)


def _block(w: Place, x: jax.Array, kind: _Kind, number: int) -> jax.Array:
    block = w / "blocks" / number
    y = _attention(block / "attn", layer_norm(block / "norm1", x), kind.heads)
    x = x + _scaled(block / "ls1", y, kind)
    y = gelu(linear(block / "mlp" / "fc1", layer_norm(block / "norm2", x), 4 * kind.width))
    return x + _scaled(block / "ls2", linear(block / "mlp" / "fc2", y, kind.width), kind)


def _scaled(w: Place, x: jax.Array, kind: _Kind) -> jax.Array:
    return x * w.weights("gamma", kind.width)[None, None] if kind.scaled else x


def _attention(w: Place, x: jax.Array, heads: int) -> jax.Array:
    count, tokens, width = x.shape
    parts = linear(w / "qkv", x, 3 * width).reshape(count, tokens, 3, heads, width // heads)
    query, key, value = jnp.moveaxis(parts, 2, 0)
    weight = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", query, key) * (width // heads) ** -0.5)
    seen = jnp.einsum("bhqk,bkhd->bqhd", weight, value)
    return linear(w / "proj", seen.reshape(count, tokens, width), width)


def _class_token(w: Place, x: jax.Array) -> jax.Array:
    return layer_norm(w / "norm", x)[:, 0]


_OF_TORCHVISION = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."),
)


def _of_torchvision(name: str) -> str:
    return functools.reduce(lambda told, rule: re.sub(rule[0], rule[1], told), _OF_TORCHVISION, name)


def _of_timm(name: str) -> str:
    return "" if name == "mask_token" else name  # of DINOv2's training; no prediction reads it


def _network(kind: _Kind, expected: Expected, source: str) -> Network:
    stages = [("tokens", functools.partial(_tokens, kind=kind))]
    stages += [(f"block{n + 1}", functools.partial(_block, kind=kind, number=n)) for n in range(BLOCKS)]
    names = (_of_timm, _of_torchvision)
    return Network((*stages, ("pool", _class_token)), "head", expected, names, kind.patch, source)


_TIMM, _TORCHVISION = "timm on the Hugging Face hub", "torchvision"
_OF_AUGREG, _OF_IMAGENET = Expected(HALF), Expected(IMAGENET, interpolation="bilinear")
_OF_DINO = Expected(IMAGENET)

NETWORKS = {
    "vit_small_patch16": _network(_Kind(384, 6, 16), _OF_AUGREG, _TIMM),
    "vit_base_patch16": _network(_Kind(768, 12, 16), _OF_AUGREG, _TIMM),
    "vit_b_16": _network(_Kind(768, 12, 16), _OF_IMAGENET, _TORCHVISION),
    "vit_small_patch14_dinov2": _network(_Kind(384, 6, 14, scaled=True), _OF_DINO, _TIMM),
    "vit_base_patch14_dinov2": _network(_Kind(768, 12, 14, scaled=True), _OF_DINO, _TIMM),
}
