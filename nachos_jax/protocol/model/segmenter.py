"""Masks of whole cases by the weights of one fit or several, in windows that overlap."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nachos_jax.core.hparams import with_absent
from nachos_jax.core.types import HParams
from nachos_jax.data.ragged import Volume, Volumes, stored
from nachos_jax.engine import lane
from nachos_jax.engine.inputs import as_number
from nachos_jax.protocol.model import networks
from nachos_jax.protocol.model.networks import Architecture, Predicted, Weights

_FLIPS = ("segmentation.flip_depth", "flip_vertical", "flip_horizontal")
"""Probabilities of mirroring along each axis."""


@dataclass(frozen=True)
class Member:
    """One of the networks that give masks together.

    Attributes:
        of: what its weights fill.
        weights: the weights.
        mirrored: axes of (D, H, W) along which windows are mirrored; what is seen is the mean over them.
    """

    of: Architecture
    weights: Weights
    mirrored: tuple[int, ...]


@dataclass(frozen=True)
class Segmenter:
    """Networks that give masks together, of one architecture or several.

    Attributes:
        members: the networks, at least one.
    """

    members: tuple[Member, ...]

    def mirror(self, wanted: bool) -> Segmenter:
        """The same, or one that mirrors nothing, which takes a half, a quarter or an eighth of the time."""
        return self if wanted else Segmenter(tuple(replace(one, mirrored=()) for one in self.members))

    def canvas(self, sides: Sequence[Sequence[int]]) -> tuple[int, int, int]:
        """(D, H, W) that hold cases of these sides and a patch: masks on one canvas are compiled for once."""
        patches = [member.of.predicted.shape[:-1] for member in self.members]
        depth, height, width = np.max([*sides, *patches], axis=0).tolist()
        return depth, height, width

    def mask(self, volume: Volume, canvas: tuple[int, int, int] | None = None) -> np.ndarray:
        """[D, H, W] uint8: the class with the highest of `probabilities` in every voxel, 0 the background."""
        whole = np.asarray(_highest(self._probabilities(volume, canvas)))
        return whole[_within(volume)]

    def probabilities(self, volume: Volume, canvas: tuple[int, int, int] | None = None) -> np.ndarray:
        """[D, H, W, K + 1] float32, the background first: the mean of the members, each after its softmax.

        Args:
            volume: the case; of its labels nothing is seen.
            canvas: see `canvas`; that of the case alone if not given.
        """
        return np.asarray(self._probabilities(volume, canvas))[_within(volume)]

    def _probabilities(self, volume: Volume, canvas: tuple[int, int, int] | None) -> jax.Array:
        canvas = canvas or self.canvas([volume.image.shape[:-1]])
        alone = _alone(volume, int(np.prod(canvas)))
        found = (_compiled(one.of, canvas, one.mirrored)(one.weights, alone) for one in self.members)
        return functools.reduce(operator.add, found) / len(self.members)


def segmenter(
    hparams: HParams,
    predicted: Predicted,
    precision: str,
    members: Sequence[Mapping[str, np.ndarray]],
) -> Segmenter:
    """The segmenter of some weights files.

    Windows are mirrored along the axes along which the fits were trained with mirroring, as nnU-Net does.

    Args:
        hparams: of the fits.
        predicted: classes, and the patch as the shape.
        precision: "float32" or "bfloat16".
        members: arrays of a weights file each.

    Raises:
        KeyError, ValueError, TypeError: the network cannot be built, or the weights are those of another one.
    """
    of, task = networks.architecture(hparams, predicted, precision), predicted.on_host
    known = with_absent(hparams, task.hyperparameters)
    traced = {
        row.name: jnp.asarray(as_number(row, known.get(row.name)))
        for row in task.hyperparameters
        if not row.static
    }
    found = [networks.weights(of, arrays) for arrays in members]
    told = [one._replace(told=one.told._replace(traced=traced)) for one in found]
    axes = mirrored(hparams, predicted.shape)
    return Segmenter(tuple(Member(of, weights, axes) for weights in told))


def together(of: Iterable[Segmenter]) -> Segmenter:
    """One of all their networks."""
    return Segmenter(tuple(member for one in of for member in one.members))


def mirrored(hparams: HParams, patch: Sequence[int]) -> tuple[int, ...]:
    """Axes along which training mirrored, other than that of single slices."""
    return tuple(
        axis for axis, name in enumerate(_FLIPS) if float(hparams.get(name, 0)) > 0 and patch[axis] > 1
    )


def _within(volume: Volume) -> tuple[slice, ...]:
    """The case on a canvas."""
    return tuple(slice(0, side) for side in volume.image.shape[:-1])


def _alone(volume: Volume, room: int) -> Volumes:
    """The case as the one of a store with room for so many voxels."""
    unseen = volume._replace(labels=np.zeros(volume.image.shape[:-1], np.uint8))
    rows = stored([unseen], 1).rows(np.zeros(1, np.int32))
    behind = room - len(rows.labels)
    voxels, labels = np.pad(rows.voxels, ((0, behind), (0, 0))), np.pad(rows.labels, (0, behind))
    return rows._replace(voxels=voxels, labels=labels)


@jax.jit
def _highest(probabilities: jax.Array) -> jax.Array:
    return jnp.argmax(probabilities, -1).astype(jnp.uint8)


@functools.lru_cache(maxsize=32)
def _compiled(
    of: Architecture, canvas: tuple[int, ...], axes: tuple[int, ...]
) -> Callable[[Weights, Any], jax.Array]:
    """Compiled function of all networks of an architecture: (weights, one case) -> probabilities."""
    graph, task, mode = lane.graph(of.build), of.task, of.mode

    @jax.jit
    def apply(found: Weights, volumes: Any) -> jax.Array:
        network = nnx.merge(graph, found.params, found.stats, found.frozen)
        return task.probabilities(lambda x: network(x, mode), volumes, found.told, canvas, axes)  # pyrefly: ignore[missing-attribute]

    return apply
