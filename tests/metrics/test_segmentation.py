"""Overlaps against scikit-learn, surface distances against every pair of surface voxels in a loop."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score, jaccard_score

from nachos_jax.metrics import segmentation as s
from nachos_jax.metrics.value import Value


@st.composite
def masks(draw, empty=False):
    """Two masks of one small 2-D or 3-D shape, and a spacing."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=5))
    pair = [draw(hnp.arrays(bool, shape)) for _ in range(2)]
    if not empty:
        for mask in pair:
            mask[tuple(draw(st.integers(0, side - 1)) for side in shape)] = True
    return pair[0], pair[1], tuple(draw(st.sampled_from([0.5, 1.0, 2.5])) for _ in shape)


def surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels of the mask with a neighbour across a face that is not of it or outside the image."""
    found = []
    for place in zip(*np.nonzero(mask), strict=True):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            other = list(place)
            other[axis] += step
            if not 0 <= other[axis] < mask.shape[axis] or not mask[tuple(other)]:
                found.append(place)
                break
    return found


def distances_by_loops(a, b, spacing) -> tuple[list[float], list[float]]:
    def away(one, other):
        scaled = [np.array(place) * spacing for place in surface(other)]
        return [min(math.dist(np.array(place) * spacing, q) for q in scaled) for place in surface(one)]

    return away(a, b), away(b, a)


@given(data=masks(empty=True))
def test_overlaps_are_scikit_learns(data):
    a, b, _ = data
    if a.any() or b.any():
        assert s.dice(a, b).value == pytest.approx(f1_score(a.ravel(), b.ravel()))
        assert s.iou(a, b).value == pytest.approx(jaccard_score(a.ravel(), b.ravel()))
    else:
        assert s.dice(a, b) == s.iou(a, b) == Value(1.0, s.BOTH_EMPTY)
    assert s.dice(a, b).value == s.dice(b, a).value


@given(data=masks())
def test_surface_distances_are_those_of_all_pairs(data):
    a, b, spacing = data
    found = s.surface_distances(a, b, spacing)
    there, back = distances_by_loops(a, b, spacing)
    assert found is not None
    np.testing.assert_allclose(found.from_reference, there, atol=1e-12)
    np.testing.assert_allclose(found.from_predicted, back, atol=1e-12)
    larger = max(np.percentile(there, 95), np.percentile(back, 95))
    assert s.hausdorff(a, b, spacing).value == pytest.approx(larger)
    pooled = np.percentile(there + back, 95)
    assert s.hausdorff(a, b, spacing, pooled=True).value == pytest.approx(pooled)
    furthest = max(there + back)
    assert s.hausdorff(a, b, spacing, 100.0).value == pytest.approx(furthest)
    assert s.hausdorff(a, b, spacing, 100.0, pooled=True).value == pytest.approx(furthest)
    for tolerance in (0.0, 0.5, 1.0, 2.0):
        within = np.mean(np.array(there + back) <= tolerance + 1e-9)
        assert s.normalised_surface_distance(a, b, spacing, tolerance).value == pytest.approx(within)


@given(data=masks(), before=st.integers(0, 3), after=st.integers(0, 3))
def test_neither_order_nor_background_around_nor_the_unit_matters(data, before, after):
    a, b, spacing = data
    wide = np.pad(a, (before, after)), np.pad(b, (before, after))
    expected = s.hausdorff(a, b, spacing).value
    assert expected is not None
    assert s.hausdorff(b, a, spacing).value == expected
    assert s.hausdorff(*wide, spacing).value == pytest.approx(expected)
    assert s.hausdorff(a, b, [10 * step for step in spacing]).value == pytest.approx(10 * expected)
    near = s.normalised_surface_distance(a, b, spacing, 1.0).value
    assert s.normalised_surface_distance(*wide, spacing, 1.0).value == near
    assert s.dice(*wide) == s.dice(a, b)


def test_two_squares_by_hand():
    a, b = np.zeros((2, 10, 10), bool)
    a[2:5, 2:5] = True
    b[2:5, 4:7] = True
    assert s.dice(a, b).value == pytest.approx(2 * 3 / 18)
    assert s.iou(a, b).value == pytest.approx(3 / 15)
    # Moved by 2 voxels of 0.5 mm: the far column is 1 mm away, and the hole in the ring adds nothing.
    assert s.hausdorff(a, b, (3.0, 0.5), 100.0).value == pytest.approx(1.0)
    assert s.normalised_surface_distance(a, b, (3.0, 0.5), 1.0).value == 1.0
    assert s.normalised_surface_distance(a, a, (3.0, 0.5), 0.0).value == 1.0
    assert s.hausdorff(a, a, (3.0, 0.5)).value == 0.0


def test_a_tolerance_holds_distances_that_rounding_lifts_above_it():
    a, b = np.zeros((2, 1, 5), bool)
    a[0, 0], b[0, 3] = True, True
    assert s.normalised_surface_distance(a, b, (1.0, 0.1), 0.3).value == 1.0


@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 2)])
def test_empty_masks(shape):
    full, empty, spacing = np.ones(shape, bool), np.zeros(shape, bool), (1.0,) * len(shape)
    for a, b, note in ((full, empty, "empty prediction"), (empty, full, "empty reference")):
        assert s.dice(a, b) == s.iou(a, b) == Value(0.0, note)
        assert s.hausdorff(a, b, spacing) == Value(None, note)
        assert s.normalised_surface_distance(a, b, spacing, 1.0) == Value(0.0, note)
    undefined = Value(None, "empty reference and prediction")
    assert s.hausdorff(empty, empty, spacing) == undefined
    assert s.normalised_surface_distance(empty, empty, spacing, 1.0) == undefined
    assert s.dice(empty, empty) == Value(1.0, s.BOTH_EMPTY)


@given(data=masks(empty=True))
def test_values_of_every_class_are_those_of_its_masks(data):
    a, b, spacing = data
    reference, predicted = a.astype(int) + (a & b), b.astype(int)
    values = s.per_class(reference, predicted, {1: "kidney", 2: "tumour"}, spacing, 1.0)
    assert list(values) == ["kidney", "tumour"]
    for number, name in ((1, "kidney"), (2, "tumour")):
        one, other = reference == number, predicted == number
        assert values[name] == s.MaskValues(
            int(one.sum()),
            int(other.sum()),
            s.dice(one, other),
            s.iou(one, other),
            s.hausdorff(one, other, spacing),
            s.normalised_surface_distance(one, other, spacing, 1.0),
        )


def test_wrong_input_is_refused():
    mask = np.ones((3, 3), bool)
    with pytest.raises(ValueError, match="shape"):
        s.dice(mask, np.ones((3, 4), bool))
    with pytest.raises(ValueError, match="2-D or 3-D"):
        s.iou(np.ones(3, bool), np.ones(3, bool))
    for spacing in ((1.0,), (1.0, 0.0), (1.0, math.nan), (1.0, 1.0, 1.0)):
        with pytest.raises(ValueError, match="2 positive numbers"):
            s.hausdorff(mask, mask, spacing)
    with pytest.raises(ValueError, match="not negative"):
        s.normalised_surface_distance(mask, mask, (1.0, 1.0), -1.0)
    with pytest.raises(ValueError, match="not negative"):
        s.per_class(mask, mask, {1: "all"}, (1.0, 1.0), math.inf)
