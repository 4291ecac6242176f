"""Distances between surfaces against surface-distance (golden numbers), all pairs of points, and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from nachos_jax.metrics import surface, surface_elements
from tests.metrics.masks import MASKS, ball

GOLDEN = json.loads((Path(__file__).resolve().parents[1] / "golden" / "segmentation.json").read_text("utf-8"))
every_pair = pytest.mark.parametrize("name", MASKS)


@every_pair
def test_equals_surface_distance(name):
    reference, predicted, spacing = MASKS[name]
    ways, expected = surface.between(reference, predicted, spacing), GOLDEN["surfaces"][name]
    assert surface.hd95(*ways) == pytest.approx(expected["hd95"], rel=1e-6)
    assert surface.nsd(*ways, 1.0) == pytest.approx(expected["nsd"], abs=1e-6)
    assert [way.weights.sum() for way in ways] == pytest.approx(expected["areas"], rel=1e-6)


def points(mask, spacing):
    """[points, rank] mm: where voxels of both kinds meet, voxel by voxel."""
    found = []
    for place in np.ndindex(*np.add(mask.shape, 1)):
        around = [np.subtract(place, step) for step in np.ndindex((2,) * mask.ndim)]
        inside = [
            all(0 <= a < n for a, n in zip(at, mask.shape, strict=True)) and mask[tuple(at)] for at in around
        ]
        if any(inside) and not all(inside):
            found.append(np.multiply(place, spacing))
    return np.array(found)


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=3),
    spacing=st.sampled_from([0.5, 1.0, 3.0]),
    seed=st.integers(0, 10_000),
)
def test_distances_are_those_of_all_pairs_of_points(shape, spacing, seed):
    generator = np.random.default_rng(seed)
    first, second = generator.random((2, *shape)) < 0.4
    first.flat[0], second.flat[-1] = True, True
    steps = [spacing, *[1.0] * (len(shape) - 1)]
    forth, back = surface.between(first, second, steps)
    away = cdist(points(first, steps), points(second, steps))
    np.testing.assert_allclose(forth.mm, np.sort(away.min(axis=1)), atol=1e-9)
    np.testing.assert_allclose(back.mm, np.sort(away.min(axis=0)), atol=1e-9)
    turned = surface.between(first.T, second.T, steps[::-1])
    assert surface.hd95(*turned) == pytest.approx(surface.hd95(forth, back))
    assert surface.nsd(*turned, 1.0) == pytest.approx(surface.nsd(forth, back, 1.0))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0), (1.0, 1.0, 1.0), (3.0, 0.5, 0.7)])
def test_elements_of_flat_borders_are_what_they_cut(spacing):
    found = surface_elements.weights(spacing)
    rank, codes = len(spacing), len(found)
    np.testing.assert_allclose(found, found[::-1], err_msg="a mask and the rest have the same border")
    assert (found[0], found[-1]) == (0, 0)
    assert (found[1:-1] > 0).all()
    for axis in range(rank):
        lower = np.indices((2,) * rank)[axis] == 0
        code = int("".join(str(int(bit)) for bit in lower.ravel()), 2)
        assert code < codes
        assert found[code] == pytest.approx(np.prod(spacing) / spacing[axis])


def test_the_area_of_a_ball():
    for spacing in ((1.0, 1.0, 1.0), (2.0, 1.0, 0.8)):
        mask = ball((30, 44, 52), (15, 22, 26), 14.0, spacing)
        way, _ = surface.between(mask, mask, spacing)
        # Without grey values between inside and outside, the steps of the voxels make it a little larger.
        assert 1.0 < way.weights.sum() / (4 * np.pi * 14**2) < 1.15


def test_squares_a_step_apart():
    first, second = np.zeros((2, 12, 12), bool)
    first[2:8, 2:8], second[2:8, 3:9] = True, True
    ways = surface.between(first, second, (1.0, 2.0))
    assert surface.hd95(*ways) == 2.0
    assert surface.nsd(*ways, 2.0) == 1.0
    # Beyond 1 mm lie a side of 5 mm with its corners, of half a diagonal each, and of the side within the
    # other square the 3 mm that are not near one of its edges.
    corner = np.hypot(1, 2) / 2
    away, whole = 5.0 + 2 * corner + 3.0, 2 * 5.0 + 2 * 10.0 + 4 * corner
    assert surface.nsd(*ways, 1.0) == pytest.approx(1 - away / whole)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_the_same_mask_twice_and_a_mask_moved_within_its_image(seed):
    mask = np.random.default_rng(seed).random((4, 5, 4)) < 0.5
    wide = np.pad(mask, 3)
    same = surface.of_classes(mask.astype(int), mask.astype(int), 2, (1, 1, 2), 0.0)
    assert same.tolist() == [[0.0, 1.0]]
    other = np.roll(mask, 1, 0)
    expected = surface.between(mask, other, (1, 1, 2))
    found = surface.between(wide, np.pad(other, 3), (1, 1, 2))
    np.testing.assert_allclose(found[0].mm, expected[0].mm)


def test_empty_masks():
    empty, some = np.zeros((4, 6), int), np.zeros((4, 6), int)
    some[1, 2] = 1
    diagonal = np.hypot(4 * 2.0, 6 * 0.5)
    for pair, expected in (
        ((empty, empty), [0.0, 1.0]),
        ((some, empty), [diagonal, 0.0]),
        ((empty, some), [diagonal, 0.0]),
        ((some, some), [0.0, 1.0]),
    ):
        found = surface.of_classes(pair[0], pair[1], 2, (2.0, 0.5), 1.0)
        assert found[0] == pytest.approx(expected), pair
    assert surface.hd95(*surface.between(some == 1, empty == 1, (1, 1))) == np.inf
    assert surface.of_classes(some, some, 1, (1, 1), 1.0).shape == (0, 2)


def test_no_distance_is_beyond_the_diagonal():
    corners = np.zeros((2, 5, 7, 3), int)
    corners[0][0, 0, 0], corners[1][-1, -1, -1] = 1, 1
    found = surface.of_classes(corners[0], corners[1], 2, (1.0, 2.0, 3.0), 1.0)
    assert found[0, 0] < np.linalg.norm([5, 14, 9])


@pytest.mark.parametrize(
    ("first", "second", "spacing"),
    [((3, 4), (4, 3), (1, 1)), ((3, 4), (3, 4), (1, 1, 1)), ((3,), (3,), (1,))],
)
def test_masks_that_do_not_fit_are_refused(first, second, spacing):
    with pytest.raises(ValueError, match="one shape with a spacing for each"):
        surface.between(np.ones(first, bool), np.ones(second, bool), spacing)
