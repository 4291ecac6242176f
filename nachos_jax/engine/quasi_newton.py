"""The minimum of a convex loss of linear outputs under a ridge, by L-BFGS in a metric that is given.

A step costs one product of the cases with a direction and one with a residual: outputs are linear, so that
the length of the step is found without further ones. The metric is that of the point: where cases are told
apart with certainty the loss is curved far less than any bound of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

TOLERANCE = 1e-9
"""Part of the value below which the decrease that a whole step promises counts as none."""
ENOUGH = 1e-5
"""The same where rounding, or the number of steps, has ended the search before."""
STEPS, LENGTHS, MEMORY = 400, 12, 10
_FLAT = 0.5
"""Part of the slope along a direction that may be left where a step ends."""

Linear = Callable[[jax.Array], jax.Array]


class Ridge(NamedTuple):
    """The function loss(outputs(point)) + sum(ridge * point^2) / 2 of a point [P, O], float32 throughout."""

    outputs: Linear  # [P, O] -> [N, O], linear
    slope: Linear  # its transpose: [N, O] -> [P, O]
    loss: Linear  # [N, O] -> scalar, convex and smooth, not negative
    ridge: jax.Array  # [P, 1], not negative
    # ([N, O], [P, O]) -> [P, O], linear in the latter: about the inverse of the second derivative at a point
    # with these outputs
    metric: Callable[[jax.Array, jax.Array], jax.Array]


class Minimum(NamedTuple):
    """A point on the way to the minimum."""

    point: jax.Array  # [P, O] float32
    loss: jax.Array  # scalar, without the ridge
    steps: jax.Array  # int32 scalar, steps taken
    going: jax.Array  # bool scalar, False at the minimum


class _Past(NamedTuple):
    """The last steps, newest last; of those that were not taken all is 0."""

    moved: jax.Array  # [MEMORY, P O], changes of the point
    turned: jax.Array  # [MEMORY, P O], changes of the gradient
    products: jax.Array  # [MEMORY, MEMORY], moved . turned' where the latter is no older, else 0


class _Seen(NamedTuple):
    """What is known of a point from its outputs."""

    outputs: jax.Array  # [N, O]
    value: jax.Array  # scalar, the loss
    residual: jax.Array  # [N, O], its gradient


class _Place(NamedTuple):
    """A point, and the step that led to it."""

    point: jax.Array  # [P, O]
    seen: _Seen
    moved: jax.Array  # [P, O]
    gradient: jax.Array  # [P, O], where the step began
    past: _Past
    steps: jax.Array  # int32 scalar
    promise: jax.Array  # scalar, part of the value that a whole step from here would take off
    going: jax.Array  # bool scalar, whether the step was taken


class _Length(NamedTuple):
    """A length of a step, between two too short and too long, and what was seen at the one before."""

    length: jax.Array  # float32 scalar, to be tried
    short: jax.Array
    long: jax.Array
    tried: jax.Array  # int32 scalar
    done: jax.Array  # bool scalar
    last: jax.Array  # scalar, the length tried last
    slope: jax.Array  # scalar, there
    seen: _Seen


def minimise(function: Ridge, start: jax.Array, going: jax.Array | bool = True) -> Minimum:
    """The minimum of a function, found from a start.

    L-BFGS (Nocedal and Wright 2006, algorithm 7.4) whose first guess of the inverse Hessian is the metric. It
    ends where a whole step promises to lower the value by less than TOLERANCE of it, after STEPS steps, or
    where rounding leaves no step to take. `going` stays True where such a step promised more than ENOUGH.

    Args:
        function: what is minimised.
        start: [P, O] float32.
        going: of the point from which to go on; where it is False nothing changes.
    """
    none, zero = jnp.zeros((MEMORY, start.size), jnp.float32), jnp.float32(0.0)
    past = _Past(none, none, jnp.zeros((MEMORY, MEMORY), jnp.float32))
    still, seen = jnp.zeros_like(start), _seen(function, function.outputs(start))
    first = _Place(start, seen, still, still, past, jnp.int32(0), zero, jnp.asarray(going))
    found = lax.while_loop(lambda at: at.going, functools.partial(_step, function), first)
    return Minimum(found.point, found.seen.value, found.steps, jnp.asarray(going) & (found.promise > ENOUGH))


def _seen(function: Ridge, outputs: jax.Array) -> _Seen:
    return _Seen(outputs, *jax.value_and_grad(function.loss)(outputs))


def _step(function: Ridge, at: _Place) -> _Place:
    gradient = function.slope(at.seen.residual) + function.ridge * at.point
    past = _remembered(at.past, at.moved, gradient - at.gradient)
    direction = _direction(past, gradient, functools.partial(function.metric, at.seen.outputs))
    pulled = [function.ridge * at.point, function.ridge * direction]
    sums = _sums([gradient, *pulled], [direction, at.point])
    decrease, value = -sums[0, 0], at.seen.value + 0.5 * sums[1, 1]
    # A value of 0, or one that is no number, promises nothing.
    promise = jnp.where(value > 0, 0.5 * decrease / value, 0.0)
    here = at._replace(gradient=gradient, past=past, promise=promise, going=jnp.bool_(False))
    return lax.cond(
        (promise > TOLERANCE) & (at.steps < STEPS),
        lambda: _moved(function, here, direction, (decrease, sums[1, 0], sums[2, 0])),
        lambda: here,
    )


def _moved(
    function: Ridge, at: _Place, direction: jax.Array, along: tuple[jax.Array, jax.Array, jax.Array]
) -> _Place:
    """The next place along a direction; `along` as of `_length`."""
    found = _length(function, at.seen, function.outputs(direction), along)
    moved = found.last * direction
    curvature = found.last * (found.slope + along[0])
    taken = (curvature > 0) & jnp.isfinite(curvature)
    return at._replace(
        point=jnp.where(taken, at.point + moved, at.point),
        seen=found.seen._replace(value=jnp.where(taken, found.seen.value, at.seen.value)),
        moved=moved,
        steps=at.steps + 1,
        going=taken,
    )


def _length(
    function: Ridge, seen: _Seen, ahead: jax.Array, along: tuple[jax.Array, jax.Array, jax.Array]
) -> _Length:
    """The length at which the slope along a direction is all but 0: Newton's method between bounds.

    Args:
        function: what is minimised.
        seen: where the direction begins.
        ahead: [N, O], its outputs.
        along: how much the function decreases along it by its slope, and its products under the ridge with
            the point where it begins and with itself, scalars.
    """
    decrease, linear, square = along

    def attempt(now: _Length) -> _Length:
        length = now.length
        there, change = jax.jvp(
            functools.partial(_seen, function), (seen.outputs + length * ahead,), (ahead,)
        )
        slope, bend = _sums([there.residual, change.residual], [ahead])[:, 0]
        slope = slope + linear + length * square
        short, long = jnp.where(slope < 0, length, now.short), jnp.where(slope < 0, now.long, length)
        newton = length - slope / (bend + square)
        between = jnp.where(jnp.isinf(long), 2.0 * length, 0.5 * (short + long))
        further = jnp.where((newton > short) & (newton < long), newton, between)
        done = jnp.abs(slope) <= _FLAT * decrease
        return _Length(further, short, long, now.tried + 1, done, length, slope, there)

    zero, one, no = jnp.float32(0.0), jnp.float32(1.0), jnp.bool_(False)
    first = _Length(one, zero, jnp.float32(jnp.inf), jnp.int32(0), no, zero, zero, seen)
    return lax.while_loop(lambda now: ~now.done & (now.tried < LENGTHS), attempt, first)


def _remembered(past: _Past, moved: jax.Array, turned: jax.Array) -> _Past:
    """The past with a step more."""
    kept, gone = (
        jnp.concatenate([rows[1:], new.reshape(1, -1)])
        for rows, new in ((past.moved, moved), (past.turned, turned))
    )
    products = jnp.pad(past.products[1:, 1:], ((0, 1), (0, 1)))
    return _Past(kept, gone, products.at[:, -1].set(_product(kept, gone[-1])))


def _direction(past: _Past, gradient: jax.Array, metric: Linear) -> jax.Array:
    """Both loops of L-BFGS, each as the triangular system that it solves.

    A step that has not turned the gradient as a convex function does counts as none.
    """
    unit = jnp.eye(MEMORY, dtype=jnp.float32)
    own = jnp.sum(unit * past.products, axis=1)
    known = own > 0
    upper = jnp.where(known[:, None] & known[None], past.products, unit)
    first = _solved(upper, jnp.where(known, _product(past.moved, gradient.reshape(-1)), 0.0))
    left = gradient - _product(first, past.turned).reshape(gradient.shape)
    newest = past.turned[-1].reshape(gradient.shape)
    size = jnp.where(known[-1], own[-1] / _sums([newest], [metric(newest)])[0, 0], 1.0)
    found = size * metric(left)
    right = own * first - _product(past.turned, found.reshape(-1))
    second = _solved(upper.T, jnp.where(known, right, 0.0), lower=True)
    return -(found + _product(second, past.moved).reshape(gradient.shape))


def _solved(matrix: jax.Array, right: jax.Array, lower: bool = False) -> jax.Array:
    return lax.linalg.triangular_solve(matrix, right[:, None], left_side=True, lower=lower)[:, 0]


def _sums(first: list[jax.Array], second: list[jax.Array]) -> jax.Array:
    """[n, m]: products of arrays with others in one, with which a compiler is quicker than with each."""
    a, b = (jnp.stack([x.reshape(-1) for x in arrays]) for arrays in (first, second))
    return _product(a, b.T)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)
