"""Learning rate over time, with every parameter traced."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp


def rate(
    step: jax.Array, steps_per_epoch: jax.Array, horizon: float, traced: Mapping[str, jax.Array]
) -> jax.Array:
    """Learning rate of one training step.

    Args:
        step: training steps done so far, over the whole fit.
        steps_per_epoch: steps in one epoch of this fit.
        horizon: epochs at which the cosine reaches 0: the run's largest number of epochs, not the
            fit's, so that a refit for fewer epochs follows the path that the search saw.
        traced: scalars `learning_rate`, `schedule` (its place among the choices), `decay`, `warmup_epochs`.

    Returns:
        Scalar float32. inverse_time is learning_rate / (1 + decay * step), the rule of Keras that the
        NACHOS study used (Calle et al. 2025).
    """
    done = step.astype(jnp.float32)
    epochs = done / jnp.maximum(steps_per_epoch.astype(jnp.float32), 1.0)
    shapes = (
        jnp.float32(1.0),
        1.0 / (1.0 + traced["decay"] * done),
        0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(epochs / horizon, 1.0))),
    )
    shape = jnp.select([traced["schedule"] == i for i in range(len(shapes))], shapes)
    warm_steps = jnp.maximum(traced["warmup_epochs"] * steps_per_epoch.astype(jnp.float32), 1.0)
    return traced["learning_rate"] * shape * jnp.minimum((done + 1.0) / warm_steps, 1.0)
