"""Learning rates against Optax and against the formula that Keras documents, with everything traced."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.core.hparams import OPTIMISATION
from nachos_jax.engine.schedule import rate

STEPS = 7  # an epoch
HORIZON = 10.0
PEAKS = (0.3, 0.02, 1e-3)
SCHEDULES = [str(name) for row in OPTIMISATION if row.name == "schedule" for name in row.choices]


STEPWISE = jax.vmap(lambda step, traced: rate(step, jnp.int32(STEPS), HORIZON, traced), (0, None))
LANES = jax.jit(jax.vmap(STEPWISE, (None, 0)))


def rates(schedule: str, steps: np.ndarray, decay: float = 0.0, warmup: float = 0.0) -> np.ndarray:
    """[peaks, steps]: one lane a peak, every hyperparameter traced along the lane axis."""
    lanes = {
        "learning_rate": np.asarray(PEAKS, np.float32),
        "schedule": np.full(len(PEAKS), SCHEDULES.index(schedule), np.float32),
        "decay": np.full(len(PEAKS), decay, np.float32),
        "warmup_epochs": np.full(len(PEAKS), warmup, np.float32),
    }
    return np.asarray(LANES(steps.astype(np.int32), lanes))


def from_optax(schedule: optax.Schedule, steps: np.ndarray) -> np.ndarray:
    """[steps]; Optax does not keep to the strict dtype rules."""
    with jax.numpy_dtype_promotion("standard"):
        return np.asarray([schedule(jnp.int32(step)) for step in steps], np.float32)


WHOLE_RUN = np.arange(0, int(1.3 * HORIZON) * STEPS, 3)


def test_constant_and_cosine_are_those_of_optax():
    cosine = rates("cosine", WHOLE_RUN)
    constant = rates("constant", WHOLE_RUN)
    for lane, peak in enumerate(PEAKS):
        expected = from_optax(optax.cosine_decay_schedule(peak, int(HORIZON) * STEPS), WHOLE_RUN)
        np.testing.assert_allclose(cosine[lane], expected, rtol=1e-5, atol=1e-7 * peak)
        expected = from_optax(optax.constant_schedule(peak), WHOLE_RUN)
        np.testing.assert_allclose(constant[lane], expected, rtol=1e-6)


@pytest.mark.parametrize("epochs", [1.0, 2.5, 20.0])
def test_warm_up_is_the_linear_rise_of_optax_one_step_ahead(epochs):
    """A first step with rate 0 would be lost, so the rise is counted from 1."""
    found = rates("constant", WHOLE_RUN, warmup=epochs)
    for lane, peak in enumerate(PEAKS):
        rise = optax.linear_schedule(0.0, peak, transition_steps=round(epochs * STEPS * 2))
        expected = from_optax(rise, 2 * (WHOLE_RUN + 1))  # half steps, so that 2.5 epochs are whole
        np.testing.assert_allclose(found[lane], expected, rtol=1e-5)


def test_warm_up_multiplies_any_schedule():
    for schedule in SCHEDULES:
        plain = rates(schedule, WHOLE_RUN, decay=0.1)
        rise = np.minimum((WHOLE_RUN + 1) / (3 * STEPS), 1.0)
        np.testing.assert_allclose(
            rates(schedule, WHOLE_RUN, 0.1, 3.0), plain * rise, rtol=1e-5, err_msg=schedule, atol=1e-9
        )


@given(st.floats(0, 10), st.integers(0, 10_000_000))
def test_inverse_time_is_the_formula_of_keras(decay, step):
    found = rates("inverse_time", np.asarray([step]), decay=decay)[:, 0]
    np.testing.assert_allclose(found, np.asarray(PEAKS) / (1.0 + decay * step), rtol=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_starts_at_its_peak_and_an_idle_lane_divides_by_nothing(schedule):
    np.testing.assert_allclose(rates(schedule, np.zeros(1), decay=2.0)[:, 0], PEAKS, rtol=1e-6)
    names = ("learning_rate", "schedule", "decay", "warmup_epochs")
    idle = {name: jnp.float32(0.0) for name in names}
    assert float(rate(jnp.int32(0), jnp.int32(0), HORIZON, idle)) == 0.0
