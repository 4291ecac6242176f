"""ONE fit whose training loss is convex: an epoch is the whole solution, over all training cases at once.

Unless it is left unsolved, later epochs find nothing to do and change no bit, so curves, best epochs and
refits mean what they always mean; one that is unsolved goes on from where it ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp

from nachos_jax.data.views import Views
from nachos_jax.engine import curvature
from nachos_jax.engine.quasi_newton import Ridge, minimise
from nachos_jax.tasks.dense import standardised

if TYPE_CHECKING:
    from nachos_jax.engine.lane import LaneInput, LaneSpec, Shared
    from nachos_jax.tasks.task import ConvexTask, Told


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
    convex, fit, (values, every) = spec.convex, told.fit, _rows(shared.cases.inputs)
    assert convex is not None
    task = cast("ConvexTask", spec.task)
    chosen, targets = jax.tree.map(
        lambda x: jnp.repeat(x, every, axis=0) if every > 1 else x, (told.training, shared.cases.targets)
    )
    targets = jax.tree.map(lambda x: _only(x, chosen), targets)
    known = jnp.isfinite(values)
    usable = jnp.all(known if fit.fill is None else known | jnp.isnan(values), axis=1)
    broken = jnp.any(chosen & ~usable)
    cases = _cases(values, chosen & usable, fit)

    def loss(outputs: jax.Array) -> jax.Array:
        return task.total(outputs, targets, chosen, fit)[0] / every

    def solution(point: jax.Array) -> tuple[jax.Array, jax.Array]:
        bound = task.bound(targets, chosen, fit) / every
        function = _function(cases, loss, bound, convex.ridge(fit.traced))
        found = minimise(function, point)
        return found.point, found.going

    point = jnp.concatenate([params["kernel"], params["bias"][None]])
    ready = going & ~broken & jnp.any(chosen)
    point, still = jax.lax.cond(ready, solution, lambda same: (same, jnp.bool_(False)), point)
    total, weight = task.total(curvature.product(cases, point), targets, chosen, fit)
    mean = jnp.where(broken, jnp.nan, total / jnp.maximum(weight, 1e-30))
    return {"kernel": point[:-1], "bias": point[-1]}, still, mean


def _function(cases: jax.Array, loss: Any, bound: jax.Array, ridge: jax.Array) -> Ridge:
    """What is minimised, of a point whose last row is the bias, which has no penalty."""
    strengths = jnp.full(cases.shape[1], ridge).at[-1].set(0.0)
    across = curvature.transposed(cases)
    return Ridge(
        outputs=lambda point: curvature.product(cases, point),
        slope=lambda residuals: curvature.product(across, residuals),
        loss=loss,
        ridge=strengths[:, None],
        metric=curvature.metric(cases, bound, strengths),
    )


def _cases(values: jax.Array, chosen: jax.Array, fit: Told) -> jax.Array:
    """[N, D + 1] float32: the cases chosen, standardised, and a one; zeros in all others.

    What is not trained on must not reach a sum even as 0 x NaN.
    """
    ones = jnp.ones((len(values), 1), jnp.float32)
    return _only(jnp.concatenate([standardised(values, fit), ones], axis=1), chosen)


def _rows(inputs: Any) -> tuple[Any, int]:
    """Vectors one after another, and how many belong to a case, whose loss is the mean over its views."""
    if not isinstance(inputs, Views):
        return inputs, 1
    return inputs.values.reshape(-1, inputs.values.shape[-1]), inputs.values.shape[1]


def _only(values: jax.Array, chosen: jax.Array) -> jax.Array:
    """The rows chosen ([N] bool), zeros in all others."""
    return jnp.where(
        jnp.expand_dims(chosen, tuple(range(1, values.ndim))), values, jnp.zeros((), values.dtype)
    )
