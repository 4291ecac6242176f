"""The inputs of a cohort whose cases all have one shape."""

from __future__ import annotations

import numpy as np

from nachos_jax.data.store import Dense
from nachos_jax.data.table import Cohort


def dense(cohort: Cohort) -> np.ndarray:
    """[N, ...] as stored."""
    assert isinstance(cohort.store, Dense)
    return cohort.store.values
