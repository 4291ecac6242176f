"""Weights of a file that every fit of a bucket starts from, and how far each of them is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Factors = Callable[[Mapping[str, Any], Any], dict[str, Any]]
"""(traced hyperparameters, epoch) -> what multiplies the learning rate, nested as some of the parameters."""


def factors(of: Factors, params: Mapping[str, Any], traced: Mapping[str, Any], epoch: Any) -> dict[str, Any]:
    """A scalar for each of the parameters: what multiplies its learning rate, 1 of what was drawn."""
    known = of(traced, epoch)
    return {
        module: known[module] if module in known else jax.tree.map(lambda _: jnp.float32(1.0), below)
        for module, below in params.items()
    }


def only_trained(gradients: Any, factor: Any) -> Any:
    """The gradients, zeros of what has no rate: they shorten no other's, and leave its moments alone."""
    return jax.tree.map(lambda g, f: jnp.where(f > 0, g, jnp.zeros_like(g)), gradients, factor)


def released(rates: dict[str, Any], of: Factors, traced: Mapping[str, Any], step: Any, steps: Any) -> Any:
    """Rates of Adam that count the steps of layers which waited while the head was trained alone.

    Adam divides its moments by what is missing of them after so many steps (Kingma and Ba 2015, algorithm
    1). Of layers whose moments began later that is another number, or their first steps would be up to four
    times too long.

    Args:
        rates: of `factors`, times the learning rate.
        of: names the pretrained parameters.
        traced: scalars `beta1`, `beta2` and `tuned.head_epochs`.
        step: int32 scalar, steps of the fit done.
        steps: int32 scalar, steps an epoch.
    """
    done = (step + 1).astype(jnp.float32)
    own = jnp.maximum(done - traced["tuned.head_epochs"] * steps.astype(jnp.float32), 1.0)
    first, second = traced["beta1"], traced["beta2"]
    longer = (1 - first**done) / (1 - first**own) * jnp.sqrt((1 - second**own) / (1 - second**done))
    known = of(traced, step // steps)
    return {
        module: jax.tree.map(lambda rate: rate * longer, below) if module in known else below
        for module, below in rates.items()
    }


def digest(params: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """SHA-256 of pretrained parameters of one lane, nested by module and name, in the order of the names."""
    sha = hashlib.sha256()
    for module in sorted(params):
        for name, values in sorted(params[module].items()):
            sha.update(f"{name} {values.dtype.str} {values.shape}".encode())
            sha.update(np.ascontiguousarray(values).data)
    return sha.hexdigest()
