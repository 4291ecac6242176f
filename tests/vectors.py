"""A tiny study of vectors: cohort, config and folds shared by tests of data, engine and protocol."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nachos_jax import ArrayCases, default_config
from nachos_jax import cohort as cohort_from
from nachos_jax.config.run_config import RunConfig
from nachos_jax.data.table import Cohort
from nachos_jax.data.vectors import Vectors
from nachos_jax.protocol.run.configure import checked
from tests.fields import put

CASES, FEATURES, CLASSES, FOLDS = 96, 7, 3, 4


def arrays(missing: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features [96, 7] on scales from 1e-3 to 1e3, labels, subjects with two cases each, and folds."""
    draw = np.random.default_rng(3)
    labels = np.arange(CASES) // 2 % CLASSES
    centres = draw.normal(0, 1.0, (CLASSES, FEATURES))
    values = centres[labels] + draw.normal(0, 1.0, (CASES, FEATURES)) + np.linspace(0, 20, FEATURES)
    values *= np.logspace(-3, 3, FEATURES)
    values[draw.random(values.shape) < missing] = np.nan
    subjects = np.asarray([f"s{i // 2:02d}" for i in range(CASES)])
    return values.astype(np.float32), labels, subjects, np.arange(CASES) // 6 % FOLDS


def cohort(missing: float = 0.0, impute: str = "") -> Cohort:
    """The cohort with predefined folds."""
    values, labels, subjects, folds = arrays(missing)
    return cohort_from(ArrayCases(values, labels, subjects, folds=folds, impute=impute))


def values_of(cohort: Cohort) -> np.ndarray:
    """[N, D] as stored."""
    assert isinstance(cohort.store, Vectors)
    return cohort.store.values


def with_values(cohort: Cohort, values: np.ndarray) -> Cohort:
    """The cohort with other features, whose hash stays: fits keep their ids."""
    assert isinstance(cohort.store, Vectors)
    return dataclasses.replace(cohort, store=dataclasses.replace(cohort.store, values=values))


def config(architecture: str = "linear", **changes: Any):
    """A ConfigDict for the cohort; names like training__epochs set fields."""
    values = default_config()
    values.data.source, values.folds.scheme = "arrays", "predefined"
    values.model.architecture = architecture
    values.model.mlp.width = 6
    values.training.batch_size, values.training.epochs, values.training.patience = 8, 4, 2
    values.search.searcher, values.search.trials, values.search.policy = "random", 3, "full"
    values.search.space.momentum = values.search.space.weight_decay = values.search.space.learning_rate = ""
    if architecture == "linear":
        values.search.space.linear.c = "log(0.01, 10.0)"
    else:
        values.search.space.learning_rate = "log(0.01, 0.1)"
    values.engine.lanes, values.engine.checkpoint_epochs = 2, 1000
    values.report.replicates = 200
    for name, value in changes.items():
        put(values, name, value)
    return values


def run_config(architecture: str = "linear", **changes: Any) -> RunConfig:
    """The same, checked."""
    return checked(config(architecture, **changes))
