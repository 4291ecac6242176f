"""The tiny study with three columns beside each image, of which one tells much and one has a hole."""

from __future__ import annotations

import dataclasses

import numpy as np

from nachos_jax import ArrayCases
from nachos_jax import cohort as cohort_from
from nachos_jax.data.joined import Joined
from nachos_jax.data.table import Cohort
from tests import tiny

NAMES = ("age", "size", "texture")


def columns() -> np.ndarray:
    """[96, 3] float64 on scales from 0.01 to 1000; NaN in one place."""
    draw, (_, labels, _) = np.random.default_rng(5), tiny.arrays()
    found = draw.normal(size=(tiny.CASES, 3)) + np.stack([labels, 0 * labels, 0 * labels], axis=1)
    found[5, 1] = np.nan
    return found * [10.0, 1000.0, 0.01] + [50.0, 0.0, 1.0]


def cohort(dtype: str = "uint8", values: np.ndarray | None = None) -> Cohort:
    """The cohort, with two cases a subject and predefined folds."""
    images, labels, folds = tiny.arrays(dtype)
    subjects = [f"s{i // 2:02d}" for i in range(tiny.CASES)]
    values = columns() if values is None else values
    cases = ArrayCases(images, labels, subjects, folds=folds, vectors=values, features=NAMES, impute="median")
    return cohort_from(cases)


def store_of(cohort: Cohort) -> Joined:
    """Its store."""
    assert isinstance(cohort.store, Joined)
    return cohort.store


def with_columns(cohort: Cohort, values: np.ndarray) -> Cohort:
    """The cohort with other columns, whose hash stays: fits keep their ids."""
    store = store_of(cohort)
    vectors = dataclasses.replace(store.vectors, values=values.astype(np.float32))
    return dataclasses.replace(cohort, store=dataclasses.replace(store, vectors=vectors))
