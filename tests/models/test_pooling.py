"""Pooling against XLA's reduce_window, in value and gradient, ties included."""

from __future__ import annotations

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from nachos_jax.models.pooling import global_average_pool, max_pool, max_pool_by_axis
from tests.tiers import mostly_thorough

FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"


def oracle(x, window, stride, padding):
    spatial = x.ndim - 2
    lengths = [1 if n == 1 else window for n in x.shape[1:-1]]
    steps = [1 if n == 1 else stride for n in x.shape[1:-1]]
    pads = [(0, 0) if n == 1 else (padding, padding) for n in x.shape[1:-1]]
    assert len(pads) == spatial
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *lengths, 1), (1, *steps, 1), [(0, 0), *pads, (0, 0)])


@given(
    size=st.lists(st.integers(2, 9) | st.just(1), min_size=2, max_size=3),
    case=st.sampled_from([(2, 2, 0), (3, 2, 1), (3, 3, 1), (2, 1, 0), (2, 3, 1)]),
    levels=st.sampled_from([2, 4, 1000]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=20 if FULLY else 4)
def test_value_and_gradient_match_reduce_window(size, case, levels, seed):
    window, stride, padding = case
    rng = np.random.default_rng(seed)
    # Few levels make many ties, as zeros after a ReLU do.
    x = jnp.asarray(rng.integers(0, levels, (2, *size, 3)), jnp.float32)

    @jax.jit
    def both(x):
        mine, pull = jax.vjp(lambda a: max_pool(a, window, stride, padding), x)
        wanted, pull_wanted = jax.vjp(lambda a: oracle(a, window, stride, padding), x)
        gradient = jax.random.normal(jax.random.key(seed), mine.shape)
        return mine, wanted, pull(gradient)[0], pull_wanted(gradient)[0]

    mine, wanted, slope, slope_wanted = both(x)
    np.testing.assert_array_equal(mine, wanted)
    np.testing.assert_allclose(slope, slope_wanted, atol=1e-5)


@pytest.mark.parametrize(("size", "expected"), [((28, 28), (14, 14)), ((7, 5), (3, 2)), ((1, 3), (1, 1))])
def test_odd_sizes_are_cut_and_single_pixels_stay(size, expected):
    x = jnp.zeros((2, *size, 4), jnp.bfloat16)
    assert max_pool(x).shape == (2, *expected, 4)
    assert max_pool(x).dtype == jnp.bfloat16


def test_gradient_under_vmap_and_in_a_loop():
    x = jax.random.normal(jax.random.key(0), (3, 2, 6, 6, 4))
    slope = jax.grad(lambda a: jnp.sum(jnp.square(max_pool(a))))
    looped = jax.jit(lambda a: lax.map(slope, a))(x)
    np.testing.assert_allclose(jax.jit(jax.vmap(slope))(x), looped, rtol=1e-6)
    np.testing.assert_allclose(looped[1], jax.jit(slope)(x[1]), rtol=1e-6)


def test_too_small_images_and_full_padding_are_refused():
    with pytest.raises(ValueError, match="smaller than a window of 3"):
        max_pool(jnp.zeros((1, 2, 8, 1)), window=3)
    with pytest.raises(ValueError, match="no such pooling"):
        max_pool(jnp.zeros((1, 8, 8, 1)), window=2, padding=2)


def test_global_average_is_the_mean_in_float32():
    x = jax.random.normal(jax.random.key(1), (2, 4, 5, 6, 3)).astype(jnp.bfloat16)
    out = global_average_pool(x)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, np.asarray(x, np.float32).mean((1, 2, 3)), atol=1e-5)


@mostly_thorough(
    ("size", "sides"),
    [((6, 4), (2, 2)), ((7, 5), (2, 2)), ((7, 5), (1, 2)), ((3, 6, 5), (1, 2, 2)), ((5, 1), (1, 1))],
    kept=((7, 5), (3, 6, 5)),
)
def test_pooling_by_axis_cuts_nothing_off(size, sides):
    # Few different values: many windows hold their maximum twice.
    x = jnp.round(jax.random.normal(jax.random.key(2), (2, *size, 3)))
    window = (1, *sides, 1)

    @jax.jit
    def both(x):
        plain = functools.partial(lax.reduce_window, init_value=-jnp.inf, computation=lax.max)
        wanted, pull_wanted = jax.vjp(
            lambda a: plain(a, window_dimensions=window, window_strides=window, padding="SAME"), x
        )
        mine, pull = jax.vjp(lambda a: max_pool_by_axis(a, sides), x)
        gradient = jax.random.normal(jax.random.key(3), mine.shape)
        return mine, wanted, pull(gradient)[0], pull_wanted(gradient)[0]

    mine, wanted, slope, slope_wanted = both(x)
    np.testing.assert_array_equal(mine, wanted)
    np.testing.assert_allclose(slope, slope_wanted, atol=1e-6)
