"""Near copies are found, pictures that only share a frame are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nachos_jax.audit import near
from nachos_jax.audit.grays import SIDE, bins, look
from nachos_jax.data.store import Dense


def _pictures(count: int) -> np.ndarray:
    """Smooth random pictures [n, SIDE, SIDE] within 0 and 255."""
    noise = np.random.default_rng(0).normal(size=(count, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2))
    return (127 + 100 * smooth / np.abs(smooth).max()).astype(np.float32)


def test_copies_with_noise_contrast_and_cut_edges_are_found():
    pictures, random = _pictures(12), np.random.default_rng(1)
    noisy = pictures[3] + random.normal(0, 2, (SIDE, SIDE))
    lighter = 0.7 * pictures[5] + 40
    cut = np.asarray(ndimage.zoom(pictures[7][3:63, 2:62], SIDE / 60, order=1))
    others = np.stack([np.asarray(one, np.float32) for one in (noisy, lighter, cut)])
    found = near.pairs(np.concatenate([pictures, others]))
    assert {tuple(rows) for rows in found.rows.tolist()} == {(3, 12), (5, 13), (7, 14)}
    assert (found.likeness >= near.NEAR).all()
    assert (np.diff(found.likeness) <= 0).all()


def test_a_likely_pair_is_told_when_it_is_far_ahead_of_its_rivals():
    rows = np.asarray([[0, 1], [0, 2], [3, 4], [5, 6], [6, 7], [7, 8], [7, 9]])
    likeness = np.asarray([0.88, 0.80, 0.84, 0.88, 0.86, 0.98, 0.91], np.float32)
    told = near._told(rows, likeness, 10)
    #                       ahead, a rival, too low, a rival near, the rival, nearly equal, near
    assert told.tolist() == [True, False, False, False, False, True, True]


def test_a_frame_and_an_empty_picture_make_no_copies():
    pictures = _pictures(6)
    pictures[:, :8], pictures[:, -8:] = 0, 255
    pictures[5] = 128
    assert len(near.pairs(pictures).rows) == 0


@pytest.mark.parametrize(("size", "start", "side"), [(10, 0.0, 1.0), (100, 0.1, 0.8), (64, 0.03, 0.93)])
def test_bins_are_means_over_the_window(size: int, start: float, side: float):
    matrix = bins(size, start, side, 16)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)
    centres = (np.arange(16) + 0.5) / 16 * side + start
    np.testing.assert_allclose(matrix @ (np.arange(size) + 0.5), size * centres, atol=0.5)


def test_looks_of_images_volumes_and_vectors():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 20, 30, 3), np.uint8)
    images[1] = 255
    seen = look(Dense(images), 3)
    assert seen.pictures is not None
    assert (seen.pictures.shape, seen.side) == ((3, SIDE, SIDE), 20)
    np.testing.assert_allclose(seen.mean, images.reshape(3, -1).mean(axis=1), rtol=1e-5)
    assert (seen.top[1], seen.spread[1]) == (1, 0)
    volumes = look(Dense(random.normal(size=(2, 5, 9, 9, 1)).astype(np.float32)), 2)
    assert volumes.pictures is not None
    assert (seen.letters == -1).all(), "too small to be read"
    assert look(Dense(random.normal(size=(4, 7)).astype(np.float32)), 4).pictures is None
