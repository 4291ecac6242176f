"""What is computed once on a processor: the same numbers, in a branch that XLA leaves alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nachos_jax.models import fences, pooling
from nachos_jax.models.convolution import conv
from nachos_jax.models.normalisation import BatchNorm


def highest(x):
    return jnp.maximum(x[::2], x[1::2])


def read_twice(x):
    peaks = fences.once(highest, x)
    return peaks - jnp.tanh(peaks), peaks.sum()


@pytest.mark.parametrize("values", [[-1.0, 2.0], [0.0, -0.0], [np.nan, 1.0], [np.inf, 3.0], [-np.inf, -2.0]])
def test_the_value_is_that_of_the_call_whatever_the_numbers(values):
    x = jnp.asarray(values * 3, jnp.float32)
    np.testing.assert_array_equal(jax.jit(lambda x: fences.once(highest, x))(x), highest(x))


def test_lanes_in_step_have_their_own_values():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)), jnp.float32).at[1, 0].set(jnp.nan)
    found = jax.jit(jax.vmap(lambda x: fences.once(highest, x)))(x)
    np.testing.assert_array_equal(found, jax.vmap(highest)(x))


def test_xla_keeps_the_branch_on_a_processor():
    compiled = jax.jit(read_twice).lower(jnp.ones(64)).compile().as_text()
    assert compiled is not None
    assert " conditional(" in compiled


@pytest.mark.parametrize("normed", [False, True])
def test_what_a_pooling_chooses_is_computed_once(normed):
    def trained(x):
        return jnp.sin(BatchNorm(4)(x, train=True, pool=2) if normed else pooling.max_pool(x)).sum()

    compiled = jax.jit(jax.grad(trained)).lower(jnp.ones((2, 8, 8, 4))).compile().as_text()
    assert compiled is not None
    assert compiled.count(" conditional(") == 2  # of the maxima, and of the pixel that each was


def test_accelerators_have_no_branch():
    lowered = jax.jit(read_twice).trace(jnp.ones(64)).lower(lowering_platforms=("cuda",)).as_text()
    assert "maximum" in lowered
    assert "compare" not in lowered  # of what the branch on a processor depends on


@pytest.mark.parametrize("lowering", ["custom", "im2col", "split", "shift"])
def test_a_gpu_writes_strided_pixels_out_around_a_product(lowering):
    def trained(x, kernel):
        return jnp.sin(conv(x, kernel, (2, 2), ((0, 0), (0, 0)), lowering)).sum()

    traced = jax.jit(jax.grad(trained, (0, 1))).trace(jnp.ones((2, 7, 7, 4)), jnp.ones((1, 1, 4, 8)))
    for_gpu = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert for_gpu.count("optimization_barrier") == 2  # of the pixels, and of their gradient
    assert "optimization_barrier" not in traced.lower(lowering_platforms=("cpu",)).as_text()
