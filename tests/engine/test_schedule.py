"""Learning rates against Optax and against the formula that Keras documents, with everything traced."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.core.hparams import OPTIMISATION
from nachos_jax.engine.schedule import fallen_to, rate

STEPS = 7  # an epoch
HORIZON = 10.0
PEAKS = (0.3, 0.02, 1e-3)
SCHEDULES = [str(name) for row in OPTIMISATION if row.name == "schedule" for name in row.choices]


STEPWISE = jax.vmap(
    lambda step, traced, fallen: rate(step, jnp.int32(STEPS), HORIZON, traced, fallen), (0, None, None)
)
LANES = jax.jit(jax.vmap(STEPWISE, (None, 0, None)))


def rates(
    schedule: str, steps: np.ndarray, decay: float = 0.0, warmup: float = 0.0, fallen: float = 1.0
) -> np.ndarray:
    """[peaks, steps]: one lane a peak, every hyperparameter traced along the lane axis."""
    lanes = {
        "poly_power": np.full(len(PEAKS), 0.9, np.float32),
        "learning_rate": np.asarray(PEAKS, np.float32),
        "schedule": np.full(len(PEAKS), SCHEDULES.index(schedule), np.float32),
        "decay": np.full(len(PEAKS), decay, np.float32),
        "warmup_epochs": np.full(len(PEAKS), warmup, np.float32),
    }
    return np.asarray(LANES(steps.astype(np.int32), lanes, np.float32(fallen)))


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
    names = ("learning_rate", "schedule", "decay", "poly_power", "warmup_epochs")
    idle = {name: jnp.float32(0.0) for name in names}
    assert float(rate(jnp.int32(0), jnp.int32(0), HORIZON, idle, jnp.float32(1.0))) == 0.0


@pytest.mark.thorough
def test_poly_is_that_of_pytorch():
    import torch  # late: it takes seconds

    found = rates("poly", np.arange(int(1.3 * HORIZON) * STEPS))
    for lane, peak in enumerate(PEAKS):
        rule = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
        schedule = torch.optim.lr_scheduler.PolynomialLR(rule, int(HORIZON) * STEPS, power=0.9)
        for step, ours in enumerate(found[lane]):
            np.testing.assert_allclose(ours, rule.param_groups[0]["lr"], rtol=1e-4, atol=1e-6 * peak)
            rule.step()
            schedule.step()
            assert ours == 0 or step < HORIZON * STEPS


def test_the_plateau_schedule_alone_follows_its_factor():
    assert (
        rates("plateau", WHOLE_RUN, fallen=0.04) == np.float32(0.04) * np.asarray([PEAKS], np.float32).T
    ).all()
    for schedule in set(SCHEDULES) - {"plateau"}:
        same = rates(schedule, WHOLE_RUN, fallen=0.04) == rates(schedule, WHOLE_RUN, fallen=1.0)
        assert same.all(), schedule


@settings(max_examples=60)
@given(st.lists(st.floats(0, 2), max_size=40), st.floats(0.1, 0.9), st.integers(0, 6))
def test_a_plateau_is_what_pytorch_calls_one_of_the_smoothed_training_loss(losses, factor, patience):
    import torch  # late: it takes seconds

    class Rate(torch.optim.Optimizer):
        def __init__(self):  # that of PyTorch imports its compiler, which takes seconds
            self.param_groups = [{"lr": 1.0}]

    rule = Rate()
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        rule, factor=factor, patience=patience, threshold=1e-3, threshold_mode="abs", eps=0.0
    )
    smooth = None
    for done in range(len(losses) + 1):
        found = fallen_to(losses[:done], factor, patience)
        np.testing.assert_allclose(found, rule.param_groups[0]["lr"], rtol=1e-6)
        if done < len(losses):
            smooth = losses[done] if smooth is None else 0.93 * smooth + (1.0 - 0.93) * losses[done]
            schedule.step(smooth)


def test_a_loss_that_stands_still_costs_a_factor_after_each_wait():
    assert [fallen_to([1.0] * n, 0.5, 2) for n in range(9)] == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
