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
from nachos_jax.metrics.components import Largest
from nachos_jax.protocol.model.networks import Predicted
from nachos_jax.protocol.model.segmenter import Segmenter, segmenter
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.schema import FitRecord
from nachos_jax.runtime import stopping
from nachos_jax.tasks import registry as tasks

TOLERANCE = 1.0
"""mm (voxels, where the spacing is not known) that the normalised surface distance forgives."""
WHOLE = Largest()
"""All components."""


def of_fit(run: Run, record: FitRecord) -> Segmenter:
    """The segmenter of a fit of the run.

    Raises:
        UsageError: the weights of the fit are missing or damaged.
    """
    task = tasks.of(run.config.task)
    shape = task.network_shape(run.cohort.prepared(record.hparams).shape, record.hparams)
    told = Predicted(task.name, run.cohort.targets.names, shape)
    arrays = load(run.store.payload(record, "weights.safetensors"))
    return segmenter(record.hparams, told, run.config.precision, [arrays])


def masks(store: Store, of: Segmenter) -> Callable[[int], np.ndarray]:
    """A function that gives a case of a store its mask uint8, on the grid that its truth came with."""
    own = masks_of_store(store, of)
    assert isinstance(store, Ragged)

    def mask(row: int) -> np.ndarray:
        truth, spacing = store.truth(row)
        return resampling.restored(own(row), truth.shape, store.spacing[row].tolist(), spacing)

    return mask


def masks_of_store(store: Store, of: Segmenter) -> Callable[[int], np.ndarray]:
    """A function that gives a case of a store its mask [D, H, W] uint8 on the grid that the network sees."""
    assert isinstance(store, Ragged)
    canvas = of.canvas(store.sides.tolist())

    def mask(row: int) -> np.ndarray:
        depth, height, width = store.spacing[row].tolist()
        return of.mask(Volume(store.one(row), store.mask(row), (depth, height, width)), canvas)

    return mask


def measured(run: Run, record: FitRecord, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Masks of n cases by one fit against their truth, one row a case; NaN where the fit met NaN.

    Returns:
        "window_volumes" [n, K, 3]: volumes of agreement and error; "hd95" [n, K] in mm (voxels, where the
        spacing is not known); "nsd" [n, K], see `nachos_jax.metrics.surface`.

    Raises:
        UsageError: the weights of the fit are missing or damaged.
    """
    store = run.cohort.prepared(record.hparams).store
    mask_of = masks(store, of_fit(run, record)) if record.status == "done" else None
    return named(*against_truth(run.cohort, mask_of, rows))


def named(volumes: np.ndarray, hd95: np.ndarray, nsd: np.ndarray) -> dict[str, np.ndarray]:
    """What `against_truth` gives, as the records of tests name it."""
    return {"window_volumes": volumes, "hd95": hd95, "nsd": nsd}


def against_truth(
    cohort: Cohort, mask_of: Callable[[int], np.ndarray] | None, rows: Sequence[int], kept: Largest = WHOLE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Volumes [n, K, 3] of agreement and error, HD95 [n, K] and NSD [n, K] of the masks of n cases.

    Args:
        cohort: the cases.
        mask_of: gives a case its mask, see `masks`; None where nothing is known, and all is NaN.
        rows: n of the cases.
        kept: the components that stay of each mask.
    """
    store, classes = cohort.store, len(cohort.targets.names)
    assert isinstance(store, Ragged)
    volumes = np.full((len(rows), classes, 3), np.nan)
    distances = np.full((len(rows), classes, 2), np.nan)
    for place, row in enumerate(rows if mask_of else ()):
        stopping.between()
        truth, spacing = store.truth(row)
        mask = kept.of(mask_of(row))  # pyrefly: ignore[not-callable]
        volumes[place] = overlap.voxels(truth, mask, classes) * np.prod(spacing)
        if truth.shape[0] == 1:
            truth, mask, spacing = truth[0], mask[0], spacing[1:]
        distances[place] = surface.of_classes(truth, mask, classes + 1, list(spacing), TOLERANCE)
    return volumes, distances[..., 0], distances[..., 1]
