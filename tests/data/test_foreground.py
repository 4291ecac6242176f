"""The foreground of training cases: against NumPy on all voxels, and blind for cases that are held out."""

from __future__ import annotations

import numpy as np
import pytest

from nachos_jax.data.foreground import UNLIMITED
from nachos_jax.data.ragged import Ragged, Volume, stored

CASES, SIDE = 6, 24


def cohort(seed: int = 0) -> Ragged:
    """Cases of two channels, each with its own shift; the last one has no foreground."""
    draw, found = np.random.default_rng(seed), []
    for case in range(CASES):
        labels = draw.integers(0, 3, (SIDE,) * 3).astype(np.uint8) * (case < CASES - 1)
        image = draw.normal((10.0 * case, -50.0), (5.0, 20.0), (*labels.shape, 2)).astype(np.float32)
        found.append(Volume(image, labels, (1.0, 1.0, 1.0)))
    return stored(found, 2)


def plain(store: Ragged, chosen: np.ndarray) -> np.ndarray:
    """[C, 4] of as many voxels of each case, the first ones of its foreground."""
    parts = [
        store.one(case)[store.mask(case) > 0] for case in np.flatnonzero(chosen).tolist() if case < CASES - 1
    ]
    least = min(map(len, parts))
    pooled = np.concatenate([part[:least] for part in parts]).astype(np.float64)
    return np.stack([*np.percentile(pooled, (0.5, 99.5), axis=0), pooled.mean(0), pooled.std(0)], axis=1)


@pytest.mark.parametrize("out", [(), (0, 3), (1, 5)])
def test_percentiles_mean_and_sd_are_those_of_all_voxels(out):
    store, chosen = cohort(), ~np.isin(np.arange(CASES), out)
    found = store.sums().foreground(chosen)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain(store, chosen), rtol=0.01, atol=1.0)


def test_held_cases_change_no_bit():
    store, other, chosen = cohort(), cohort(1), np.arange(CASES) < 4
    mixed = np.where(chosen[:, None, None], store.foreground, other.foreground)
    for held in (mixed, np.where(chosen[:, None, None], store.foreground, np.nan)):
        object.__setattr__(other, "foreground", held)
        np.testing.assert_array_equal(other.sums().foreground(chosen), store.sums().foreground(chosen))


def test_without_a_foreground_values_stay_as_they_are():
    for chosen in (np.zeros(CASES, bool), np.arange(CASES) == CASES - 1):
        np.testing.assert_array_equal(cohort().sums().foreground(chosen), [UNLIMITED] * 2)


def test_one_value_is_not_divided_by_nothing():
    flat = Volume(np.full((2, 2, 2, 1), 7, np.uint8), np.ones((2, 2, 2), np.uint8), (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(stored([flat], 1).sums().foreground(np.ones(1, bool)), [(7, 7, 7, 1)])
