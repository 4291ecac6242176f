"""The minimum of a smooth convex function by Newton's method, its systems solved by conjugate gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.sparse.linalg import cg

TOLERANCE = 1e-8
"""Largest entry of the gradient at which a point counts as the minimum."""
STEPS, CONJUGATE_STEPS, HALVINGS = 100, 150, 20
_ENOUGH = 1e-4
"""Part of the decrease that the slope promises which a step must bring."""
_NOISE = 1e-6
"""Part of a value that rounding may add to it."""

Objective = Callable[[Any], jax.Array]


class Minimum(NamedTuple):
    """A point on the way to the minimum."""

    point: Any  # tree of float32 arrays
    value: jax.Array  # float32 scalar
    slope: Any  # gradient, like the point
    steps: jax.Array  # int32 scalar, Newton steps taken
    going: jax.Array  # bool scalar, False once no step leads lower


class _Trial(NamedTuple):
    """A step of some length."""

    length: jax.Array  # float32 scalar
    point: Any
    value: jax.Array
    slope: Any
    taken: jax.Array  # bool scalar
    halvings: jax.Array  # int32 scalar


def minimise(objective: Objective, start: Any, going: jax.Array | bool = True) -> Minimum:
    """The minimum of a convex function, found from a start.

    Truncated Newton: directions from conjugate gradients that stop early far from the minimum (Nocedal and
    Wright 2006, algorithm 7.1), steps halved until the value falls enough. Near the minimum, where rounding
    hides the fall of the value, a step counts whose gradient is smaller.

    Args:
        objective: from a tree of float32 arrays to a float32 scalar.
        start: such a tree.
        going: of the point from which to go on; where it is False nothing changes.
    """
    both = jax.value_and_grad(objective)
    value, slope = both(start)
    going = jnp.asarray(going) & jnp.isfinite(value) & (_largest(slope) > TOLERANCE)
    first = Minimum(start, value, slope, jnp.int32(0), going)
    return lax.while_loop(lambda m: m.going & (m.steps < STEPS), functools.partial(_step, both), first)


def _step(both: Callable[[Any], tuple[jax.Array, Any]], before: Minimum) -> Minimum:
    direction = _direction(lambda point: both(point)[1], before)
    fall = _dot(before.slope, direction)

    def attempt(length: jax.Array, halvings: jax.Array) -> _Trial:
        point = jax.tree.map(lambda p, d: p + length * d, before.point, direction)
        value, slope = both(point)
        noise = _NOISE * jnp.abs(before.value)
        lower = (-length * fall > noise) & (value <= before.value + _ENOUGH * length * fall)
        flatter = (value <= before.value + noise) & (_largest(slope) < 0.9 * _largest(before.slope))
        return _Trial(length, point, value, slope, lower | flatter, halvings)

    found = lax.while_loop(
        lambda t: ~t.taken & (t.halvings < HALVINGS),
        lambda t: attempt(0.5 * t.length, t.halvings + 1),
        attempt(jnp.float32(1.0), jnp.int32(0)),
    )
    after, kept = (found.point, found.value, found.slope), (before.point, before.value, before.slope)
    point, value, slope = jax.tree.map(lambda new, old: jnp.where(found.taken, new, old), after, kept)
    # A step that promised little was the last: what is left is a small part of what it promised.
    going = found.taken & (-fall > _NOISE * jnp.abs(value)) & (_largest(slope) > TOLERANCE)
    return Minimum(point, value, slope, before.steps + 1, going)


def _direction(slope_of: Callable[[Any], Any], at: Minimum) -> Any:
    _, curvature = jax.linearize(slope_of, at.point)
    exactness: Any = jnp.minimum(0.1, jnp.sqrt(jnp.sqrt(_dot(at.slope, at.slope))))
    direction, _ = cg(curvature, jax.tree.map(jnp.negative, at.slope), tol=exactness, maxiter=CONJUGATE_STEPS)
    return direction


def _dot(a: Any, b: Any) -> jax.Array:
    return functools.reduce(jnp.add, jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)))


def _largest(tree: Any) -> jax.Array:
    return functools.reduce(jnp.maximum, (jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree)))
