"""Training cases in the basis in which the curvature of a convex loss of linear outputs is diagonal.

Boehning (1992), "Multinomial logistic regression algorithm": the Hessian of such a loss is nowhere more than
h A' A + ridge for each output, with the cases A and a bound h of how the loss of a case is curved; at a
point it is about that with how it is curved there. A rotation V of the features with V' A' A V diagonal
leaves an L2 penalty as it is and makes the inverse of that matrix a division, whatever h and the ridge. It
depends on the training cases alone, so that all fits of them share it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

WIDEST = 2048
"""Most rows of a matrix that is made diagonal: beyond, that takes longer than the steps that it saves."""
_FEW = 4
"""Most columns that are multiplied one by one."""
_SHIFT = 1e-6
"""Part of the mean curvature that is added to each, so that none is lost in rounding."""
_STRAIGHT = 1e-6
"""Part of its bound that a loss is taken to be curved by at least."""
_UNEVEN = 1.25
"""Power of the part of its bound by which a loss is curved. The less it is, the fewer cases it is due to, and
most directions are curved less than on the mean; of 1, 1.25 and 1.5 this took the fewest steps."""


class Basis(NamedTuple):
    """The training cases of a fit, rotated; R + S is the room for them, Q the number of directions."""

    cases: jax.Array  # [R, Q + 1] float32: standardised and rotated, then a one; rows to spare are zeros
    more: jax.Array  # [S, Q + 1] float32, those that do not fit in there; S = 0 without room for any
    squares: jax.Array  # [Q + 1] float32, sums of their squares
    # [D, Q] float32, orthonormal columns: weights of features = turn @ weights of directions. [D, 0] where
    # nothing is rotated and directions are features: an identity would be D x D numbers in every lane.
    turn: jax.Array
    broken: jax.Array  # bool scalar, whether a case has values that are no numbers


def directions(room: int, size: int) -> int:
    """Q of so many training cases [R] of so many features [D]: solutions lie in the span of the cases."""
    return size if room >= size or room > WIDEST else room


def turned(room: int, size: int) -> tuple[int, int]:
    """Shape of the turn of so many training cases [R] of so many features [D]: [D, Q], or [D, 0] of none."""
    return size, directions(room, size) if min(room, size) <= WIDEST else 0


def rotated(values: jax.Array, usable: jax.Array, first: int | None = None) -> Basis:
    """The basis of standardised cases.

    Args:
        values: [R + S, D] float32, finite; zeros in rows to spare.
        usable: [R + S] int32: 1 in rows of cases, 0 in rows to spare, -1 in those of broken cases.
        first: R; None for all.
    """
    room, size = values.shape
    turn = jnp.zeros((size, 0), jnp.float32)
    if turned(room, size)[1]:
        across = None
        if room < size:
            across = jnp.linalg.qr(values.T)[0]
            values = product(values, across)
        turns = jnp.linalg.eigh(product(transposed(values), values), symmetrize_input=False)[1]
        values, turn = product(values, turns), turns if across is None else product(across, turns)
    ones = jnp.where(usable > 0, 1.0, 0.0).astype(jnp.float32)
    cases = jnp.concatenate([values, ones[:, None]], axis=1)
    split = room if first is None else first
    return Basis(cases[:split], cases[split:], jnp.sum(cases**2, axis=0), turn, jnp.any(usable < 0))


def of_directions(kernel: jax.Array, basis: Basis) -> jax.Array:
    """[Q, O]: weights of features [D, O] as those of directions."""
    return product(basis.turn.T, kernel) if basis.turn.shape[1] else kernel


def of_features(kernel: jax.Array, basis: Basis) -> jax.Array:
    """[D, O]: weights of directions [Q, O] as those of features."""
    return product(basis.turn, kernel) if basis.turn.shape[1] else kernel


def metric(squares: jax.Array, bound: jax.Array, mean: jax.Array, ridge: jax.Array) -> jax.Array:
    """[Q + 1] float32: about the inverse of the curvature along each direction of a basis.

    Args:
        squares: [Q + 1] of the basis.
        bound: float32 scalar, how the loss of a case is curved at most, on the mean over the cases.
        mean: float32 scalar, how it is curved.
        ridge: [Q + 1] float32, not negative.
    """
    part = jnp.maximum(mean / jnp.maximum(bound, 1e-30), _STRAIGHT)
    bends = bound * part**_UNEVEN * squares
    return 1.0 / jnp.maximum(bends + _SHIFT * jnp.mean(bends) + ridge, 1e-30)


def outputs(basis: Basis, further: jax.Array, point: jax.Array) -> jax.Array:
    """[R + S, O]: products of all cases with weights of directions [Q + 1, O].

    Args:
        basis: of the cases.
        further: bool scalar, whether there are cases among its `more`.
        point: [Q + 1, O].
    """
    found = product(basis.cases, point)
    if not len(basis.more):
        return found
    none = jnp.zeros((len(basis.more), point.shape[1]), jnp.float32)
    return jnp.concatenate([found, lax.cond(further, lambda: product(basis.more, point), lambda: none)])


def slope(basis: Basis, further: jax.Array, columns: int) -> Callable[[jax.Array], jax.Array]:
    """The transpose of `outputs`, [R + S, O] -> [Q + 1, O], with the same arguments, of O columns."""
    first, split = _across(basis.cases, columns), len(basis.cases)
    if not len(basis.more):
        return first
    more = _across(basis.more, columns)

    def of(residuals: jax.Array) -> jax.Array:
        found = first(residuals[:split])
        return lax.cond(further, lambda: found + more(residuals[split:]), lambda: found)

    return of


def _across(cases: jax.Array, columns: int) -> Callable[[jax.Array], jax.Array]:
    """Products of the transpose of cases [R, Q + 1] with residuals [R, O].

    A processor is slow to multiply a transpose that is only read so, but for one column at a time; and a copy
    of it takes room in its caches, which the products wait for.
    """
    if columns > _FEW:
        across = transposed(cases)
        return lambda residuals: product(across, residuals)
    return lambda residuals: jnp.stack([product(residuals[:, k], cases) for k in range(columns)], axis=1)


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """The matrix product in float32: accelerators round factors to fewer bits unless told otherwise."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def transposed(matrix: jax.Array) -> jax.Array:
    """The transpose as an array of its own: processors are slow to multiply one that is only read so."""
    return lax.optimization_barrier(matrix.T)
