"""Another spacing: against plain interpolation, back again, and counts on the grid that a mask came with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from nachos_jax.core.errors import UsageError
from nachos_jax.data import resampling, sources
from nachos_jax.data.masks import Rules
from nachos_jax.data.ragged import Ragged, Volume
from nachos_jax.tasks.classification import TASK as CLASSIFICATION
from tests import masks

MEDIAN = Rules(spacing="median")


def ball(sides=(20, 24, 18), spacing=(1.5, 1.0, 2.0), dtype=np.int16) -> Volume:
    """Two half balls of 12 mm across in smooth noise."""
    middle = [(side - 1) / 2 for side in sides]
    mm = [(place - half) * step for place, half, step in zip(np.indices(sides), middle, spacing, strict=True)]
    labels = (np.sqrt(sum(part**2 for part in mm)) < 6.0) * (1 + (mm[0] > 0))
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=sides), 2.0) * 500
    return Volume((noise + 300 * labels)[..., None].astype(dtype), labels.astype(np.uint8), spacing)


def plain(values: np.ndarray, sides: tuple[int, ...], order: int) -> np.ndarray:
    """Interpolated at the middles of voxels that share their outer borders with those of values."""
    lines = [(np.arange(n) + 0.5) * side / n - 0.5 for n, side in zip(sides, values.shape, strict=True)]
    return ndimage.map_coordinates(values, np.meshgrid(*lines, indexing="ij"), order=order, mode="nearest")


def test_the_common_spacing_is_that_of_nnunet():
    draw = np.random.default_rng(0)
    spacing, sides = draw.uniform(0.5, 2.0, (9, 3)), draw.integers(50, 80, (9, 3))
    assert resampling.common(spacing, sides, "mean") == pytest.approx(spacing.mean(0))
    assert resampling.common(spacing, sides, "median") == pytest.approx(np.median(spacing, 0))
    spacing[:, 0], sides[:, 0] = np.linspace(3, 11, 9), 10
    found = resampling.common(spacing, sides, "median")
    assert found == pytest.approx([np.percentile(spacing[:, 0], 10), *np.median(spacing[:, 1:], 0)])
    sides[:, 0] = 60  # as long as the others: not cut thick, but large
    assert resampling.common(spacing, sides, "median")[0] == pytest.approx(7)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_images_are_cubic_splines_within_their_range(dtype):
    volume = ball(dtype=dtype)
    found = resampling.resampled(volume, (1.0, 1.0, 1.0))
    assert (found.image.shape, found.image.dtype) == ((30, 24, 36, 1), np.dtype(dtype))
    wanted = plain(volume.image[..., 0].astype(np.float64), (30, 24, 36), 3)
    wanted = np.clip(wanted, volume.image.min(), volume.image.max())
    np.testing.assert_allclose(found.image[..., 0], wanted, atol=0.51 if dtype != np.float32 else 0.05)


def test_across_thick_slices_the_nearest_one_counts():
    volume = ball((8, 24, 24), (4.0, 1.0, 1.0))
    found = resampling.resampled(volume, (2.0, 1.5, 1.5))
    each = [plain(part[..., 0].astype(np.float64), (16, 16), 3) for part in volume.image]
    wanted = np.clip(np.repeat(each, 2, axis=0), volume.image.min(), volume.image.max())
    np.testing.assert_allclose(found.image[..., 0], wanted, atol=0.51)
    shares = [[plain((part == k) * 1.0, (16, 16), 1) for part in volume.labels] for k in range(3)]
    np.testing.assert_array_equal(found.labels, np.repeat(np.argmax(shares, axis=0), 2, axis=0))


def test_a_case_of_that_spacing_stays_as_it_is():
    volume = ball()
    for found, own in zip(resampling.resampled(volume, volume.spacing), volume, strict=True):
        np.testing.assert_array_equal(found, own)


@pytest.mark.parametrize(
    ("spacing", "least"), [((0.7, 0.5, 1.0), 0.93), ((1.0, 1.0, 1.0), 0.88), ((1.2, 1.3, 1.5), 0.8)]
)
def test_a_mask_comes_back_to_its_grid(spacing, least):
    volume = ball()
    there = resampling.resampled(volume, spacing)
    hot = np.eye(3, dtype=np.float32)[there.labels]
    for mask in (there.labels, hot):
        found = resampling.restored(mask, volume.labels.shape, spacing, volume.spacing)
        assert (found.shape, found.dtype) == (volume.labels.shape, np.uint8)
        for k in (1, 2):
            ours, truth = found == k, volume.labels == k
            assert 2 * (ours & truth).sum() / (ours.sum() + truth.sum()) > least


@given(st.tuples(*[st.integers(1, 5)] * 3), st.tuples(*[st.integers(1, 5)] * 3), st.integers(0, 99))
def test_votes_are_those_of_a_plain_loop(own, there, seed):
    labels = np.random.default_rng(seed).integers(0, 3, own).astype(np.uint8)
    wanted = np.zeros((*there, 3), int)
    for place in np.ndindex(*own):
        at = tuple(int((i + 0.5) * t / o) for i, t, o in zip(place, there, own, strict=True))
        wanted[(*at, labels[place])] += 1
    np.testing.assert_array_equal(resampling.votes(labels, there, 2), wanted.reshape(-1, 3))


def mixed() -> list[masks.Pair]:
    """Pairs of two spacings."""
    return [
        replace(pair, spacing=(2.0, 1.0, 1.0) if row % 3 else (1.0, 0.5, 1.0))
        for row, pair in enumerate(masks.pairs())
    ]


def test_a_cohort_is_resampled_and_judged_by_its_own_masks():
    before, after = masks.cohort(of=mixed()), masks.cohort(MEDIAN, mixed())
    assert isinstance(before.store, Ragged)
    assert isinstance(after.store, Ragged)
    assert after.preparation["spacing"] == [2.0, 1.0, 1.0]
    assert "resampled to 2 x 1 x 1 mm" in after.notes
    assert after.hash != before.hash
    np.testing.assert_array_equal(after.targets.values, before.targets.values)
    assert (after.store.spacing == (2.0, 1.0, 1.0)).all()
    np.testing.assert_array_equal(after.store.sides[0], np.round(before.store.sides[0] * (0.5, 0.5, 1.0)))
    rows = after.store.rows(np.asarray([3, 0], np.int32))
    for place, case in enumerate((3, 0)):
        truth, spacing = after.store.truth(case)
        np.testing.assert_array_equal(truth, before.store.mask(case))
        assert (spacing, rows.size[place]) == (before.store.truth(case)[1], np.prod(spacing))
        own = rows.votes[rows.offset[place] :][: after.store.sizes[case]]
        np.testing.assert_array_equal(own.sum(0), np.bincount(truth.reshape(-1), minlength=3))


def test_what_cannot_be_resampled_is_refused():
    with pytest.raises(UsageError, match="config.data.spacing = 'median': .* does not say how many mm"):
        masks.cohort(MEDIAN, [replace(pair, spacing=None) for pair in masks.pairs()])


def test_a_task_without_masks_has_nothing_to_resample(config):
    with pytest.raises(UsageError, match="config.data.spacing = 'mean' resamples volumes"):
        sources.load(config(source="digits", spacing="mean"), CLASSIFICATION)
