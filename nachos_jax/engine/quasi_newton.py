"""The minimum of a convex loss of linear outputs under a ridge, by L-BFGS in a metric that is given.

A step costs one product of the cases with a direction and one with a residual: outputs are linear, so that
the length of the step is found without further ones.
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
_FLAT = 0.1
"""Part of the slope along a direction that may be left where a step ends."""

Linear = Callable[[jax.Array], jax.Array]


class Ridge(NamedTuple):
    """The function loss(outputs(point)) + sum(ridge * point^2) / 2 of a point [P, O], float32 throughout."""

    outputs: Linear  # [P, O] -> [N, O], linear
    slope: Linear  # its transpose: [N, O] -> [P, O]
    loss: Linear  # [N, O] -> scalar, convex and smooth, not negative
    ridge: jax.Array  # [P, 1], not negative
    metric: Linear  # [P, O] -> [P, O], linear: about the inverse of the second derivative


class Minimum(NamedTuple):
    """A point on the way to the minimum."""

    point: jax.Array  # [P, O] float32
    steps: jax.Array  # int32 scalar, steps taken
    going: jax.Array  # bool scalar, False at the minimum


class _Past(NamedTuple):
    """The last steps, newest last; of those that were not taken all is 0."""

    moved: jax.Array  # [MEMORY, P, O], changes of the point
    turned: jax.Array  # [MEMORY, P, O], changes of the gradient
    scaled: jax.Array  # [MEMORY, P, O], those in the metric
    inverse: jax.Array  # [MEMORY], 1 / (moved . turned)


class _Place(NamedTuple):
    """A point, and where to go from it."""

    point: jax.Array  # [P, O]
    outputs: jax.Array  # [N, O]
    gradient: jax.Array  # [P, O]
    scaled: jax.Array  # [P, O], the gradient in the metric
    direction: jax.Array  # [P, O]
    past: _Past
    steps: jax.Array  # int32 scalar
    going: jax.Array  # bool scalar, whether it is not the minimum
    stuck: jax.Array  # bool scalar, whether the last step led nowhere


class _Length(NamedTuple):
    """A length of a step, between two that are too short and too long."""

    length: jax.Array  # float32 scalar
    short: jax.Array
    long: jax.Array
    tried: jax.Array  # int32 scalar
    done: jax.Array  # bool scalar


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
    first = _first(function, start, jnp.asarray(going))
    found = lax.while_loop(
        lambda at: at.going & ~at.stuck & (at.steps < STEPS), functools.partial(_step, function), first
    )
    return Minimum(found.point, found.steps, found.going & _promising(function, found, ENOUGH))


def _first(function: Ridge, start: jax.Array, going: jax.Array) -> _Place:
    outputs, none = function.outputs(start), jnp.zeros((MEMORY, *start.shape), jnp.float32)
    gradient = _gradient(function, start, outputs)
    past = _Past(none, none, none, jnp.zeros(MEMORY, jnp.float32))
    scaled = function.metric(gradient)
    at = _Place(start, outputs, gradient, scaled, -scaled, past, jnp.int32(0), going, jnp.bool_(False))
    return at._replace(going=going & _promising(function, at, TOLERANCE))


def _step(function: Ridge, at: _Place) -> _Place:
    ahead = function.outputs(at.direction)
    length = _length(function, at, ahead)
    moved = length * at.direction
    point, outputs = at.point + moved, at.outputs + length * ahead
    gradient = _gradient(function, point, outputs)
    scaled = function.metric(gradient)
    turned = gradient - at.gradient
    curvature = _dot(moved, turned)
    taken = (curvature > 0) & jnp.isfinite(curvature)
    past = _remembered(at.past, (moved, turned, scaled - at.scaled), curvature)
    direction = _direction(past, gradient, scaled)
    new = _Place(point, outputs, gradient, scaled, direction, past, at.steps, at.going, at.stuck)
    new = new._replace(going=_promising(function, new, TOLERANCE))
    kept = jax.tree.map(lambda a, b: jnp.where(taken, a, b), new, at)
    return kept._replace(steps=at.steps + 1, stuck=~taken)


def _gradient(function: Ridge, point: jax.Array, outputs: jax.Array) -> jax.Array:
    return function.slope(jax.grad(function.loss)(outputs)) + function.ridge * point


def _promising(function: Ridge, at: _Place, part: float) -> jax.Array:
    """Whether a whole step would lower the value, by the model behind its direction, by more than a part."""
    value = function.loss(at.outputs) + 0.5 * jnp.sum(function.ridge * at.point**2)
    return -0.5 * _dot(at.gradient, at.direction) > part * value


def _length(function: Ridge, at: _Place, ahead: jax.Array) -> jax.Array:
    """The length at which the slope along the direction is all but 0: Newton's method between bounds."""
    linear = _dot(function.ridge * at.point, at.direction)
    square = _dot(function.ridge * at.direction, at.direction)
    flat = _FLAT * jnp.abs(_dot(at.gradient, at.direction))

    def along(length: jax.Array) -> jax.Array:
        return _dot(jax.grad(function.loss)(at.outputs + length * ahead), ahead) + linear + length * square

    def attempt(now: _Length) -> _Length:
        slope, bend = jax.jvp(along, (now.length,), (jnp.float32(1.0),))
        short, long = (
            jnp.where(slope < 0, now.length, now.short),
            jnp.where(slope < 0, now.long, now.length),
        )
        newton = now.length - slope / bend
        between = jnp.where(jnp.isinf(long), 2.0 * now.length, 0.5 * (short + long))
        length = jnp.where((newton > short) & (newton < long), newton, between)
        done = jnp.abs(slope) <= flat
        return _Length(jnp.where(done, now.length, length), short, long, now.tried + 1, done)

    first = _Length(jnp.float32(1.0), jnp.float32(0.0), jnp.float32(jnp.inf), jnp.int32(0), jnp.bool_(False))
    return lax.while_loop(lambda now: ~now.done & (now.tried < LENGTHS), attempt, first).length


def _remembered(past: _Past, step: tuple[jax.Array, jax.Array, jax.Array], curvature: jax.Array) -> _Past:
    def pushed(rows: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.concatenate([rows[1:], new[None]])

    return _Past(*map(pushed, past, (*step, 1.0 / curvature)))


def _direction(past: _Past, gradient: jax.Array, scaled: jax.Array) -> jax.Array:
    """Both loops of L-BFGS; the metric is linear, so that it need not be applied again."""
    parts = [jnp.float32(0.0)] * MEMORY
    for i in reversed(range(MEMORY)):
        parts[i] = past.inverse[i] * _dot(past.moved[i], gradient)
        gradient, scaled = gradient - parts[i] * past.turned[i], scaled - parts[i] * past.scaled[i]
    size = 1.0 / (past.inverse[-1] * _dot(past.turned[-1], past.scaled[-1]))
    found = size * scaled
    for i in range(MEMORY):
        found = found + (parts[i] - past.inverse[i] * _dot(past.turned[i], found)) * past.moved[i]
    return -found


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sum(a * b)
