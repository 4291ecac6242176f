"""Layers against NumPy: running statistics, groups, dropout with a traced rate."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nachos_jax.models import blocks, normalisation


def setting(norm="batch", dtype=jnp.float32):
    return blocks.Setting(norm, dtype, "custom")


def test_batch_norm_matches_numpy_over_several_steps():
    rng = np.random.default_rng(0)
    layer = normalisation.BatchNorm(5)
    mean, variance = np.zeros(5), np.ones(5)
    for _ in range(4):
        x = rng.normal(3.0, 2.0, (6, 4, 3, 5)).astype(np.float32)
        rows = x.reshape(-1, 5).astype(np.float64)
        found = layer(jnp.asarray(x), train=True)
        wanted = (x - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        mean = 0.9 * mean + 0.1 * rows.mean(0)
        variance = 0.9 * variance + 0.1 * rows.var(0, ddof=1)
    np.testing.assert_allclose(layer.mean[...], mean, rtol=1e-5)
    np.testing.assert_allclose(layer.variance[...], variance, rtol=1e-5)
    found = layer(jnp.asarray(x), train=False)
    np.testing.assert_allclose(found, (x - mean) / np.sqrt(variance + 1e-5), atol=2e-5)
    np.testing.assert_allclose(layer.mean[...], mean, rtol=1e-5)


def test_norms_of_bfloat16_keep_float32_statistics():
    x = (100.0 + jax.random.normal(jax.random.key(0), (4, 5, 5, 8))).astype(jnp.bfloat16)
    layer = normalisation.BatchNorm(8)
    assert layer(x, train=True).dtype == jnp.bfloat16
    assert layer.mean[...].dtype == layer.variance[...].dtype == jnp.float32
    exact = np.asarray(x, np.float32).reshape(-1, 8)
    np.testing.assert_allclose(layer.mean[...], 0.1 * exact.mean(0), rtol=1e-5)
    assert normalisation.GroupNorm(8)(x, train=True).dtype == jnp.bfloat16


def test_group_norm_matches_numpy_and_needs_no_batch():
    x = np.random.default_rng(1).normal(2.0, 3.0, (3, 4, 5, 16)).astype(np.float32)
    layer = normalisation.GroupNorm(16)
    layer.bias[...] = jnp.arange(16.0)
    found = layer(jnp.asarray(x), train=True)
    split = x.reshape(3, 20, 2, 8)
    mean, variance = split.mean((1, 3), keepdims=True), split.var((1, 3), keepdims=True)
    wanted = ((split - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape) + np.arange(16)
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    np.testing.assert_allclose(layer(jnp.asarray(x[1:2]), train=False)[0], found[1], atol=1e-6)


def test_group_size_divides_and_is_never_one():
    assert [normalisation.group_size(c) for c in (4, 8, 12, 16, 64, 13, 127, 512, 1)] == [
        4,
        8,
        6,
        8,
        8,
        13,
        127,
        8,
        1,
    ]
    for channels in range(2, 513):
        assert channels % normalisation.group_size(channels) == 0
        assert normalisation.group_size(channels) > 1


@pytest.mark.parametrize("kind", blocks.NORMS)
def test_zero_scale_starts_at_zero(kind):
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 8))
    assert not np.any(blocks.norm(8, setting(kind), zero_scale=True)(x, True))
    assert np.any(blocks.norm(8, setting(kind))(x, True))


def test_dropout_with_a_traced_rate_compiles_once():
    traces = []

    @jax.jit
    def run(x, rate, key):
        traces.append(1)
        return blocks.dropout(x, rate, key)

    x = 1.0 + jax.random.uniform(jax.random.key(0), (100, 200))
    for rate in (0.0, 0.3, 0.9):
        out = np.asarray(run(x, jnp.float32(rate), jax.random.key(1)))
        gone = out == 0
        assert abs(gone.mean() - rate) < 0.02
        np.testing.assert_allclose(out[~gone], np.asarray(x)[~gone] / (1 - rate), rtol=1e-5)
    np.testing.assert_array_equal(run(x, jnp.float32(0.0), jax.random.key(2)), x)
    assert len(traces) == 1


def test_dropout_lanes_keep_their_own_rates():
    x = jnp.ones((3, 50, 40))
    keys = jax.random.split(jax.random.key(0), 3)
    out = jax.vmap(blocks.dropout)(x, jnp.array([0.0, 0.5, 0.8]), keys)
    for lane, rate in enumerate((0.0, 0.5, 0.8)):
        np.testing.assert_array_equal(out[lane], blocks.dropout(x[lane], rate, keys[lane]))


def drawn(seed):
    class Pair(nnx.Module):
        def __init__(self):
            self.conv = blocks.Conv(32, 64, 3, 1, setting())
            self.again = blocks.Conv(32, 64, 3, 1, setting())
            self.linear = blocks.Linear(256, 100)
            self.norm = normalisation.BatchNorm(8)

    network = Pair()
    blocks.draw_weights(network, nnx.Rngs(params=jax.random.key(seed)))
    return network


def test_initial_weights_have_the_variance_of_their_source():
    network = drawn(0)
    for kernel, variance in ((network.conv.kernel[...], 2 / (9 * 32)), (network.linear.kernel[...], 1 / 256)):
        np.testing.assert_allclose(np.var(kernel), variance, rtol=0.05)
        assert abs(np.mean(kernel)) < 0.05 * np.sqrt(variance)
        assert kernel.dtype == jnp.float32
    np.testing.assert_array_equal(network.linear.bias[...], np.zeros(100))
    np.testing.assert_array_equal(network.norm.scale[...], np.ones(8))
    first, second = (np.asarray(layer.kernel[...]).ravel() for layer in (network.conv, network.again))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_initial_weights_depend_on_the_key_alone():
    first, same, other = (np.asarray(drawn(seed).conv.kernel[...]) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert np.any(first != other)


def test_the_head_drops_only_in_training_and_its_evaluation_reads_no_rate():
    head = blocks.Head(64, 5)
    blocks.draw_weights(head, nnx.Rngs(params=jax.random.key(0)))
    x = jax.random.normal(jax.random.key(1), (3, 4, 6, 64))
    mean = np.asarray(x, np.float64).mean((1, 2))
    wanted = mean @ np.asarray(head.linear.kernel[...]) + np.asarray(head.linear.bias[...])
    key = jax.random.key(2)
    for mode in (
        blocks.evaluation({"any": 1.0}),
        blocks.Mode(False, 0.9, key, {}),
        blocks.Mode(True, 0.0, key, {}),
    ):
        np.testing.assert_allclose(head(x, mode), wanted, atol=1e-5)
    assert np.any(np.abs(np.asarray(head(x, blocks.Mode(True, 0.5, key, {}))) - wanted) > 1e-2)
