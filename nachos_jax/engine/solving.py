"""ONE fit whose training loss is convex: an epoch is the whole solution, over all training cases at once.

Unless it is left unsolved, later epochs find nothing to do and change no bit, so curves, best epochs and
refits mean what they always mean; one that is unsolved goes on from where it ended.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from nachos_jax.engine import curvature
from nachos_jax.engine.curvature import Basis
from nachos_jax.engine.quasi_newton import Ridge, minimise

if TYPE_CHECKING:
    from nachos_jax.engine.lane import LaneInput, LaneSpec, Shared
    from nachos_jax.tasks.task import ConvexTask


SOLVER = 3
"""Number of the method, which rises where the bits of a solution change; the first had none."""


class Solved(NamedTuple):
    """What a fit carries beside its parameters."""

    going: jax.Array  # bool scalar, whether they can still be improved
    loss: jax.Array  # float32 scalar, the mean training loss


def init() -> Solved:
    """Of a fit that has not begun."""
    return Solved(jnp.bool_(True), jnp.float32(0.0))


def solve(spec: LaneSpec, shared: Shared, params: Any, so_far: Solved, told: LaneInput) -> tuple[Any, Solved]:
    """The parameters that minimise penalty and summed training loss, and what the fit carries on.

    Args:
        spec: of a network that is convex.
        shared: the cases, all of them.
        params: from which to go on.
        so_far: what the fit carries.
        told: the lane's input.
    """
    assert spec.convex is not None
    assert told.solved is not None
    convex, fit, (basis, rows, count) = spec.convex, told.fit, told.solved
    room = len(basis.cases) + len(basis.more)
    task, every = cast("ConvexTask", spec.task), room // len(rows)
    chosen = jnp.arange(room) < every * count
    targets = jax.tree.map(
        lambda x: _only(jnp.repeat(x[rows], every, axis=0) if every > 1 else x[rows], chosen),
        shared.cases.targets,
    )

    def loss(outputs: jax.Array) -> jax.Array:
        return task.total(outputs, targets, chosen, fit)[0] / every

    def mean(each: jax.Array) -> jax.Array:
        return jnp.sum(each) / (every * every * jnp.maximum(count, 1)).astype(jnp.float32)

    def solution() -> tuple[Any, Solved]:
        ridge = jnp.full(basis.squares.shape, convex.ridge(fit.traced)).at[-1].set(0.0)  # none of the bias
        bound = mean(task.bound(targets, chosen, fit))

        def metric(outputs: jax.Array, point: jax.Array) -> jax.Array:
            curved = mean(task.curved(outputs, targets, chosen, fit))
            return curvature.metric(basis.squares, bound, curved, ridge)[:, None] * point

        further = every * count > len(basis.cases)
        products = functools.partial(curvature.outputs, basis, further)
        function = Ridge(
            products, curvature.slope(basis, further, task.outputs), loss, ridge[:, None], metric
        )
        found = minimise(function, _directed(params, basis))
        kernel = curvature.of_features(found.point[:-1], basis)
        _, weight = task.total(jnp.zeros((room, task.outputs), jnp.float32), targets, chosen, fit)
        of_cases = every * found.loss / jnp.maximum(weight, 1e-30)
        return {"kernel": kernel, "bias": found.point[-1]}, Solved(found.going, of_cases)

    ready = so_far.going & ~basis.broken & (count > 0)
    params, found = jax.lax.cond(ready, solution, lambda: (params, Solved(jnp.bool_(False), so_far.loss)))
    return params, found._replace(loss=jnp.where(basis.broken, jnp.nan, found.loss))


def _directed(params: Any, basis: Basis) -> jax.Array:
    """[Q + 1, O]: parameters of features as those of the directions of a basis, the bias last."""
    kernel, across = params["kernel"], basis.squares.shape[0] - 1
    none = jnp.zeros((across, kernel.shape[1]), jnp.float32)
    # Nearly all fits begin from zeros, and the product takes as long as some steps.
    kernel = jax.lax.cond(jnp.any(kernel != 0), lambda: curvature.of_directions(kernel, basis), lambda: none)
    return jnp.concatenate([kernel, params["bias"][None]])


def _only(values: jax.Array, chosen: jax.Array) -> jax.Array:
    """The rows chosen ([N] bool), zeros in all others."""
    return jnp.where(
        jnp.expand_dims(chosen, tuple(range(1, values.ndim))), values, jnp.zeros((), values.dtype)
    )
