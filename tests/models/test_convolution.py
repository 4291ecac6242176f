"""Every lowering of the convolution against XLA's own, in value and both gradients."""

from __future__ import annotations

import contextlib
import os
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.typing import DTypeLike

from nachos_jax.config.fields import LOWERINGS
from nachos_jax.models import convolution, patches, split
from tests.tiers import mostly_thorough

FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"

OTHERS = [lowering for lowering in LOWERINGS if lowering != "lax"]


@st.composite
def problems(draw):
    """Shapes, strides and padding of a convolution that has at least one output cell."""
    rank = draw(st.sampled_from([2, 2, 3]))
    window = [draw(st.integers(1, 4)) for _ in range(rank)]
    size = [draw(st.integers(k, k + 5)) for k in window]
    return {
        "x": (draw(st.integers(1, 3)), *size, draw(st.integers(1, 3))),
        "window": window,
        "outputs": draw(st.integers(1, 3)),
        "strides": tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        "padding": [tuple(draw(st.integers(0, k - 1)) for _ in range(2)) for k in window],
        "cache": draw(st.sampled_from([1, 300, 2**21])),
        "seed": draw(st.integers(0, 2**16)),
    }


def operands(problem, dtype: DTypeLike = np.float32):
    rng = np.random.default_rng(problem["seed"])
    shape = (*problem["window"], problem["x"][-1], problem["outputs"])
    x, kernel = (rng.normal(size=s).astype(np.float32) for s in (problem["x"], shape))
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


def value_and_gradients(problem, lowering, x, kernel):
    options = {name: problem[name] for name in ("strides", "padding")}
    out, pull = jax.vjp(lambda a, b: convolution.conv(a, b, lowering=lowering, **options), x, kernel)
    weights = np.random.default_rng(1).normal(size=out.shape).astype(np.float32)
    return out, *pull(jnp.asarray(weights, out.dtype))


@contextlib.contextmanager
def caches(size):
    """All that is cut into parts is cut for caches of so many bytes; no case fits in one of a byte."""
    least = {name: min(size, getattr(split, name)) for name in ("CACHE", "MOST", "CASE")}
    if size > 1:
        del least["CASE"]
    with mock.patch.multiple(patches, CACHE=size, SLAB=size), mock.patch.multiple(split, **least):
        yield


def every_lowering(problem, x, kernel):
    """Value and gradients of all lowerings from one compiled program; the input of lax is padded before.

    XLA's simplifier aborts the process (algebraic_simplifier.cc: Check failed) on the weight gradient of lax
    for inputs of few pixels and windows of 2 with stride 2 and a pixel of padding on both sides.
    """
    width = [(0, 0), *problem["padding"], (0, 0)]
    unpadded = {**problem, "padding": [(0, 0)] * len(problem["padding"])}

    def run(a, b):
        padded, unpad = jax.vjp(lambda a: jnp.pad(a, width), a)
        out, by_input, by_weight = value_and_gradients(unpadded, "lax", padded, b)
        found = {name: value_and_gradients(problem, name, a, b) for name in LOWERINGS if name != "lax"}
        return {"lax": (out, *unpad(by_input), by_weight), **found}

    # A cache of one byte makes a block of every case.
    cache = problem.get("cache", patches.CACHE)
    with caches(cache):
        return jax.jit(run)(x, kernel)


@given(problem=problems())
@settings(max_examples=20 if FULLY else 6)
def test_lowerings_agree_with_lax(problem):
    found = every_lowering(problem, *operands(problem))
    for lowering in OTHERS:
        for mine, wanted in zip(found[lowering], found["lax"], strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=2e-4, atol=2e-4, err_msg=lowering)


@pytest.mark.parametrize("lowering", OTHERS)
@mostly_thorough("cache", [1, 5000, 2**21], kept=(5000,))
@pytest.mark.parametrize(
    ("x", "window", "strides"), [((2, 12, 6, 4), (3, 3), (1, 2)), ((2, 6, 5, 4, 4), (3, 1, 3), (2, 1, 1))]
)
def test_in_double_precision_they_agree_to_the_last_digits(lowering, cache, x, window, strides):
    padding = [(k // 2, k // 2) for k in window]
    problem = {"x": x, "window": window, "outputs": 4, "strides": strides, "padding": padding, "seed": 1}
    with jax.enable_x64(True), caches(cache):
        given = operands(problem, np.float64)
        call = jax.jit(lambda a, b: [value_and_gradients(problem, name, a, b) for name in (lowering, "lax")])
        found, wanted = call(*given)
        for mine, theirs in zip(found, wanted, strict=True):
            assert mine.dtype == np.float64
            np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-11)


def test_slabs_are_as_many_as_the_cache_asks():
    problem = {"x": (2, 12, 6, 3), "window": (3, 3), "outputs": 4, "seed": 1}
    geometry = patches.Geometry((1, 1), ((1, 1), (1, 1)))
    x, kernel = operands(problem)
    gradient = jnp.zeros((2, 12, 6, 4))
    case = 12 * 6 * 9 * 3 * 4
    for cache, slab, rows in (
        (case, 1, 12),
        (1, case // 2, 6),
        (1, case // 3, 4),
        (1, case // 3 - 1, 3),
        (1, case // 12, 1),
        (1, 1, 1),
    ):
        with mock.patch.multiple(patches, CACHE=cache, SLAB=slab):
            assert patches._rows(x, kernel, gradient, geometry) == rows


RESNET_LIKE = [
    {"x": (2, 9, 8, 16), "window": (3, 3), "strides": (2, 2), "padding": [(1, 1)] * 2},
    {"x": (2, 9, 8, 16), "window": (1, 1), "strides": (2, 2), "padding": [(0, 0)] * 2},
    {"x": (2, 14, 13, 3), "window": (7, 7), "strides": (2, 2), "padding": [(3, 3)] * 2},
    {"x": (2, 5, 6, 32), "window": (3, 3), "strides": (1, 1), "padding": [(1, 1)] * 2},
    {"x": (2, 5, 6, 4, 8), "window": (3, 3, 3), "strides": (2, 1, 2), "padding": [(0, 1), (1, 1), (1, 0)]},
]


@pytest.mark.thorough
@pytest.mark.parametrize("shape", RESNET_LIKE)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_wide_layers_and_dtypes(shape, dtype):
    problem = {**shape, "outputs": 8, "seed": 3}
    x, kernel = operands(problem, dtype)
    plain = jax.jit(lambda x, kernel: value_and_gradients(problem, "lax", x, kernel))
    expected = plain(x.astype(jnp.float32), kernel.astype(jnp.float32))
    tolerance = 3e-2 if dtype == jnp.bfloat16 else 1e-5
    for lowering, found in every_lowering(problem, x, kernel).items():
        for mine, wanted in zip(found, expected, strict=True):
            assert mine.dtype == dtype
            room = tolerance * float(jnp.abs(wanted).max())
            np.testing.assert_allclose(np.asarray(mine, np.float32), wanted, atol=room, err_msg=lowering)


def test_vmap_over_both_operands():
    problem = {**RESNET_LIKE[0], "outputs": 8, "seed": 5}
    lanes = [operands({**problem, "seed": seed}) for seed in range(3)]
    xs, kernels = (jnp.stack(parts) for parts in zip(*lanes, strict=True))
    plain = jax.jit(lambda x, kernel: value_and_gradients(problem, "lax", x, kernel))
    stacked = jax.jit(jax.vmap(lambda x, kernel: every_lowering(problem, x, kernel)))(xs, kernels)
    for lane, (x, kernel) in enumerate(lanes):
        expected = plain(x, kernel)
        for lowering, found in stacked.items():
            for mine, wanted in zip(found, expected, strict=True):
                np.testing.assert_allclose(mine[lane], wanted, rtol=1e-4, atol=1e-4, err_msg=lowering)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_gradient_inside_a_loop(lowering):
    problem: dict[str, Any] = {**RESNET_LIKE[0], "outputs": 4, "seed": 7}
    x, kernel = operands(problem)

    def loss(k):
        return convolution.conv(x, k, problem["strides"], problem["padding"], lowering).var()

    step = jax.jit(lambda k: k - 0.1 * jax.grad(loss)(k))
    looped = jax.jit(lambda k: jax.lax.fori_loop(0, 3, lambda _, w: step(w), k))(kernel)
    np.testing.assert_allclose(looped, step(step(step(kernel))), rtol=1e-4, atol=1e-5)


def test_a_lowering_that_does_not_exist_is_refused():
    x, kernel = jnp.zeros((1, 5, 5, 4)), jnp.zeros((3, 3, 4, 6))
    with pytest.raises(ValueError, match="lowering = 'fft'"):
        convolution.conv(x, kernel, (1, 1), [(1, 1)] * 2, "fft")


def test_default_lowering():
    assert convolution.default_lowering("cpu") == "split"
    assert convolution.default_lowering("gpu") == convolution.default_lowering("tpu") == "lax"


@mostly_thorough("channels", [1, 3], kept=1)
def test_few_inputs_in_half_precision(channels):
    problem = {"x": (3, 9, 8, channels), "window": (3, 3), "strides": (1, 1), "padding": [(1, 1)] * 2}
    problem |= {"outputs": 8, "seed": 3, "cache": 3000}
    x, kernel = operands(problem, jnp.bfloat16)
    plain = jax.jit(lambda x, kernel: value_and_gradients(problem, "lax", x, kernel))
    expected = plain(x.astype(jnp.float32), kernel.astype(jnp.float32))
    for lowering, found in every_lowering(problem, x, kernel).items():
        for mine, wanted in zip(found, expected, strict=True):
            assert mine.dtype == jnp.bfloat16
            room = 3e-2 * float(jnp.abs(wanted).max())
            np.testing.assert_allclose(np.asarray(mine, np.float32), wanted, atol=room, err_msg=lowering)
