"""Largest components, and the choice to keep them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.metrics import components as m


def flood(mask, start):
    """Voxels that touch, corners included, from a start on."""
    found, edge = set(), [start]
    while edge:
        place = edge.pop()
        if (
            place in found
            or not all(0 <= p < n for p, n in zip(place, mask.shape, strict=True))
            or not mask[place]
        ):
            continue
        found.add(place)
        edge += [tuple(np.add(place, step) - 1) for step in np.ndindex((3,) * mask.ndim)]
    return found


@given(shape=st.lists(st.integers(1, 6), min_size=2, max_size=3), seed=st.integers(0, 10_000))
def test_the_largest_is_that_of_a_flood(shape, seed):
    mask = np.random.default_rng(seed).random(shape) < 0.25
    kept = m.largest(mask)
    sizes = {frozenset(flood(mask, tuple(map(int, place)))) for place in np.argwhere(mask)}
    assert {tuple(map(int, place)) for place in np.argwhere(kept)} in (sizes or {frozenset()})
    assert kept.sum() == max(map(len, sizes), default=0)


def test_classes_keep_theirs_and_the_rest_becomes_background():
    labels = np.array([[1, 1, 0, 2, 0, 1], [0, 0, 0, 0, 0, 0], [2, 2, 0, 0, 2, 2]], np.uint8)
    both = m.keep_largest(labels, (1, 2))
    assert both.tolist() == [[1, 1, 0, 0, 0, 0], [0] * 6, [2, 2, 0, 0, 0, 0]]
    assert both.dtype == np.uint8
    assert m.keep_largest(labels, (1,)).tolist() == [[1, 1, 0, 2, 0, 0], [0] * 6, labels[2].tolist()]
    assert m.keep_largest_foreground(labels).tolist() == [[1, 1, 0, 0, 0, 0], [0] * 6, [0] * 6]
    assert labels[0, 5] == 1, "what was given is not changed"


@given(seed=st.integers(0, 10_000))
def test_what_is_kept_once_is_kept_again_and_nothing_is_added(seed):
    labels = np.random.default_rng(seed).integers(0, 4, (5, 6)) % 3
    kept = m.keep_largest(labels, (1, 2))
    np.testing.assert_array_equal(m.keep_largest(kept, (1, 2)), kept)
    assert ((kept == labels) | (kept == 0)).all()


def test_a_class_is_treated_where_its_mean_rises():
    without = np.array([[0.5, 0.5, 0.5], [0.7, 0.9, 0.5]])
    each = np.array([[0.6, 0.5, 0.4], [0.7, 0.9, 0.5]])
    assert m.helped(without, each) == [1]
    assert m.helped(without, without) == []


def test_all_classes_as_one_when_the_mean_rises_and_no_class_falls():
    without = np.array([[0.5, 0.5], [0.7, 0.9]])
    assert m.foreground_helps(without, without + [0.1, 0.0])
    assert not m.foreground_helps(without, without)
    assert not m.foreground_helps(without, without + [0.3, -0.01])


def test_cases_that_nothing_is_known_of_do_not_decide():
    without = np.array([[0.5], [np.nan], [0.4]])
    each = np.array([[0.6], [0.9], [np.nan]])
    assert m.helped(without, each) == [1]
    assert m.helped(without, np.full((3, 1), np.nan)) == []
    assert not m.foreground_helps(np.full((2, 1), np.nan), each[:2])
    with pytest.raises(ValueError, match="before and"):
        m.helped(without, each[:2])
