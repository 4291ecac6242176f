"""The metric is the inverse that it says, in both forms, and finite where there is none."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nachos_jax.engine import curvature

DRAW = np.random.default_rng(2)


def parts(cases, size):
    x = DRAW.normal(size=(cases, size)) @ DRAW.normal(size=(size, size)) / np.sqrt(size)
    bound = DRAW.uniform(0, 0.5, cases) * (DRAW.random(cases) < 0.7)
    return jnp.asarray(x, jnp.float32), jnp.asarray(bound, jnp.float32)


@pytest.mark.parametrize(("cases", "size"), [(90, 20), (20, 90), (50, 50)])
@pytest.mark.parametrize("ridge", [0.1, 100.0])
def test_it_is_the_inverse_in_both_forms(cases, size, ridge):
    x, bound = parts(cases, size)
    given = jnp.asarray(DRAW.normal(size=(size, 3)), jnp.float32)
    found = jax.jit(lambda x, b, g: curvature.metric(x, b, jnp.full(size, ridge))(g))(x, bound, given)
    square = np.asarray(x, float).T * np.asarray(bound, float) @ np.asarray(x, float) + ridge * np.eye(size)
    wanted = np.linalg.solve(square, np.asarray(given, float))
    assert np.abs(found - wanted).max() < 2e-3 * np.abs(wanted).max()


@pytest.mark.thorough
@pytest.mark.parametrize(("cases", "size"), [(60, 30), (20, 40)])
def test_columns_that_repeat_each_other_leave_it_finite_and_positive(cases, size):
    x, bound = parts(cases, size)
    twice = jnp.concatenate([x, x, jnp.zeros((cases, 1))], axis=1)
    apply = curvature.metric(twice, bound, jnp.zeros(2 * size + 1))
    given = jnp.asarray(DRAW.normal(size=(2 * size + 1, 2)), jnp.float32)
    found = apply(given)
    assert jnp.isfinite(found).all()
    assert jnp.sum(found * given) > 0


def test_too_wide_a_matrix_is_not_factorised(monkeypatch):
    monkeypatch.setattr(curvature, "WIDEST", 10)
    x, bound = parts(30, 20)
    unit = curvature.metric(x, bound, jnp.full(20, 0.5))(jnp.eye(20))
    wanted = 1 / (jnp.sum(x**2 * bound[:, None], axis=0) + 0.5)
    np.testing.assert_allclose(unit, jnp.diag(wanted), rtol=1e-5)
