"""The minimum of convex functions, against SciPy and against what is known of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from nachos_jax.engine import newton

DRAW = np.random.default_rng(5)
X = DRAW.normal(size=(60, 4)).astype(np.float32)
Y = (X @ DRAW.normal(size=4) + DRAW.normal(size=60) > 0).astype(np.float32)


def logistic(strength):
    """Penalised logistic loss of a tree of weights and intercept."""

    def value(point):
        z = X @ point["w"] + point["b"]
        return jnp.mean(jax.nn.softplus(z) - Y * z) + strength * jnp.sum(point["w"] ** 2)

    return value


ZERO = {"w": jnp.zeros(4), "b": jnp.float32(0.0)}
minimise = jax.jit(newton.minimise, static_argnums=0)


@pytest.mark.parametrize("strength", [1e-5, 1e-2, 10.0])
def test_it_is_the_minimum_that_scipy_finds(strength):
    found = minimise(logistic(strength), ZERO)

    def plain(v):
        z = X.astype(float) @ v[:4] + v[4]
        return np.mean(np.logaddexp(0, z) - Y * z) + strength * np.sum(v[:4] ** 2)

    wanted = optimize.minimize(plain, np.zeros(5), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(found.point["w"], wanted.x[:4], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.point["b"], wanted.x[4], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.value, wanted.fun, rtol=1e-6)
    assert not found.going
    assert found.steps < 20


def test_from_the_minimum_nothing_changes_by_a_bit():
    objective = logistic(1e-3)
    first = minimise(objective, ZERO)
    again = minimise(objective, first.point, first.going)
    for a, b in zip(jax.tree.leaves(first.point), jax.tree.leaves(again.point), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_quadratic_takes_a_few_steps_and_a_far_start_is_no_matter():
    scales = jnp.asarray([1e-2, 1.0, 1e2])
    found = jax.jit(lambda x: newton.minimise(lambda y: jnp.sum(scales * (y - 3.0) ** 2), x))(
        jnp.full(3, 1e3)
    )
    np.testing.assert_allclose(found.point, 3.0, rtol=1e-3)


def test_what_is_not_a_number_stops_at_once():
    found = jax.jit(lambda x: newton.minimise(lambda y: jnp.sum(y) * jnp.nan, x))(jnp.ones(2))
    assert int(found.steps) == 0
    np.testing.assert_array_equal(found.point, 1.0)


def test_lanes_do_not_see_each_other():
    strengths = jnp.asarray([1e-4, 1e-2, 1.0])

    def solve(strength):
        return newton.minimise(logistic(strength), ZERO).point

    lanes = jax.jit(jax.vmap(solve))
    together = lanes(strengths)
    beside_nan = lanes(strengths.at[1].set(jnp.nan))
    for k in (0, 2):
        np.testing.assert_array_equal(together["w"][k], beside_nan["w"][k])
