"""Shifted multiply-add is XLA's grouped convolution."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax import lax

from nachos_jax.models.depthwise import depthwise
from tests.tiers import mostly_thorough


@mostly_thorough("size", [(7, 7), (8, 5)], kept=1)
@pytest.mark.parametrize(
    ("side", "stride", "padding"),
    [(3, 1, (1, 1)), (5, 2, (2, 2)), (3, 2, (0, 1)), (4, 1, (2, 1))],
)
def test_equal_to_the_grouped_convolution(size, side, stride, padding):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *size, 6)).astype(np.float32)
    kernel = rng.standard_normal((side, side, 1, 6)).astype(np.float32)
    edges, strides = [padding] * 2, (stride,) * 2

    def theirs(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, strides, edges, dimension_numbers=numbers, feature_group_count=6
        )

    ours = jax.vjp(jax.jit(lambda x, kernel: depthwise(x, kernel, strides, edges, "custom")), x, kernel)
    known = jax.vjp(theirs, x, kernel)
    np.testing.assert_allclose(ours[0], known[0], atol=1e-5)
    gradient = rng.standard_normal(known[0].shape).astype(np.float32)
    for a, b in zip(ours[1](gradient), known[1](gradient), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
