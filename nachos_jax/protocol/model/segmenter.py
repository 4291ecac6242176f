"""Masks of whole cases by the weights of a fit, in windows that overlap, and how far off they are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors.numpy import load

from nachos_jax.core.types import HParams
from nachos_jax.data import resampling
from nachos_jax.data.ragged import Ragged
from nachos_jax.engine import lane
from nachos_jax.engine.inputs import as_number
from nachos_jax.metrics import surface
from nachos_jax.protocol.model import networks
from nachos_jax.protocol.model.networks import Architecture, Predicted, Weights
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.schema import FitRecord
from nachos_jax.tasks import registry as tasks

TOLERANCE = 1.0
"""mm (voxels, where the spacing is not known) that the normalised surface distance forgives."""
_FLIPS = ("segmentation.flip_depth", "flip_vertical", "flip_horizontal")
"""Probabilities of mirroring along each axis."""


def segmenter(run: Run, record: FitRecord) -> Callable[[int], np.ndarray]:
    """A function that gives a case of the run's cohort its mask [D, H, W] uint8, see `MaskDevice.segment`.

    Windows are mirrored along the axes along which the fit was trained with mirroring.

    Raises:
        UsageError: the weights of the fit are missing or damaged.
    """
    store, task = run.cohort.store, tasks.of(run.config.task)
    assert isinstance(store, Ragged)
    shape = task.network_shape(store.shape, record.hparams)
    told_of = Predicted(task.name, run.cohort.targets.names, shape)
    of = networks.architecture(record.hparams, told_of, run.config.precision)
    found = networks.weights(of, load(run.store.payload(record, "weights.safetensors")))
    rows = [row for row in task.hyperparameters if not row.static and row.name in record.hparams]
    traced = {row.name: jnp.asarray(as_number(row, record.hparams[row.name])) for row in rows}
    found = found._replace(told=found.told._replace(traced=traced))
    canvas = tuple(np.maximum(store.sides.max(axis=0), shape[:-1]).tolist())
    make = _compiled(of, canvas, _mirrored(record.hparams, shape))

    def mask(row: int) -> np.ndarray:
        whole = np.asarray(make(found, store.rows(np.asarray([row], np.int32))))
        return whole[tuple(slice(0, side) for side in store.sides[row].tolist())]

    return mask


def measured(run: Run, record: FitRecord, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Masks of n cases against their truth, one row a case; NaN where the fit met NaN.

    Returns:
        "window_volumes" [n, K, 3]: volumes of agreement and error; "hd95" [n, K] in mm (voxels, where the
        spacing is not known); "nsd" [n, K], see `nachos_jax.metrics.surface`.
    """
    store, classes = run.cohort.store, len(run.cohort.targets.names)
    assert isinstance(store, Ragged)
    volumes = np.full((len(rows), classes, 3), np.nan)
    distances = np.full((len(rows), classes, 2), np.nan)
    if record.status == "done":
        mask_of = segmenter(run, record)
        for place, row in enumerate(rows):
            truth, spacing = store.truth(row)
            mask = resampling.restored(mask_of(row), truth.shape, store.spacing[row].tolist(), spacing)
            volumes[place] = _counts(truth, mask, classes) * np.prod(spacing)
            if truth.shape[0] == 1:
                truth, mask, spacing = truth[0], mask[0], spacing[1:]
            distances[place] = surface.of_classes(truth, mask, classes + 1, list(spacing), TOLERANCE)
    return {"window_volumes": volumes, "hd95": distances[..., 0], "nsd": distances[..., 1]}


def _counts(truth: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """[K, 3]: voxels of true positives, false positives and false negatives."""
    table = np.bincount(
        truth.reshape(-1).astype(int) * (classes + 1) + mask.reshape(-1), minlength=(classes + 1) ** 2
    )
    table = table.reshape(classes + 1, classes + 1)
    right = np.diag(table)[1:]
    return np.stack([right, table.sum(axis=0)[1:] - right, table.sum(axis=1)[1:] - right], axis=-1)


def _mirrored(hparams: HParams, shape: Sequence[int]) -> tuple[int, ...]:
    """Axes along which training mirrored, other than that of single slices."""
    return tuple(
        axis for axis, name in enumerate(_FLIPS) if float(hparams.get(name, 0)) > 0 and shape[axis] > 1
    )


@functools.lru_cache(maxsize=32)
def _compiled(
    of: Architecture, canvas: tuple[int, ...], axes: tuple[int, ...]
) -> Callable[[Weights, Any], jax.Array]:
    """Compiled function of all networks of an architecture: (weights, one case) -> mask on a canvas."""
    graph, task, mode = lane.graph(of.build), of.task, of.mode

    @jax.jit
    def apply(found: Weights, volumes: Any) -> jax.Array:
        network = nnx.merge(graph, found.params, found.stats, found.frozen)
        return task.segment(lambda x: network(x, mode), volumes, found.told, canvas, axes)  # type: ignore

    return apply
