"""A network from its hyperparameters and the arrays of a weights file: predicting and explaining with it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nachos_jax.core import rng
from nachos_jax.core.types import HParams, HParamValue
from nachos_jax.engine import lane
from nachos_jax.engine.bucket_lanes import named
from nachos_jax.models import registry
from nachos_jax.models.convolution import default_lowering
from nachos_jax.protocol.model import explain
from nachos_jax.protocol.model.explain import Explanation


@dataclass(frozen=True)
class Architecture:
    """All but the weights; equal ones share compiled programs.

    Attributes:
        hparams: hyperparameters that shape the network, sorted by name.
        channels: channels of the images.
        classes: number of classes.
        precision: "float32" or "bfloat16".
    """

    hparams: tuple[tuple[str, HParamValue], ...]
    channels: int
    classes: int
    precision: str

    def build(self, rngs: nnx.Rngs) -> nnx.Module:
        """The network with fresh weights, in the lowering that suits this machine."""
        dtype = jnp.bfloat16 if self.precision == "bfloat16" else jnp.float32
        lowering = default_lowering(jax.default_backend())
        return registry.build(dict(self.hparams), self.channels, self.classes, dtype, lowering, rngs)


class Weights(NamedTuple):
    """What a training found.

    Attributes:
        params: parameters.
        stats: running statistics.
        mean: [C] float32, mean of the training pixels.
        sd: [C] float32, their standard deviation.
    """

    params: Any
    stats: Any
    mean: Any
    sd: Any


def architecture(hparams: HParams, channels: int, classes: int, precision: str) -> Architecture:
    """The architecture that hyperparameters of a fit name; those of its training are left out."""
    own = {row.name for row in registry.hyperparameters()}
    shaping = tuple(sorted((name, value) for name, value in hparams.items() if name in own))
    return Architecture(shaping, channels, classes, precision)


def weights(of: Architecture, arrays: Mapping[str, np.ndarray]) -> Weights:
    """The weights in the arrays of a weights file.

    Raises:
        KeyError, ValueError, TypeError: the network cannot be built, or they are those of another one.
    """
    abstract = lane.parts(nnx.eval_shape(lambda: of.build(nnx.Rngs(0))))
    params, stats = (
        _filled(prefix, part, arrays) for prefix, part in zip(("params", "stats"), abstract, strict=True)
    )
    return Weights(params, stats, arrays["pixel_mean"], arrays["pixel_sd"])


def predictor(of: Architecture, found: Weights) -> Callable[[np.ndarray], jax.Array]:
    """Compiled function of one network: [B, H, W, C] pixels in stored range -> [B, classes] logits."""
    graph = lane.graph(of.build)

    @jax.jit
    def apply(images: jax.Array) -> jax.Array:
        network = nnx.merge(graph, found.params, found.stats)
        return network(_normalised(found, images), False, 0.0, rng.unused())  # type: ignore[operator]

    return apply


@functools.lru_cache(maxsize=32)
def explainer(of: Architecture, method: str) -> Callable[[Weights, np.ndarray, np.ndarray], Explanation]:
    """Compiled function of all networks of an architecture, so that each is not compiled anew.

    Args:
        of: the architecture.
        method: a name in `explain.METHODS`.

    Returns:
        (weights, [B, H, W, C] pixels in stored range, [B] int32 classes) -> their maps.
    """
    graph = lane.graph(of.build)

    @jax.jit
    def apply(found: Weights, images: jax.Array, classes: jax.Array) -> Explanation:
        def make() -> nnx.Module:
            return nnx.merge(graph, found.params, found.stats)

        return explain.METHODS[method](make, _normalised(found, images), classes)

    return apply


def _normalised(found: Weights, images: jax.Array) -> jax.Array:
    return (images.astype(jnp.float32) - found.mean[None, None, None]) / found.sd[None, None, None]


def _filled(prefix: str, abstract: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    leaves, structure = jax.tree_util.tree_flatten(abstract)
    names = list(named(prefix, jax.tree.unflatten(structure, [np.empty(0)] * len(leaves))))
    for name, leaf in zip(names, leaves, strict=True):
        if arrays[name].shape != leaf.shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, not {leaf.shape}")
    return jax.tree.unflatten(structure, [jnp.asarray(arrays[name]) for name in names])
