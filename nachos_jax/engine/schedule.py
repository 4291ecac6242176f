"""Learning rate over time, with every parameter traced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

PLATEAU = "plateau"
_SMOOTH = 0.93
_LEAST = 1e-3
"""Of nnU-Net's first version: the share of the old mean in the new one, and the smallest gain that counts."""


def rate(
    step: jax.Array,
    steps_per_epoch: jax.Array,
    horizon: float,
    traced: Mapping[str, jax.Array],
    fallen: jax.Array,
) -> jax.Array:
    """Learning rate of one training step.

    Args:
        step: training steps done so far, over the whole fit.
        steps_per_epoch: steps in one epoch of this fit.
        horizon: epochs at which cosine and poly reach 0: the run's largest number of epochs, not the
            fit's, so that a refit for fewer epochs follows the path that the search saw.
        traced: scalars `learning_rate`, `schedule` (its place among the choices), `decay`, `poly_power`,
            `warmup_epochs`.
        fallen: factor of the plateau schedule in this epoch, see `fallen_to`.

    Returns:
        Scalar float32. inverse_time is learning_rate / (1 + decay * step), the rule of Keras that the
        NACHOS study used (Calle et al. 2025); poly is learning_rate * (1 - epoch / horizon) ** poly_power,
        nnU-Net's with 0.9 (Isensee et al. 2021), within an epoch too.
    """
    done = step.astype(jnp.float32)
    epochs = done / jnp.maximum(steps_per_epoch.astype(jnp.float32), 1.0)
    way = jnp.minimum(epochs / horizon, 1.0)
    shapes = (
        jnp.float32(1.0),
        1.0 / (1.0 + traced["decay"] * done),
        0.5 * (1.0 + jnp.cos(jnp.pi * way)),
        (1.0 - way) ** traced["poly_power"],
        fallen,
    )
    shape = jnp.select([traced["schedule"] == i for i in range(len(shapes))], shapes)
    warm_steps = jnp.maximum(traced["warmup_epochs"] * steps_per_epoch.astype(jnp.float32), 1.0)
    return traced["learning_rate"] * shape * jnp.minimum((done + 1.0) / warm_steps, 1.0)


def fallen_to(losses: Sequence[float], factor: float, patience: int) -> np.float32:
    """What the plateau schedule multiplies the rate by in the epoch that comes next.

    Whenever the smoothed loss has not become lower for more than `patience` epochs, the rate falls by
    `factor`: PyTorch's ReduceLROnPlateau with the settings of nnU-Net before version 2, which watched a
    moving mean of the training loss. A held fold is not watched: where a fit serves two studies, the rate
    would carry the test fold of one into its training.

    Args:
        losses: training loss of each epoch so far, so that nothing else has to be kept or resumed.
        factor: of one fall.
        patience: epochs.
    """
    mean = best = float("inf")
    waited = falls = 0
    for loss in losses:
        mean = _SMOOTH * mean + (1.0 - _SMOOTH) * loss if mean < float("inf") else loss
        if mean < best - _LEAST:
            best, waited = mean, 0
        else:
            waited += 1
        if waited > patience:
            falls, waited = falls + 1, 0
    return np.float32(float(factor) ** falls)
