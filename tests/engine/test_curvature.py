"""A basis keeps its cases and makes their curvature diagonal, in all three forms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nachos_jax.engine import curvature
from nachos_jax.engine.bases import Bases, Shelf, most
from nachos_jax.splits.folds import Folds

DRAW = np.random.default_rng(2)


def parts(cases, size, room):
    """Correlated cases with rows of zeros behind them, and which rows are cases."""
    x = DRAW.normal(size=(cases, size)) @ DRAW.normal(size=(size, size)) / np.sqrt(size)
    values = np.zeros((room, size), np.float32)
    values[:cases] = x - x.mean(axis=0)
    return values, np.repeat([1, 0], [cases, room - cases]).astype(np.int32)


@pytest.mark.parametrize(("cases", "size", "room"), [(90, 20, 100), (20, 90, 25), (50, 50, 50)])
def test_a_basis_holds_the_cases_and_is_diagonal(cases, size, room):
    values, real = parts(cases, size, room)
    basis = jax.jit(curvature.rotated)(values, real)
    across = curvature.directions(room, size)
    assert basis.cases.shape == (room, across + 1)
    assert basis.turn.shape == (size, across)
    largest = np.abs(values).max()
    np.testing.assert_allclose(basis.cases[:, :-1] @ basis.turn.T, values, atol=1e-4 * largest)
    np.testing.assert_allclose(basis.turn.T @ basis.turn, np.eye(across), atol=1e-4)
    square = np.asarray(basis.cases, float).T @ np.asarray(basis.cases, float)
    off = square - np.diag(np.diag(square))
    assert np.abs(off).max() < 1e-4 * np.diag(square).max()
    np.testing.assert_array_equal(basis.cases[:, -1], real)
    assert not basis.broken


@pytest.mark.parametrize("columns", [3, curvature._FEW + 1])
@pytest.mark.parametrize(("further", "first"), [(True, 60), (False, 90), (True, None)])
def test_products_are_those_of_all_cases_in_two_parts(further, first, columns):
    values, real = parts(90, 20, 100)
    whole = jax.jit(curvature.rotated)(values, real)
    basis = jax.jit(curvature.rotated, static_argnums=2)(values, real, first)
    assert (len(basis.cases), len(basis.more)) == (first or 100, 100 - (first or 100))
    point, residuals = (jnp.asarray(DRAW.normal(size=(n, columns)), jnp.float32) for n in (21, 100))
    residuals = residuals * real.astype(np.float32)[:, None]
    found = curvature.outputs(basis, jnp.bool_(further), point)
    np.testing.assert_allclose(found, whole.cases @ point, rtol=1e-4, atol=1e-4)
    turned = curvature.slope(basis, jnp.bool_(further), columns)(residuals)
    np.testing.assert_allclose(turned, whole.cases.T @ residuals, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(basis.squares, jnp.sum(whole.cases**2, axis=0), rtol=1e-5)


@pytest.mark.parametrize("ridge", [0.1, 100.0])
def test_the_metric_is_the_inverse_of_the_curvature(ridge):
    values, real = parts(90, 20, 90)
    basis = jax.jit(curvature.rotated)(values, real)
    quarter = jnp.float32(0.25)
    scale = curvature.metric(basis.squares, quarter, quarter, jnp.full(21, ridge))
    turn = np.asarray(basis.turn, float)
    found = turn @ np.diag(np.asarray(scale[:-1], float)) @ turn.T
    wanted = np.linalg.inv(0.25 * values.astype(float).T @ values.astype(float) + ridge * np.eye(20))
    assert np.abs(found - wanted).max() < 2e-3 * np.abs(wanted).max()


@pytest.mark.thorough
@pytest.mark.parametrize(("cases", "size"), [(60, 30), (20, 40)])
def test_columns_that_repeat_each_other_leave_it_finite_and_positive(cases, size):
    values, real = parts(cases, size, cases)
    twice = np.concatenate([values, values, np.zeros((cases, 1), np.float32)], axis=1)
    basis = jax.jit(curvature.rotated)(twice, real)
    one = jnp.float32(1.0)
    scale = curvature.metric(basis.squares, one, one, jnp.zeros(basis.cases.shape[1]))
    assert jnp.isfinite(basis.cases).all()
    assert (jnp.isfinite(scale) & (scale > 0)).all()


def test_too_wide_a_matrix_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(curvature, "WIDEST", 10)
    values, real = parts(30, 20, 30)
    basis = curvature.rotated(jnp.asarray(values), jnp.asarray(real))
    np.testing.assert_array_equal(basis.cases[:, :-1], values)
    assert basis.turn.shape == curvature.turned(30, 20) == (20, 0), "no identity in every lane"
    kernel = jnp.asarray(DRAW.normal(size=(20, 3)), jnp.float32)
    np.testing.assert_array_equal(curvature.of_directions(kernel, basis), kernel)
    np.testing.assert_array_equal(curvature.of_features(kernel, basis), kernel)
    assert curvature.directions(30, 20) == 20
    assert curvature.directions(20, 30) == 30


class Store:
    """Vectors, and how often they were read."""

    def __init__(self, values):
        self.values, self.read = values, 0

    def rows(self, cases):
        self.read += 1
        return self.values[cases]

    def forms(self, count):
        return self.values[:count]


def test_fits_of_the_same_training_cases_share_a_basis(monkeypatch):
    store = Store(DRAW.normal(size=(40, 6)).astype(np.float32))
    rows = np.arange(40, dtype=np.int32)[::-1].copy()
    bases, told = Bases(store, rows, 30), (np.zeros(6, np.float32), np.ones(6, np.float32), None)
    one, other = (np.arange(40) % 4 != fold for fold in (0, 1))
    first = bases.of(one, *told)
    assert bases.of(one, *told) is first
    assert store.read == 1
    np.testing.assert_array_equal(first.rows, rows[one])
    assert jax.tree.map(np.shape, bases.idle()) == jax.tree.map(np.shape, first)
    monkeypatch.setattr("nachos_jax.engine.bases.MOST_BYTES", 1)
    bases.of(other, *told)
    again = bases.of(one, *told)
    assert store.read == 3
    jax.tree.map(np.testing.assert_array_equal, again, first)


def test_buckets_share_the_room_of_their_bases(monkeypatch):
    store, shelf = Store(DRAW.normal(size=(40, 6)).astype(np.float32)), Shelf()
    rows, told = np.arange(40, dtype=np.int32), (np.zeros(6, np.float32), np.ones(6, np.float32), None)
    small, large = (Bases(store, rows, room, shelf) for room in (30, 40))
    one = np.arange(40) % 4 != 0
    assert len(small.of(one, *told).rows) == 30
    assert len(large.of(one, *told).rows) == 40, "the same cases in another room are another basis"
    assert len(shelf.kept) == 2
    largest = sum(leaf.nbytes for leaf in jax.tree.leaves(large.of(one, *told)))
    monkeypatch.setattr("nachos_jax.engine.bases.MOST_BYTES", 2 * largest)
    large.of(~one, *told)
    assert [of for of, _ in shelf.kept] == [large, large], "the oldest goes first, whose bucket it be"


def test_room_is_for_the_most_training_cases():
    folds = Folds(np.repeat([0, 1, 2], [2, 3, 5]).astype(np.int32)[None], 3)
    assert [most(folds, left_out) for left_out in (0, 1, 2)] == [10, 8, 5]
