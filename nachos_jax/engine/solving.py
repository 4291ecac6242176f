"""ONE fit whose training loss is convex: an epoch is the whole solution, over all training cases at once.

Later epochs find nothing to do and change no bit, so curves, best epochs and refits mean what they always
mean. The inputs lie on the device once; no lane copies or standardises them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp

from nachos_jax.data.views import Views
from nachos_jax.engine import newton
from nachos_jax.models.blocks import Stored

if TYPE_CHECKING:
    from nachos_jax.engine.lane import LaneInput, LaneSpec, Shared
    from nachos_jax.tasks.task import ConvexTask


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
    chosen, targets = jax.tree.map(
        lambda x: jnp.repeat(x, every, axis=0) if every > 1 else x, (told.training, shared.cases.targets)
    )
    targets = jax.tree.map(lambda x: _only(x, chosen), targets)
    known = jnp.isfinite(values)
    # What is not trained on must not reach a sum even as 0 x NaN.
    clean = jnp.where(known, values, 0.0)
    missing = None if fit.fill is None else jnp.isnan(values).astype(jnp.float32)
    stored = Stored(clean, missing, fit.mean, fit.sd, fit.fill)
    usable = jnp.all(known if missing is None else known | jnp.isnan(values), axis=1)
    broken = jnp.any(chosen & ~usable)

    def totals(point: Any) -> tuple[jax.Array, jax.Array]:
        outputs = _only(convex.outputs(point, stored), chosen)
        total, weight = cast("ConvexTask", spec.task).total(outputs, targets, chosen, fit)
        return (total, weight) if every == 1 else (total / every, weight / every)

    def objective(point: Any) -> jax.Array:
        total, weight = totals(point)
        return (total + convex.penalty(point, fit.traced)) / jnp.maximum(weight, 1.0)

    found = newton.minimise(objective, params, going)
    total, weight = totals(found.point)
    loss = jnp.where(broken, jnp.nan, total / jnp.maximum(weight, 1e-30))
    return found.point, found.going, loss


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
