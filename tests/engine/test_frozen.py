"""Weights that no fit trains: on a device once, never changed, and kept with those that were trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.engine import lane
from nachos_jax.protocol.model import networks
from tests import tiny
from tests.inputs import dense

PLANTED = """
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.models.blocks import Frozen, Head, draw_weights

_WHEN = ("architecture", ("backbone",))
HYPERPARAMETERS = (
    Hyperparameter("backbone.features", "integer", 1, 99, static=True, when=_WHEN, default=8),
)


def frozen(hparams):
    draw = np.random.default_rng(hparams["backbone.features"])
    return {"columns": {"kernel": draw.normal(size=(6, hparams["backbone.features"])).astype(np.float32)}}


class Columns(nnx.Module):
    def __init__(self, height, features):
        self.kernel = Frozen(jnp.zeros((height, features), jnp.float32))

    def __call__(self, x):
        return jax.nn.relu(jnp.einsum("bhwc,hf->bwcf", x, self.kernel[...]))


class Backbone(nnx.Module):
    def __init__(self, height, features, outputs):
        self.columns, self.head = Columns(height, features), Head(features, outputs)

    def __call__(self, x, mode):
        return self.head(self.columns(x), mode)


def build(hparams, shape, outputs, dtype, lowering, rngs):
    network = Backbone(shape[0], int(hparams["backbone.features"]), outputs)
    draw_weights(network, rngs)
    return network
"""
KERNEL = "frozen/columns/kernel"


@pytest.mark.parametrize("residency", ["resident", pytest.param("stream", marks=pytest.mark.thorough)])
def test_frozen_weights(plant: Callable[[str, str], None], residency: str):
    plant("backbone", PLANTED)
    run = tiny.run_config(model__architecture="backbone", data__residency=residency, engine__lanes=2)
    cohort = tiny.cohort()
    fits = [tiny.fit(run, (0,), epochs=3, learning_rate=rate) for rate in (0.01, 0.1, 0.3)]
    records, payloads, pool = tiny.train(fits, run, cohort)
    assert pool.streams == (residency == "stream")
    assert set(pool.traces.values()) == {1}
    given = np.random.default_rng(8).normal(size=(6, 8)).astype(np.float32)
    (lanes,) = pool._buckets.values()

    # Passed once: the state of a lane holds the head alone, and what all lanes share has no lane axis.
    state = lane.abstract_state(lanes.program.spec)
    assert sorted(leaf.shape for leaf in jax.tree.leaves(state.params)) == [(3,), (8, 3)]
    assert not jax.tree.leaves(state.stats)
    assert not [leaf for leaf in jax.tree.leaves(state) if leaf.shape == given.shape]
    np.testing.assert_array_equal(lanes.program.spec.frozen["columns"]["kernel"], given)
    if residency == "resident":
        assert _shared(lanes.program).frozen["columns"]["kernel"].shape == given.shape

    folds, heads = tiny.folds(cohort).cases(0), set()
    predicted = networks.Predicted("classification", cohort.targets.names, cohort.shape)
    for fit in fits:
        assert records[fit.id].parameters == 8 * 3 + 3
        arrays = load(payloads[fit.id]["weights.safetensors"])
        np.testing.assert_array_equal(arrays[KERNEL], given)
        heads.add(arrays["params/head/linear/kernel"].tobytes())
        of = networks.architecture(fit.hparams, predicted, "float32")
        again = networks.predictor(of, networks.weights(of, arrays))(dense(cohort)[folds])
        seen = load(payloads[fit.id]["logits.safetensors"])["logits"]
        np.testing.assert_allclose(again, seen, rtol=1e-4, atol=1e-5)
        other = networks.weights(of, {**arrays, KERNEL: -arrays[KERNEL]})
        assert not np.allclose(networks.predictor(of, other)(dense(cohort)[folds]), seen, atol=1e-3)
    assert len(heads) == len(fits), "what is trained differs from fit to fit"


def _shared(program: Any) -> lane.Shared:
    return program.epoch.args[0]
