"""Normalisation with its written-out gradients against what JAX derives from the plain formula."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from nachos_jax.models.instance_norm import InstanceNorm
from nachos_jax.models.normalisation import BatchNorm, GroupNorm
from tests.tiers import mostly_thorough


def plain(x, scale, bias, pool):
    """Batch normalisation and XLA's own pooling, in the order in which papers write them."""
    axes = tuple(range(x.ndim - 1))
    mean, variance = jnp.mean(x, axes, keepdims=True), jnp.var(x, axes, keepdims=True)
    out = (x - mean) / jnp.sqrt(variance + 1e-5) * scale.reshape(mean.shape) + bias.reshape(mean.shape)
    window = (1, *((1 if n == 1 else pool) for n in x.shape[1:-1]), 1)
    return lax.reduce_window(out, -jnp.inf, lax.max, window, window, "VALID")


def ours(x, scale, bias, pool):
    layer = BatchNorm(x.shape[-1])
    layer.scale[...], layer.bias[...] = scale, bias
    return layer(x, True, pool=pool)


@functools.partial(jax.jit, static_argnums=0)
def pulled(call, weights, *inputs):
    """What a function gives, and the slopes by its inputs of what it gives, weighted; in one program."""
    out, pull = jax.vjp(call, *inputs)
    return out, pull(weights)


@mostly_thorough(
    ("shape", "pool"),
    [((4, 6, 6, 5), 1), ((3, 7, 5, 2), 2), ((2, 1, 9, 3), 3), ((2, 4, 5, 6, 3), 1), ((2, 4, 5, 6, 3), 2)],
    kept=2,
)
def test_values_and_gradients_are_those_of_the_plain_formula(shape, pool):
    if any(1 < n < pool for n in shape[1:-1]):
        pytest.skip("a window larger than the image")
    draw = np.random.default_rng(3)
    x = jnp.asarray(draw.normal(2.0, 3.0, shape), jnp.float32)
    scale = jnp.asarray(draw.normal(size=shape[-1:]), jnp.float32)
    assert (scale < 0).any()
    bias = jnp.asarray(draw.normal(size=shape[-1:]), jnp.float32)
    size = (shape[0], *(n if n == 1 else n // pool for n in shape[1:-1]), shape[-1])
    weights = jnp.asarray(draw.normal(size=size), jnp.float32)
    with jax.numpy_dtype_promotion("standard"):
        out, wanted = pulled(lambda a, b, c: plain(a, b, c, pool), weights, x, scale, bias)
    mine, found = pulled(lambda a, b, c: ours(a, b, c, pool), weights, x, scale, bias)
    np.testing.assert_allclose(mine, out, rtol=1e-4, atol=1e-4)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [BatchNorm, GroupNorm, InstanceNorm])
@pytest.mark.parametrize("train", [True, False])
def test_pooling_inside_is_pooling_after(kind, train):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 7, 6, 4)), jnp.float32)

    def called(x, pool):
        layer = kind(4)
        layer.scale[...] = jnp.asarray([1.0, -1.0, 0.5, -2.0])
        return layer(x, train, pool=pool)

    found = [jax.jit(called, static_argnums=1)(x, pool) for pool in (1, 2)]
    after = lax.reduce_window(found[0], -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    np.testing.assert_allclose(found[1], after, rtol=1e-5, atol=1e-6)


def test_running_statistics_do_not_depend_on_the_pooling():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6, 6, 4)), jnp.float32)
    plain_layer, pooled = BatchNorm(4), BatchNorm(4)
    plain_layer(x, True)
    pooled(x, True, pool=2)
    for a, b in zip(
        jax.tree.leaves(nnx.state(plain_layer, nnx.BatchStat)),
        jax.tree.leaves(nnx.state(pooled, nnx.BatchStat)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_bfloat16_keeps_its_dtype_and_sums_in_float32():
    x = jnp.asarray(np.random.default_rng(0).normal(100.0, 1.0, (64, 8, 8, 4)), jnp.bfloat16)
    weights = jnp.ones((64, 4, 4, 4), jnp.bfloat16)
    out, (slope,) = pulled(lambda a: ours(a, jnp.ones(4), jnp.zeros(4), 2), weights, x)
    assert out.dtype == slope.dtype == jnp.bfloat16
    exact = plain(x.astype(jnp.float32), jnp.ones(4), jnp.zeros(4), 2)
    np.testing.assert_allclose(np.asarray(out, np.float32), exact, atol=0.05)


@mostly_thorough("shape", [(3, 7, 5, 2), (2, 4, 5, 6, 3), (2, 1, 9, 4)], kept=1)
@pytest.mark.parametrize("slope", [1.0, 0.01])
def test_instance_norm_with_its_leaky_relu_is_the_plain_formula(shape, slope):
    draw = np.random.default_rng(4)
    x = jnp.asarray(draw.normal(2.0, 3.0, shape), jnp.float32)
    scale, bias, weights = (
        jnp.asarray(draw.normal(size=size), jnp.float32) for size in (shape[-1:], shape[-1:], shape)
    )
    space = tuple(range(1, x.ndim - 1))

    def formula(x, scale, bias):
        even = (x - jnp.mean(x, space, keepdims=True)) / jnp.sqrt(jnp.var(x, space, keepdims=True) + 1e-5)
        with jax.numpy_rank_promotion("allow"):
            out = even * scale + bias
        return jnp.where(out >= 0, out, slope * out)

    def layer(x, scale, bias):
        norm = InstanceNorm(shape[-1])
        norm.scale[...], norm.bias[...] = scale, bias
        return norm(x, True, slope=slope)

    out, wanted = pulled(formula, weights, x, scale, bias)
    mine, found = pulled(layer, weights, x, scale, bias)
    np.testing.assert_allclose(mine, out, atol=1e-5)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def test_instance_norm_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(5).normal(1.0, 2.0, (3, 6, 5, 4)).astype(np.float32)
    wanted = torch.nn.InstanceNorm2d(4, affine=True)(torch.from_numpy(x).permute(0, 3, 1, 2))
    found = InstanceNorm(4)(jnp.asarray(x), False)
    np.testing.assert_allclose(found, wanted.detach().permute(0, 2, 3, 1).numpy(), atol=1e-5)


def test_instance_norm_keeps_bfloat16_and_counts_in_float32():
    x = jnp.asarray(np.random.default_rng(0).normal(100.0, 1.0, (2, 16, 16, 4)), jnp.bfloat16)
    out, (by_x,) = pulled(lambda a: InstanceNorm(4)(a, True, slope=0.01), jnp.ones_like(x), x)
    assert out.dtype == by_x.dtype == jnp.bfloat16
    exact = InstanceNorm(4)(x.astype(jnp.float32), True, slope=0.01)
    np.testing.assert_allclose(np.asarray(out, np.float32), exact, atol=0.02)


@pytest.mark.parametrize("kind", [BatchNorm, GroupNorm, InstanceNorm])
@pytest.mark.parametrize("train", [True, False])
def test_the_leaky_relu_inside_is_the_one_after(kind, train):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6, 6, 4)), jnp.float32)
    called = jax.jit(lambda x: (kind(4)(x, train, pool=2, slope=0.1), kind(4)(x, train, pool=2)))
    inside, after = called(x)
    np.testing.assert_allclose(inside, jax.nn.leaky_relu(after, 0.1), atol=1e-6)
