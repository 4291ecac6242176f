"""A tiny study that trains in a second: cohort, config and folds shared by engine and protocol tests."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from nachos_jax import cohort_from_arrays, default_config
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.hparams import active
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.data.table import Cohort
from nachos_jax.engine.pool import LanePool
from nachos_jax.protocol.run.configure import checked
from nachos_jax.records.schema import FitRecord
from nachos_jax.splits.folds import Folds
from tests.fields import put

CASES, FOLDS, SIZE = 96, 4, 6


def arrays(dtype: str = "uint8") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images [96, 6, 6] whose stripes (rows, columns, none) tell the class, labels, and folds."""
    draw = np.random.default_rng(7)
    labels = np.arange(CASES) // 2 % 3
    images = draw.normal(100, 30, (CASES, SIZE, SIZE))
    images[labels == 0, ::2] += 40
    images[labels == 1, :, ::2] += 40
    folds = np.arange(CASES) // 6 % FOLDS
    return np.clip(images, 0, 255).astype(dtype), labels, folds


def cohort(dtype: str = "uint8") -> Cohort:
    """The cohort with two cases a subject and predefined folds."""
    images, labels, folds = arrays(dtype)
    subjects = np.asarray([f"s{i // 2:02d}" for i in range(CASES)])
    return cohort_from_arrays(images, labels, subjects=subjects, folds=folds)


def volumes(dtype: str = "uint8") -> Cohort:
    """The same cases as volumes [3, 6, 6, 1], whose slices are darkened images."""
    images, labels, folds = arrays(dtype)
    subjects = np.asarray([f"s{i // 2:02d}" for i in range(CASES)])
    slices = np.stack([images // 2, images, images // 4], axis=1).astype(dtype)
    return cohort_from_arrays(slices[..., None], labels, subjects=subjects, folds=folds)


def config(**changes: Any):
    """A ConfigDict for the cohort; names like training__epochs set fields."""
    values = default_config()
    values.data.source = "arrays"
    values.folds.scheme = "predefined"
    values.model.cnn.stages, values.model.cnn.width = 1, 4
    values.training.batch_size, values.training.epochs, values.training.patience = 16, 4, 2
    values.search.searcher, values.search.trials = "random", 3
    values.search.policy = "full"
    values.report.replicates = 200
    values.engine.lanes = 1
    # Timed choices would differ from run to run, and take seconds.
    values.engine.packing, values.engine.convolution = "map", "custom"
    # Saving after every epoch costs more than the epoch; a test of what is saved says so.
    values.engine.checkpoint_epochs = 1000
    for name, value in changes.items():
        put(values, name, value)
    return values


def run_config(**changes: Any) -> RunConfig:
    """The same, checked."""
    return checked(config(**changes))


def folds(of: Cohort) -> Folds:
    """The predefined folds."""
    assert of.table.folds is not None
    return Folds(of.table.folds[None], int(of.table.folds.max()) + 1)


def fit(run: RunConfig, left_out: tuple[int, ...] = (0, 1), epochs: int | None = None, **hparams: Any) -> Fit:
    """A search fit, or with `epochs` a fit of exactly so many."""
    values = active({**run.defaults, **hparams}, run.table)
    return Fit(values, left_out, run.seed, run.limit if epochs is None else EpochLimit(epochs), "cases")


def some_fits(run: RunConfig) -> list[Fit]:
    """Eight search fits: four pairs of folds with two learning rates."""
    pairs = [(0, 1), (0, 2), (1, 2), (1, 3)]
    return [fit(run, pair, learning_rate=rate) for pair in pairs for rate in (0.01, 0.05)]


def train(
    fits: list[Fit], run: RunConfig, of: Cohort, devices: int = 1, **more: Any
) -> tuple[dict[str, FitRecord], dict[str, dict[str, bytes]], LanePool]:
    """Trains fits in a fresh pool; returns records and payloads by fit id, and the pool."""
    pool = LanePool(of, folds(of), run, devices=jax.devices()[:devices], **more)
    pool.submit(fits)
    records, payloads = {}, {}
    while pool.busy or pool.waiting:
        for result in pool.step():
            records[result.record.fit], payloads[result.record.fit] = result.record, result.payload
    pool.close()
    return records, payloads, pool
