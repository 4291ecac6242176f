"""Layers that waited while the head was trained alone take the steps of an Adam that begins with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from nachos_jax.engine import optimizer, pretrained

STEPS, HEAD_EPOCHS = 5, 2


def _of(traced: Mapping[str, Any], epoch: Any) -> dict[str, Any]:
    return {
        "pretrained": {
            "w": jnp.where(jnp.asarray(epoch, jnp.float32) < traced["tuned.head_epochs"], 0.0, 1.0)
        }
    }


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_released_layer_steps_and_decays_as_a_fresh_one(decay: float):
    numbers = {"weight_decay": decay, "decoupled": float(decay > 0), "beta1": 0.9, "beta2": 0.999}
    traced = {name: jnp.float32(value) for name, value in numbers.items()}
    traced["tuned.head_epochs"] = jnp.float32(HEAD_EPOCHS)
    slopes = np.random.default_rng(0).normal(1.0, 0.5, 20).astype(np.float32)
    waited = STEPS * HEAD_EPOCHS
    params: Any = {name: {"w": jnp.float32(1.0)} for name in ("head", "pretrained")}
    moments, places = optimizer.init("adam", params), {"head": [], "pretrained": []}
    for step in range(len(slopes)):
        factors = pretrained.factors(_of, params, traced, step // STEPS)
        gradients = {
            "head": {"w": jnp.float32(slopes[step])},
            "pretrained": {"w": jnp.float32(slopes[max(0, step - waited)])},
        }
        gradients = pretrained.only_trained(gradients, factors)
        scaled: Any = {module: {"w": 0.1 * below["w"]} for module, below in factors.items()}
        rates = pretrained.released(scaled, _of, traced, jnp.int32(step), jnp.int32(STEPS))
        params, moments = optimizer.update("adam", gradients, moments, params, rates, traced, scaled)
        for name, found in places.items():
            found.append(float(params[name]["w"]))
    assert set(places["pretrained"][:waited]) == {1.0}
    np.testing.assert_allclose(places["pretrained"][waited:], places["head"][:waited], rtol=1e-4)
