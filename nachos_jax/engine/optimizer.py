"""Update rules from Optax's parts, with hyperparameters traced along the lane axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

FAMILIES = {"sgd": "sgd", "adam": "adam", "adamw": "adam"}
"""Optimisers with equal state share a family, and so a bucket."""


def init(family: str, params: Any) -> Any:
    """The optimiser state of fresh parameters."""
    return _rule(family, dict.fromkeys(("momentum", "beta1", "beta2"), jnp.float32(0.0))).init(params)


def clipped(gradients: Any, longest: jax.Array) -> Any:
    """The gradients, shortened to the norm `longest` over all of them where they exceed it; 0 leaves them."""
    limit = jnp.where(longest > 0, longest, jnp.inf)
    return optax.clip_by_global_norm(limit).update(gradients, optax.EmptyState())[0]


def update(
    family: str,
    gradients: Any,
    state: Any,
    params: Any,
    learning_rate: Any,
    traced: Mapping[str, jax.Array],
    decay_rate: Any = None,
) -> tuple[Any, Any]:
    """One update.

    Args:
        family: "sgd" or "adam" (see FAMILIES).
        gradients: like params.
        state: optimiser state.
        params: parameters before the update.
        learning_rate: scalar of this step, or one for each of the parameters, like params.
        traced: scalars `weight_decay`, and `momentum`, `nesterov` or `beta1`, `beta2`, `decoupled`.
        decay_rate: of AdamW's decay, like params, where the learning rate corrects the moments too; None:
            the learning rate.

    Returns:
        (parameters, state) after it. Weight decay acts on all parameters, as in PyTorch's optimisers;
        AdamW's is decoupled from the moments (Loshchilov and Hutter 2019).
    """
    each = learning_rate if isinstance(learning_rate, dict) else jax.tree.map(lambda _: learning_rate, params)
    coupled = traced["weight_decay"] * (1.0 - traced["decoupled"])
    if isinstance(learning_rate, dict):  # what has no rate yet keeps its moments at 0
        gradients = jax.tree.map(
            lambda g, p, f: g + jnp.where(f > 0, coupled * p, 0.0), gradients, params, each
        )
    else:
        gradients = jax.tree.map(lambda g, p: g + coupled * p, gradients, params)
    with jax.numpy_dtype_promotion("standard"):  # Optax raises float decays to an integer count
        steps, state = _rule(family, traced).update(gradients, state)
    if family == "sgd":
        ahead = jax.tree.map(lambda g, v: g + traced["momentum"] * v, gradients, steps)
        steps = jax.tree.map(lambda a, v: jnp.where(traced["nesterov"] > 0, a, v), ahead, steps)
    decoupled = traced["weight_decay"] * traced["decoupled"]
    if decay_rate is None:
        return jax.tree.map(lambda p, u, rate: p - rate * (u + decoupled * p), params, steps, each), state
    params = jax.tree.map(
        lambda p, u, rate, decay: p - (rate * u + decay * decoupled * p), params, steps, each, decay_rate
    )
    return params, state


def _rule(family: str, traced: Mapping[str, jax.Array]) -> optax.GradientTransformation:
    if family == "sgd":
        return optax.trace(decay=traced["momentum"])
    return optax.scale_by_adam(b1=traced["beta1"], b2=traced["beta2"])
