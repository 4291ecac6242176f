"""Distances on the device against scipy's exact transform."""

from __future__ import annotations

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from nachos_jax.tasks.segmenting.distance import squared_distance, squared_distance_to_border

spaces = st.sampled_from([(9, 7), (5, 4, 6), (1, 8)])
to_seeds, to_border = jax.jit(squared_distance), jax.jit(squared_distance_to_border)


def drawn(space, seed):
    generator = np.random.default_rng(seed)
    mask = generator.random(space) < generator.choice([0.05, 0.5, 0.95])
    spacing = generator.choice([0.5, 1.0, 2.5], len(space))
    return mask, spacing


def scipy_squared(mask, spacing):
    """[*space] squared distance to the nearest voxel outside the mask."""
    return np.square(np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing)))


@given(space=spaces, seed=st.integers(0, 10_000))
def test_equals_scipy_with_spacing(space, seed):
    mask, spacing = drawn(space, seed)
    found = to_seeds(mask, spacing.astype(np.float32))
    if not mask.any():
        assert np.isinf(found).all()
        return
    np.testing.assert_allclose(found, scipy_squared(~mask, spacing), rtol=1e-6)


@given(space=spaces, seed=st.integers(0, 10_000))
def test_to_the_border_from_both_sides(space, seed):
    mask, spacing = drawn(space, seed)
    found = to_border(mask, spacing.astype(np.float32))
    expected = np.zeros(space)
    if mask.any() and not mask.all():
        for side in (mask, ~mask):
            expected += scipy_squared(side, spacing)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
