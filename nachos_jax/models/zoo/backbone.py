"""A backbone with its weights: what it gives of images, computed batch by batch on all local devices."""

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
from nachos_jax.core import rng
from nachos_jax.core.errors import UsageError
from nachos_jax.data.augment import augment_each
from nachos_jax.data.features import BACKBONE_IDENTITY
from nachos_jax.data.preparation import prepare
from nachos_jax.models.convolution import default_lowering
from nachos_jax.models.zoo import files, matching, published, registry
from nachos_jax.models.zoo.network import ALL, Network, Stage
from nachos_jax.models.zoo.place import Place, noted, reading
from nachos_jax.models.zoo.view import View
from nachos_jax.runtime import mesh as meshes

PER_DEVICE = 16
"""Images of a batch on each device: always as many, so that features do not depend on how many there are."""
CAUTION = (
    "Public data sets that weights were pretrained on may hold cases of this study, or of the same subjects: "
    "nobody here can check it, and an estimate would then be too good."
)
TUNED = ("tune", "inputs")
"""Facts of a backbone that is trained on: its freeze point, and what lanes are given."""
Progress = Callable[[int, int], None]
Call = Callable[[Place, jax.Array], jax.Array]


@dataclass(frozen=True)
class Backbone:
    """A network of the zoo, up to a layer; one that is trained on has a freeze point in front of that.

    Attributes:
        network: what it computes.
        layer: whose output the features are.
        size: height and width to which images are resized.
        arrays: its weights by name up to that layer, float32.
        facts: what model.json, the report and the checklists say of it.
        call: what gives the features, or where it is trained on the activations at the freeze point.
        front: names of the weights that this reads.
    """

    network: Network
    layer: str
    size: tuple[int, int]
    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]
    call: Call
    front: tuple[str, ...]

    @property
    def identity(self) -> dict[str, Any]:
        """All that features depend on beside the pixels."""
        return {name: self.facts[name] for name in (*BACKBONE_IDENTITY, *(set(TUNED) & set(self.facts)))}

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it gives of an image: (D,) of features."""
        given = self.facts["features"]
        return tuple(given) if isinstance(given, list) else (int(given),)

    def features(
        self,
        images: np.ndarray,
        out: np.ndarray | None = None,
        progress: Progress | None = None,
        view: View | None = None,
    ) -> np.ndarray:
        """Features of images, or their activations at the freeze point.

        Args:
            images: [N, H, W, C] as they are stored, C 1 or 3; maybe mapped from a file.
            out: [N, D] (or [N, ...], see `shape`) float16 to fill.
            progress: told (images done, images in all) after each batch.
            view: how each image is augmented before; None = not at all.

        Returns:
            `out`.

        Raises:
            UsageError: a feature that float16 cannot hold, or that is no number.
        """
        out = np.empty((len(images), *self.shape), np.float16) if out is None else out
        apply, weights, batch = self._compiled if view is None else self._augmenting(view.strengths)
        for start in range(0, len(images), batch):
            part = sized(images[start : start + batch], self.facts)
            room = np.zeros((batch, *part.shape[1:]), part.dtype)
            room[: len(part)] = part
            given = (room,) if view is None else (room, view.keys(part, batch))
            with np.errstate(over="ignore"):
                out[start : start + len(part)] = np.asarray(apply(weights, *given))[: len(part)]
            if not np.isfinite(out[start : start + len(part)]).all():
                tune = self.facts.get("tune", "")
                name, value = ("tune", tune) if tune else ("layer", self.layer)
                raise UsageError(
                    f"config.backbone.{name} = {value!r}: its features are larger than float16 "
                    "holds, or no numbers; name another layer, or mend the weights."
                )
            if progress:
                progress(start + len(part), len(images))
        return out

    @functools.cached_property
    def _compiled(self) -> tuple[Callable[..., jax.Array], Any, int]:
        return self._program({})

    def _augmenting(self, strengths: Mapping[str, float]) -> tuple[Callable[..., jax.Array], Any, int]:
        known = tuple(sorted(strengths.items()))
        if known not in self._augmented:
            self._augmented[known] = self._program(strengths)
        return self._augmented[known]

    @functools.cached_property
    def _augmented(self) -> dict[tuple, tuple[Callable[..., jax.Array], Any, int]]:
        return {}

    def _program(self, strengths: Mapping[str, float]) -> tuple[Callable[..., jax.Array], Any, int]:
        """(weights, images, and where there are strengths raw keys) -> features; weights; images a call."""
        mesh, lowering = meshes.lane_mesh(), default_lowering(jax.default_backend())

        def apply(weights: Mapping[str, jax.Array], images: jax.Array, *keys: jax.Array) -> jax.Array:
            x = normalised(images, self.network)
            for own in keys:
                x = augment_each(x, strengths, rng.of_raw(own))
            return self.call(reading(weights, lowering), x)

        everywhere, by_lane = PartitionSpec(), PartitionSpec(meshes.LANE)
        spread = jax.shard_map(
            apply,
            mesh=mesh,
            in_specs=(everywhere, by_lane, *([by_lane] if strengths else [])),
            out_specs=by_lane,
            check_vma=False,
        )
        weights = jax.device_put({name: self.arrays[name] for name in self.front}, meshes.everywhere(mesh))
        return jax.jit(spread), weights, PER_DEVICE * mesh.size


def load(config: BackboneConfig, height: int = 0, width: int = 0, inputs: str = "") -> Backbone:
    """The backbone of a config, with the weights of its file.

    Args:
        config: config.backbone.
        height: of the images, 0 for that of the weights.
        width: likewise.
        inputs: what lanes that train it on are given, see `RunConfig.tuned`.

    Raises:
        UsageError: no such network or layer, the weights cannot be read or do not fit, images too small.
    """
    network = registry.network(config.name)
    contents = files.read(config.weights, published.source(config.name, network.source))
    published.check(config.name, contents)
    matched = matching.match(network, contents)
    told = {
        "weights": contents.path.name,
        "sha256": contents.sha256,
        "matched": matched.report,
        "licence": config.licence,
        "pretrained_on": config.pretrained_on,
        "caution": CAUTION,
        **({"tune": config.tune, "inputs": inputs} if config.tune else {}),
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
    whole = noted(lambda w, x: network.features(w, x, layer), (1, *size, 3))
    arrays, tune = {key: np.asarray(arrays[key]) for key in whole.wanted}, str(told.get("tune", ""))
    call = functools.partial(network.features, layer=layer)
    if tune:
        _check_tuned(network, layer, tune, {key: (arrays[key].shape, whole.zeros[key]) for key in arrays})
        call = functools.partial(_through, network.split(tune, layer)[0])
    found = noted(call, (1, *size, 3))
    if tune and found.wanted.keys() == whole.wanted.keys():
        raise UsageError(
            f"config.backbone.tune = {tune!r}: no layer from there on to {layer!r} has weights to train; "
            f"name an earlier one of {', '.join(network.layers)}."
        )
    mean, sd = network.expected.mean_sd
    facts = {
        "name": name,
        "layer": layer,
        "features": list(found.shape[1:]) if tune else found.shape[1],
        "height": size[0],
        "width": size[1],
        "interpolation": network.expected.interpolation,
        "range": "8-bit values / 255, others from the least to the greatest of each image",
        "mean": list(mean),
        "sd": list(sd),
        **told,
    }
    return Backbone(network, layer, size, arrays, facts, call, tuple(found.wanted))


def _through(stages: Mapping[str, Stage], w: Place, x: jax.Array) -> jax.Array:
    for stage in stages.values():
        x = stage(w, x)
    return x


def _check_tuned(
    network: Network, layer: str, tune: str, shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
) -> None:
    known = (ALL, *network.until(layer))
    if tune not in known:
        raise UsageError(
            f"config.backbone.tune = {tune!r}: must be one of {', '.join(known)}, or '' for none."
        )
    for name, (given, suiting) in shapes.items():
        if given != suiting:
            side = network.expected.size
            raise UsageError(
                f"config.backbone.tune = {tune!r}: {name} belongs to images of {side} x {side} pixels, and "
                "the network is trained on at that size alone: set config.data.height and width to 0."
            )


def sized(images: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
    """Images [N, H, W, C] in the size that a backbone with these facts takes."""
    size = (facts["height"], facts["width"])
    if images.shape[1:3] == size:
        return np.asarray(images)
    wanted = {"height": size[0], "width": size[1], "channels": 0, "aspect": "stretch"}
    wanted["interpolation"] = facts["interpolation"]
    return np.stack([prepare(np.asarray(image), wanted) for image in images])


def fractions(images: np.ndarray) -> np.ndarray:
    """Images [N, H, W, C] on one scale: 8 bits as they are, others from 0 to 1 each, float32."""
    if images.dtype == np.uint8:
        return images
    x = images.astype(np.float32)
    low, high = x.min((1, 2, 3), keepdims=True), x.max((1, 2, 3), keepdims=True)
    return (x - low) / np.where(high > low, high - low, 1)


def given(images: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
    """Images [N, H, W, C] as lanes that read pixels are given them, in the size that the backbone takes.

    Of more than 8 bits they were stored as float16 where lanes were given pixels.
    """
    found = fractions(sized(images, facts))
    return found.astype(np.float16) if found.dtype != np.uint8 and facts["inputs"] == "pixels" else found


def mean_sd(facts: Mapping[str, Any], dtype: np.dtype, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD [C] float32 of what `fractions` gives of images stored so, as the weights expect them."""
    whole = 255.0 if dtype == np.uint8 else 1.0
    mean, sd = (np.asarray(facts[name], np.float64) * whole for name in ("mean", "sd"))
    if channels == 1:
        mean, sd = mean.mean(keepdims=True), sd.mean(keepdims=True)
    return mean.astype(np.float32), sd.astype(np.float32)


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
