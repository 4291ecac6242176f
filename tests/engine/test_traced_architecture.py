"""A hyperparameter of an architecture that keeps shapes rides the lane axis: no compilation a value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.protocol.model import networks
from tests import tiny
from tests.inputs import dense

PLANTED = """
import jax
from flax import nnx

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.models.blocks import Head, draw_weights

_WHEN = ("architecture", ("slope",))
HYPERPARAMETERS = (
    Hyperparameter("slope.rate", "float", 0.0, 9.0, when=_WHEN, default=0.5, absent=0.5),
    Hyperparameter("slope.sign", "choice", choices=("plus", "minus"), when=_WHEN, default="plus"),
)


class Slope(nnx.Module):
    def __init__(self, channels, outputs):
        self.head = Head(channels, outputs)

    def __call__(self, x, mode):
        turned = x * (1.0 - 2.0 * mode.traced["slope.sign"])
        return self.head(jax.nn.leaky_relu(turned, mode.traced["slope.rate"]), mode)


def build(hparams, shape, outputs, dtype, lowering, rngs):
    network = Slope(shape[-1], outputs)
    draw_weights(network, rngs)
    return network
"""
VALUES = [
    {"slope.rate": 0.5},  # absent: not among the hyperparameters of the fit
    {"slope.rate": 0.1},
    {"slope.rate": 0.1, "slope.sign": "minus"},
]


@pytest.mark.parametrize("packing", ["map", pytest.param("vmap", marks=pytest.mark.thorough)])
def test_values_share_a_program_and_give_different_results(plant: Callable[[str, str], None], packing: str):
    plant("slope", PLANTED)
    run = tiny.run_config(model__architecture="slope", engine__packing=packing, engine__lanes=3)
    cohort = tiny.cohort()
    fits = [tiny.fit(run, (0,), epochs=3, **values) for values in VALUES]
    assert "slope.rate" not in fits[0].hparams
    records, payloads, pool = tiny.train(fits, run, cohort)
    assert list(pool.traces.values()) == [1]
    assert pool.spent.compilations == 1
    assert len({records[fit.id].training_loss for fit in fits}) == len(fits)

    # What predicts later reads the same numbers, from the hyperparameters of the record.
    predicted = networks.Predicted("classification", cohort.targets.names, cohort.shape)
    held = dense(cohort)[tiny.folds(cohort).cases(0)]
    for fit in fits:
        of = networks.architecture(records[fit.id].hparams, predicted, "float32")
        weights = networks.weights(of, load(payloads[fit.id]["weights.safetensors"]))
        seen = load(payloads[fit.id]["logits.safetensors"])["logits"]
        np.testing.assert_allclose(networks.predictor(of, weights)(held), seen, rtol=1e-4, atol=1e-5)
