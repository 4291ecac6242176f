"""ONE fit whose training loss is convex: an epoch is the whole solution, over all training cases at once.

Unless it is left unsolved, later epochs find nothing to do and change no bit, so curves, best epochs and
refits mean what they always mean; one that is unsolved goes on from where it ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

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


def init() -> jax.Array:
    """What a fit carries beside its parameters: bool scalar, whether they can still be improved."""
    return jnp.bool_(True)


def solve(
    spec: LaneSpec, shared: Shared, params: Any, going: jax.Array, told: LaneInput
) -> tuple[Any, jax.Array, jax.Array]:
    """The parameters that minimise penalty and summed training loss, and the mean training loss.

    Args:
        spec: of a network that is convex.
        shared: the cases, all of them.
        params: from which to go on.
        going: what the fit carries, see `init`.
        told: the lane's input.

    Returns:
        Parameters, what the fit carries on, and the loss, float32 scalar.
    """
    assert spec.convex is not None
    assert told.solved is not None
    convex, fit, (basis, rows, count) = spec.convex, told.fit, told.solved
    task, every = cast("ConvexTask", spec.task), len(basis.cases) // len(rows)
    chosen = jnp.arange(len(basis.cases)) < every * count
    targets = jax.tree.map(
        lambda x: _only(jnp.repeat(x[rows], every, axis=0) if every > 1 else x[rows], chosen),
        shared.cases.targets,
    )

    def loss(outputs: jax.Array) -> jax.Array:
        return task.total(outputs, targets, chosen, fit)[0] / every

    def solution(params: Any) -> tuple[Any, jax.Array]:
        cases = (every * jnp.maximum(count, 1)).astype(jnp.float32)
        bound = jnp.sum(task.bound(targets, chosen, fit)) / (cases * every)
        function = _function(basis.cases, loss, bound, convex.ridge(fit.traced))
        found = minimise(function, _directed(params, basis))
        kernel = curvature.of_features(found.point[:-1], basis)
        return {"kernel": kernel, "bias": found.point[-1]}, found.going

    ready = going & ~basis.broken & (count > 0)
    params, still = jax.lax.cond(ready, solution, lambda same: (same, jnp.bool_(False)), params)
    # From the parameters as they are kept, so that later epochs find the same loss to the bit.
    outputs = curvature.product(basis.cases, _directed(params, basis))
    total, weight = task.total(outputs, targets, chosen, fit)
    mean = jnp.where(basis.broken, jnp.nan, total / jnp.maximum(weight, 1e-30))
    return params, still, mean


def _directed(params: Any, basis: Basis) -> jax.Array:
    """[Q + 1, O]: parameters of features as those of the directions of a basis, the bias last."""
    kernel = curvature.of_directions(params["kernel"], basis)
    return jnp.concatenate([kernel, params["bias"][None]])


def _function(cases: jax.Array, loss: Any, bound: jax.Array, ridge: jax.Array) -> Ridge:
    """What is minimised, of a point whose last row is the bias, which has no penalty."""
    strengths = jnp.full(cases.shape[1], ridge).at[-1].set(0.0)
    across = curvature.transposed(cases)
    squares = curvature.squares(cases)
    return Ridge(
        outputs=lambda point: curvature.product(cases, point),
        slope=lambda residuals: curvature.product(across, residuals),
        loss=loss,
        ridge=strengths[:, None],
        metric=lambda bend, point: curvature.metric(squares, bend, strengths)[:, None] * point,
        bound=bound,
    )


def _only(values: jax.Array, chosen: jax.Array) -> jax.Array:
    """The rows chosen ([N] bool), zeros in all others."""
    return jnp.where(
        jnp.expand_dims(chosen, tuple(range(1, values.ndim))), values, jnp.zeros((), values.dtype)
    )
