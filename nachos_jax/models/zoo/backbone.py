"""A backbone with its weights: the features of images, computed batch by batch on all local devices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from nachos_jax.config.run_config import BackboneConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.preparation import prepare
from nachos_jax.models.convolution import default_lowering
from nachos_jax.models.zoo import files, matching, registry
from nachos_jax.models.zoo.network import Network
from nachos_jax.models.zoo.place import needed, reading
from nachos_jax.runtime import mesh as meshes

PER_DEVICE = 16
"""Images of a batch on each device: always as many, so that features do not depend on how many there are."""
CAUTION = (
    "Public data sets that weights were pretrained on may hold cases of this study, or of the same subjects: "
    "nobody here can check it, and an estimate would then be too good."
)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Backbone:
    """A network of the zoo, up to a layer.

    Attributes:
        network: what it computes.
        layer: whose output the features are.
        size: height and width to which images are resized.
        arrays: its weights by name, float32.
        facts: what model.json, the report and the checklists say of it.
    """

    network: Network
    layer: str
    size: tuple[int, int]
    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """All that features depend on beside the pixels."""
        kept = ("name", "layer", "sha256", "height", "width", "interpolation", "mean", "sd", "range")
        return {name: self.facts[name] for name in kept}

    @property
    def width(self) -> int:
        """D: features of an image."""
        return int(self.facts["features"])

    def features(
        self, images: np.ndarray, out: np.ndarray | None = None, progress: Progress | None = None
    ) -> np.ndarray:
        """Features of images.

        Args:
            images: [N, H, W, C] as they are stored, C 1 or 3; maybe mapped from a file.
            out: [N, D] float16 to fill.
            progress: told (images done, images in all) after each batch.

        Returns:
            [N, D] float16.

        Raises:
            UsageError: a feature that float16 cannot hold, or that is no number.
        """
        out = np.empty((len(images), self.width), np.float16) if out is None else out
        apply, weights, batch = self._compiled
        for start in range(0, len(images), batch):
            part = self._sized(images[start : start + batch])
            room = np.zeros((batch, *part.shape[1:]), part.dtype)
            room[: len(part)] = part
            with np.errstate(over="ignore"):
                out[start : start + len(part)] = np.asarray(apply(weights, room))[: len(part)]
            if not np.isfinite(out[start : start + len(part)]).all():
                raise UsageError(
                    f"config.backbone.layer = {self.layer!r}: its features are larger than float16 "
                    "holds, or no numbers; name another layer, or mend the weights."
                )
            if progress:
                progress(start + len(part), len(images))
        return out

    def _sized(self, images: np.ndarray) -> np.ndarray:
        if images.shape[1:3] == self.size:
            return np.asarray(images)
        height, width = self.size
        wanted = {"height": height, "width": width, "channels": 0, "aspect": "stretch"}
        wanted["interpolation"] = self.facts["interpolation"]
        return np.stack([prepare(np.asarray(image), wanted) for image in images])

    @functools.cached_property
    def _compiled(self) -> tuple[Callable[[Any, np.ndarray], jax.Array], Any, int]:
        mesh, lowering = meshes.lane_mesh(), default_lowering(jax.default_backend())

        def apply(weights: Mapping[str, jax.Array], images: jax.Array) -> jax.Array:
            x = normalised(images, self.network)
            return self.network.features(reading(weights, lowering), x, self.layer)

        everywhere, by_lane = PartitionSpec(), PartitionSpec(meshes.LANE)
        spread = jax.shard_map(
            apply, mesh=mesh, in_specs=(everywhere, by_lane), out_specs=by_lane, check_vma=False
        )
        weights = jax.device_put(dict(self.arrays), meshes.everywhere(mesh))
        return jax.jit(spread), weights, PER_DEVICE * mesh.size


def load(config: BackboneConfig, height: int = 0, width: int = 0) -> Backbone:
    """The backbone of a config, with the weights of its file.

    Args:
        config: config.backbone.
        height: of the images, 0 for that of the weights.
        width: likewise.

    Raises:
        UsageError: no such network or layer, the weights cannot be read or do not fit, images too small.
    """
    network = registry.network(config.name)
    contents = files.read(config.weights, network.source)
    matched = matching.match(network, contents)
    told = {
        "weights": contents.path.name,
        "sha256": contents.sha256,
        "matched": matched.report,
        "licence": config.licence,
        "pretrained_on": config.pretrained_on,
        "caution": CAUTION,
    }
    side = network.expected.size
    size = (int(height), int(width)) if height else (side, side)
    return made(config.name, config.layer or network.layers[-1], size, matched.arrays, told)


def made(
    name: str,
    layer: str,
    size: tuple[int, int],
    arrays: Mapping[str, np.ndarray],
    told: Mapping[str, Any],
) -> Backbone:
    """A backbone of weights by name; `told` are the facts that the network does not know."""
    network = registry.network(name)
    if layer not in network.layers:
        raise UsageError(f"config.backbone.layer = {layer!r}: must be one of {', '.join(network.layers)}.")
    network.check_size(*size)
    names = needed(lambda w, x: network.features(w, x, layer), (1, *size, 3))
    arrays = {key: np.asarray(arrays[key]) for key in names}
    shape = jax.eval_shape(
        lambda w, x: network.features(reading(w, "lax"), x, layer),
        arrays,
        jax.ShapeDtypeStruct((1, *size, 3), jnp.float32),
    )
    mean, sd = network.expected.mean_sd
    facts = {
        "name": name,
        "layer": layer,
        "features": shape.shape[1],
        "height": size[0],
        "width": size[1],
        "interpolation": network.expected.interpolation,
        "range": "8-bit values / 255, others from the least to the greatest of each image",
        "mean": list(mean),
        "sd": list(sd),
        **told,
    }
    return Backbone(network, layer, size, arrays, facts)


def normalised(images: jax.Array, network: Network) -> jax.Array:
    """Stored pixels [B, H, W, C] as the weights expect them, [B, H, W, 3] float32: gray as equal colours."""
    x = images.astype(jnp.float32)
    if images.dtype == jnp.uint8:
        x = x / 255
    else:
        low, high = x.min((1, 2, 3), keepdims=True), x.max((1, 2, 3), keepdims=True)
        x = (x - low) / jnp.where(high > low, high - low, 1)
    if x.shape[-1] == 1:
        x = jnp.repeat(x, 3, axis=-1)
    mean, sd = (jnp.asarray(one, jnp.float32)[None, None, None] for one in network.expected.mean_sd)
    return (x - mean) / sd
