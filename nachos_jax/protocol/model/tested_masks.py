"""Masks that the refit of an outer fold gives the cases of that fold, and how far off they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from safetensors.numpy import load

from nachos_jax.data import resampling
from nachos_jax.data.ragged import Ragged, Volume
from nachos_jax.data.store import Store
from nachos_jax.data.table import Cohort
from nachos_jax.metrics import overlap, surface
from nachos_jax.protocol.model.networks import Predicted
from nachos_jax.protocol.model.segmenter import Segmenter, segmenter
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.schema import FitRecord
from nachos_jax.tasks import registry as tasks

TOLERANCE = 1.0
"""mm (voxels, where the spacing is not known) that the normalised surface distance forgives."""


def of_fits(run: Run, records: Sequence[FitRecord]) -> Segmenter:
    """The segmenter of fits of the run that have their hyperparameters alike.

    Raises:
        UsageError: the weights of a fit are missing or damaged.
    """
    task, hparams = tasks.of(run.config.task), records[0].hparams
    shape = task.network_shape(run.cohort.store.shape, hparams)
    told = Predicted(task.name, run.cohort.targets.names, shape)
    members = [load(run.store.payload(record, "weights.safetensors")) for record in records]
    return segmenter(hparams, told, run.config.precision, members)


def masks(run: Run, record: FitRecord) -> Callable[[int], np.ndarray]:
    """A function that gives a case of the run's cohort its mask [D, H, W] uint8.

    Raises:
        UsageError: the weights of the fit are missing or damaged.
    """
    return masks_of(run.cohort.store, of_fits(run, [record]))


def masks_of(store: Store, found: Segmenter) -> Callable[[int], np.ndarray]:
    """A function that gives a case of a store its mask [D, H, W] uint8."""
    assert isinstance(store, Ragged)
    canvas = found.canvas(store.sides.tolist())

    def mask(row: int) -> np.ndarray:
        depth, height, width = store.spacing[row].tolist()
        return found.mask(Volume(store.one(row), store.mask(row), (depth, height, width)), canvas)

    return mask


def measured(run: Run, record: FitRecord, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Masks of n cases of the run's cohort against their truth, see `compared`."""
    mask_of = masks(run, record) if record.status == "done" else None
    return compared(run.cohort, rows, mask_of)


def compared(
    cohort: Cohort, rows: Sequence[int], mask_of: Callable[[int], np.ndarray] | None
) -> dict[str, np.ndarray]:
    """Masks of n cases against their truth, one row a case; NaN without masks, as of a fit that met NaN.

    Returns:
        "window_volumes" [n, K, 3]: volumes of agreement and error; "hd95" [n, K] in mm (voxels, where the
        spacing is not known); "nsd" [n, K], see `nachos_jax.metrics.surface`.
    """
    store, classes = cohort.store, len(cohort.targets.names)
    assert isinstance(store, Ragged)
    volumes = np.full((len(rows), classes, 3), np.nan)
    distances = np.full((len(rows), classes, 2), np.nan)
    if mask_of is not None:
        for place, row in enumerate(rows):
            truth, spacing = store.truth(row)
            mask = resampling.restored(mask_of(row), truth.shape, store.spacing[row].tolist(), spacing)
            volumes[place] = overlap.voxels(truth, mask, classes) * np.prod(spacing)
            if truth.shape[0] == 1:
                truth, mask, spacing = truth[0], mask[0], spacing[1:]
            distances[place] = surface.of_classes(truth, mask, classes + 1, list(spacing), TOLERANCE)
    return {"window_volumes": volumes, "hd95": distances[..., 0], "nsd": distances[..., 1]}
