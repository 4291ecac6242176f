"""How a loss of linear outputs is curved at most, as a metric for its minimum.

Boehning (1992), "Multinomial logistic regression algorithm": the Hessian of such a loss is nowhere more than
A' diag(h) A + ridge for each output, with the cases A and a bound h of how the loss of a case is curved.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

WIDEST = 2048
"""Most rows of a matrix that is factorised: beyond, that takes longer than the steps that it saves."""
_SHIFT = 1e-6
"""Part of the mean of a diagonal that is added to it first, so that rounding leaves it positive definite."""
_LARGEST = 1.0
"""Part at which there is no sense in adding more."""
_CANCELS = 1e-5
"""Part of a trace below which a ridge would be lost in the difference that the dual form takes."""


def metric(cases: jax.Array, bound: jax.Array, ridge: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """About the inverse of cases' diag(bound) cases + diag(ridge), as a function of [P, O].

    Args:
        cases: [N, P] float32.
        bound: [N] float32, not negative.
        ridge: [P] float32, not negative.
    """
    n, p = cases.shape
    weighted = cases * jnp.sqrt(bound)[:, None]
    diagonal = jnp.sum(weighted**2, axis=0)
    if min(n, p) > WIDEST:
        return lambda x: x / jnp.maximum(diagonal + ridge, 1e-30)[:, None]
    if p <= n:
        return _primal(weighted, ridge, jnp.mean(diagonal))
    return _dual(weighted, jnp.maximum(ridge, _CANCELS * jnp.sum(diagonal)))


def _primal(weighted: jax.Array, ridge: jax.Array, mean: jax.Array) -> Callable[[jax.Array], jax.Array]:
    square = product(weighted.T, weighted) + jnp.diag(ridge)
    factor = _shifted(square, mean)
    across = transposed(factor)
    return lambda x: product(across, product(factor, x))


def _dual(weighted: jax.Array, ridge: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """By Woodbury's formula; exact unless the ridge was raised."""
    root = 1.0 / jnp.sqrt(jnp.maximum(ridge, 1e-30))
    scaled = weighted * root[None]
    factor = inverse_factor(product(scaled, scaled.T) + jnp.eye(len(scaled)))
    factor_across, scaled_across = transposed(factor), transposed(scaled)

    def inverse(x: jax.Array) -> jax.Array:
        x = root[:, None] * x
        inner = product(factor, product(scaled, x))
        return root[:, None] * (x - product(scaled_across, product(factor_across, inner)))

    return inverse


def _shifted(square: jax.Array, mean: jax.Array) -> jax.Array:
    """Factor of a matrix to whose diagonal as little is added as lets it be factorised."""
    unit = jnp.eye(len(square))

    def attempt(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return 10.0 * state[0], inverse_factor(square + (state[0] * mean + 1e-30) * unit)

    def again(state: tuple[jax.Array, jax.Array]) -> jax.Array:
        return ~jnp.isfinite(jnp.sum(state[1])) & (state[0] < _LARGEST)

    return lax.while_loop(again, attempt, (jnp.float32(_SHIFT), jnp.full_like(square, jnp.nan)))[1]


def inverse_factor(square: jax.Array) -> jax.Array:
    """Lower triangular R [P, P] with R square R' = 1; NaN where there is none."""
    lower = lax.linalg.cholesky(square, symmetrize_input=False)
    return lax.linalg.triangular_solve(lower, jnp.eye(len(square)), left_side=True, lower=True)


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """The matrix product in float32: accelerators round factors to fewer bits unless told otherwise."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def transposed(matrix: jax.Array) -> jax.Array:
    """The transpose as an array of its own: processors are slow to multiply one that is only read so."""
    return lax.optimization_barrier(matrix.T)
