"""The minimum of convex losses under a ridge, against SciPy and against what is known of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from nachos_jax.engine import quasi_newton

DRAW = np.random.default_rng(5)
X = np.hstack([DRAW.normal(size=(60, 4)), np.ones((60, 1))]).astype(np.float32)
Y = (X[:, :4] @ DRAW.normal(size=4) + DRAW.normal(size=60) > 0).astype(np.float32)
RIDGE = np.asarray([1.0, 1.0, 1.0, 1.0, 0.0], np.float32)
START = jnp.zeros((5, 1))
MINIMISE = jax.jit(quasi_newton.minimise, static_argnums=0)


class Logistic(quasi_newton.Ridge):
    """One function is one compiled program."""

    def __hash__(self) -> int:
        return id(self)


def softplus(outputs):
    return jnp.sum(jax.nn.softplus(outputs[:, 0]) - Y * outputs[:, 0])


def logistic(strength, loss=softplus, scaled=True, cases=X):
    """Penalised logistic loss, in the metric of how it is curved on the mean or in none."""
    ridge = jnp.asarray(strength * RIDGE)
    return Logistic(
        outputs=lambda point: jnp.asarray(cases) @ point,
        slope=lambda residuals: jnp.asarray(cases).T @ residuals,
        loss=loss,
        ridge=ridge[:, None],
        metric=_metric(cases, ridge, loss) if scaled else lambda _, x: x,
    )


def _metric(cases, ridge, loss):
    """The inverse of the curvature, were it the same for all cases."""
    square = jnp.asarray(cases).T @ jnp.asarray(cases)

    def metric(outputs, x):
        mean = jnp.mean(jax.jvp(jax.grad(loss), (outputs,), (jnp.ones_like(outputs),))[1])
        return jnp.linalg.solve(mean * square + jnp.diag(ridge), x)

    return metric


def by_scipy(strength):
    def value(v):
        z = X.astype(float) @ v
        return np.sum(np.logaddexp(0, z) - Y * z) + 0.5 * strength * np.sum(RIDGE * v**2)

    return optimize.minimize(value, np.zeros(5), method="BFGS", options={"gtol": 1e-8}).x


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("strength", [1e-3, pytest.param(1.0, marks=pytest.mark.thorough), 1e3])
def test_it_is_the_minimum_that_scipy_finds(strength, scaled):
    found = MINIMISE(logistic(strength, scaled=scaled), START)
    np.testing.assert_allclose(found.point[:, 0], by_scipy(strength), rtol=2e-3, atol=2e-4)
    assert not found.going
    assert 0 < found.steps < 30


def test_a_quadratic_in_its_own_metric_takes_one_step():
    function = logistic(0.5, loss=lambda z: jnp.sum((z[:, 0] - Y) ** 2) / 8)
    found = MINIMISE(function, START)
    wanted = np.linalg.solve(X.T @ X / 4 + np.diag(0.5 * RIDGE), X.T @ Y / 4)
    np.testing.assert_allclose(found.point[:, 0], wanted, rtol=1e-4, atol=1e-5)
    assert found.steps <= 2


@pytest.mark.thorough
def test_from_the_minimum_nothing_changes_by_a_bit():
    function = logistic(0.1)
    first = MINIMISE(function, START)
    again = MINIMISE(function, first.point, first.going)
    np.testing.assert_array_equal(first.point, again.point)
    assert (int(again.steps), bool(again.going)) == (0, False)


@pytest.mark.thorough
def test_what_ends_before_the_minimum_is_told(monkeypatch):
    monkeypatch.setattr(quasi_newton, "STEPS", 2)
    assert MINIMISE(logistic(1e-3), START).going
    assert not MINIMISE(logistic(1e5), START).going, "two steps are enough under such a penalty"


def test_what_is_not_a_number_stops_where_it_began():
    found = MINIMISE(logistic(1.0, loss=lambda z: jnp.sum(z) * jnp.nan), START)
    assert int(found.steps) == 0
    np.testing.assert_array_equal(found.point, START)


@pytest.mark.thorough
def test_lanes_do_not_see_each_other():
    def solve(strength):
        return quasi_newton.minimise(logistic(strength), START).point

    strengths, lanes = jnp.asarray([1e-2, 1.0, 1e2]), jax.jit(jax.vmap(solve))
    together, beside_nan = lanes(strengths), lanes(strengths.at[1].set(jnp.nan))
    for k in (0, 2):
        np.testing.assert_array_equal(together[k], beside_nan[k])
