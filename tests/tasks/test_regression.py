"""The regression task against PyTorch and NumPy."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nachos_jax.core.errors import UsageError
from nachos_jax.data.targets import Targets
from nachos_jax.metrics.regression import METRICS, evaluate
from nachos_jax.splits.strata import Strata
from nachos_jax.tasks.regression import TASK, NumberDevice, quantile_groups
from nachos_jax.tasks.task import Told
from tests.tasks.columns import columns

OUTPUTS = hnp.arrays(np.float32, (12, 1), elements=st.floats(-4, 4, width=32))
VALUES = hnp.arrays(np.float32, 12, elements=st.floats(-100, 100, width=32))
MEAN, SD = 12.0, 30.0
TORCH = {"squared": "MSELoss", "absolute": "L1Loss", "huber": "HuberLoss"}


def told(mean: float = MEAN, sd: float = SD) -> Told:
    return Told(None, None, {"target_mean": jnp.float32(mean), "target_sd": jnp.float32(sd)}, {})


def targets(values) -> Targets:
    values = np.asarray(values, np.float64)
    return Targets("regression", ("age",), values, quantile_groups(values), np.zeros((len(values), 0), bool))


@jax.jit
def losses(outputs, values):
    """Of every kind, with gradients."""
    return {kind: jax.value_and_grad(NumberDevice(kind).loss)(outputs, values, told()) for kind in TORCH}


# --- on the device -----------------------------------------------------------------------------------


@settings(max_examples=30)
@given(OUTPUTS, VALUES)
def test_losses_and_gradients_are_those_of_pytorch(outputs, values):
    import torch  # late: it takes seconds

    wanted = torch.tensor((values.astype(np.float64) - MEAN) / SD, dtype=torch.float32)
    for kind, (loss, slope) in losses(outputs, values).items():
        theirs = torch.tensor(outputs, requires_grad=True)
        expected = getattr(torch.nn, TORCH[kind])()(theirs[:, 0], wanted)
        expected.backward()
        assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-4, abs=1e-6)
        if kind != "absolute":  # at a corner either slope is right
            assert theirs.grad is not None
            np.testing.assert_allclose(slope, theirs.grad.numpy(), rtol=1e-3, atol=1e-6)


@settings(max_examples=30)
@given(OUTPUTS)
def test_predictions_are_in_the_unit_of_the_target(outputs):
    found = NumberDevice("squared").readout(jnp.asarray(outputs), told())
    assert found.shape == (12, 1)
    np.testing.assert_allclose(found, outputs.astype(np.float64) * SD + MEAN, rtol=1e-5, atol=1e-4)


def test_the_target_itself_read_out_has_no_loss():
    values = jnp.asarray([1.0, 50.0, -20.0])
    outputs = ((values - MEAN) / SD)[:, None]
    for kind in TORCH:
        device = TASK.device(("age",), {"regression.loss": kind})
        assert device == NumberDevice(kind)
        assert (device.outputs, device.seen) == (1, 1)
        assert float(device.loss(outputs, values, told())) == 0
        np.testing.assert_allclose(device.readout(outputs, told())[:, 0], values, rtol=1e-5)
    assert TASK.device(("age",), {}) == NumberDevice("squared")


# --- what a fit is told ------------------------------------------------------------------------------


@given(
    hnp.arrays(np.float64, 9, elements=st.floats(-1e3, 1e3)), st.lists(st.booleans(), min_size=9, max_size=9)
)
def test_mean_and_sd_are_those_of_the_training_cases_alone(values, chosen):
    training = np.asarray(chosen)
    found = TASK.told(targets(values), training, {})
    other = TASK.told(targets(np.where(training, values, values + 1e6)), training, {})
    assert found == other
    assert all(value.dtype == np.float32 for value in found.values())
    assert set(found) == set(TASK.kept({}))
    if training.any():
        assert found["target_mean"] == pytest.approx(values[training].mean(), rel=1e-6, abs=1e-6)
    if training.any() and np.ptp(values[training]) > 1e-3:
        assert found["target_sd"] == pytest.approx(values[training].std(), rel=1e-5)
    assert found["target_sd"] >= 0


def test_training_targets_that_do_not_vary_divide_by_one():
    for training in (np.array([True, True, False]), np.zeros(3, bool)):
        found = TASK.told(targets([5.0, 5.0, 7.0]), training, {})
        assert found == {"target_mean": 5.0 if training.any() else 0.0, "target_sd": 1.0}


# --- strata ------------------------------------------------------------------------------------------


@given(hnp.arrays(np.float64, st.integers(5, 60), elements=st.floats(-10, 10)))
def test_groups_follow_the_order_and_keep_ties_together(values):
    strata = quantile_groups(values)
    assert isinstance(strata, Strata)
    assert not strata.needed
    assert strata.numbers.dtype == np.int32
    assert set(strata.numbers.tolist()) == set(range(len(strata.names)))
    assert len(strata.names) <= 5
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(strata.numbers[order]) >= 0)
    assert len({(value, number) for value, number in zip(values, strata.numbers, strict=True)}) == len(
        set(values)
    )


@given(st.integers(10, 80), st.integers(0, 99))
def test_groups_of_different_numbers_are_about_equal(count, seed):
    strata = quantile_groups(np.random.default_rng(seed).permutation(count) * 0.1)
    sizes = np.bincount(strata.numbers)
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 2, "one more where an edge is a value, rounded"


def test_few_values_make_few_groups():
    assert quantile_groups(np.repeat([1.0, 2.0], 10)).names == (
        "group 1 of 2 by value",
        "group 2 of 2 by value",
    )
    assert quantile_groups(np.array([0.0] * 95 + [1.0] * 5)).numbers.max() <= 1


# --- targets -----------------------------------------------------------------------------------------


def test_targets_of_a_column():
    found = TASK.targets(columns({"age": ["1.5", "-2", "1e3", "0.1"]}), ())
    assert found.values.tolist() == [1.5, -2.0, 1000.0, 0.1]
    assert (found.task, found.names, found.has.shape) == ("regression", ("age",), (4, 0))
    assert found.texts() == ["1.5", "-2", "1000", "0.1"]
    assert found.counts() == {}
    assert found.on_device.dtype == np.float32
    assert found.facts["targets"] == found.values.tolist()


def test_underscores_in_numbers_are_doubtful():
    """What has begun goes on with what it read (`nachos_jax.protocol.run.doubts`)."""
    found = TASK.targets(columns({"age": ["1.5", "12_5", "3_0"]}), ())
    assert found.values.tolist() == [1.5, 125.0, 30.0]
    (told,) = found.doubts
    assert told.startswith("x.csv row 1: age '12_5' is read as 125, and 1 more likewise: write numbers with")
    assert TASK.targets(columns({"age": ["1.5", "12.5"]}), ()).doubts == ()


@pytest.mark.parametrize(
    ("cells", "names", "message"),
    [
        ({"age": ["1", "", "3"]}, (), "x.csv row 1: age '' is no finite number"),
        ({"age": ["1", "2", "nan"]}, (), "x.csv row 2: age 'nan' is no finite number"),
        ({"age": ["inf", "2", "3"]}, (), "x.csv row 0: age 'inf'"),
        ({"age": ["1", "2,5", "3"]}, (), "x.csv row 1: age '2,5'.*decimal point"),
        ({"age": ["4", "4.0", "4"]}, (), "'age' is 4 for all cases; there is nothing to predict"),
        ({"age": ["1"], "size": ["2"]}, (), "2 targets a case .'age', 'size'.*config.data.label_key"),
        ({"age": ["1", "2"]}, ("a", "b"), "config.data.classes = .*leave the field empty"),
    ],
)
def test_targets_that_are_none_are_refused(cells, names, message):
    with pytest.raises(UsageError, match=message):
        TASK.targets(columns(cells), names)


# --- on the host -------------------------------------------------------------------------------------


def test_watched_is_the_squared_error_and_the_metric_turned():
    truth, seen = np.array([1.0, 4.0, 2.0, 8.0]), np.array([[1.5], [3.0], [2.0], [6.0]], np.float32)
    for name, metric in METRICS.items():
        loss, score = TASK.watched(name, seen, targets(truth))
        assert loss == pytest.approx(np.mean((seen[:, 0] - truth) ** 2))
        value = evaluate(name, truth, seen[:, 0].astype(np.float64), ("age",)).value
        assert score == pytest.approx(metric.turned(value))
        assert score is not None
        _, worse = TASK.watched(name, seen[::-1], targets(truth))
        assert worse is not None
        assert worse < score, name


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_watched_loss_is_nan_when_any_prediction_is_no_number(broken):
    seen = np.array([[1.0], [broken], [2.0]], np.float32)
    assert math.isnan(TASK.watched("mae", seen, targets([1.0, 2.0, 3.0]))[0])


def test_metrics_that_no_prediction_could_define_are_told():
    for name in METRICS:
        assert TASK.undefined(name, targets([1.0, 2.0, 4.0, 7.0])) == "", name
    assert TASK.undefined("r2", targets([2.0, 2.0, 2.0]))
    assert not TASK.undefined("mae", targets([2.0, 2.0, 2.0]))


def test_what_is_recorded_and_what_people_see():
    seen = np.array([[1.25], [np.nan]], np.float32)
    tested = TASK.tested(seen, targets([1.0, 2.0]))
    assert {name: array.shape for name, array in tested.arrays.items()} == {
        "targets": (2,),
        "predictions": (2,),
    }
    np.testing.assert_array_equal(tested.arrays["predictions"], [1.25, np.nan])
    assert TASK.table(TASK.predicted(seen[:1]), ("age",)) == (["predicted"], [["1.25"]])


# --- two losses in one unit ------------------------------------------------------------------------------


@settings(max_examples=30)
@given(OUTPUTS, VALUES)
def test_the_squared_loss_of_training_is_the_watched_one_in_sds(outputs, values):
    of = targets(values)
    known = TASK.told(of, np.ones(12, bool), {})
    fit = Told(None, None, {name: jnp.asarray(value) for name, value in known.items()}, {})
    device = NumberDevice("squared")
    trained = float(device.loss(jnp.asarray(outputs), jnp.asarray(values), fit))
    watched, _ = TASK.watched("mae", np.asarray(device.readout(jnp.asarray(outputs), fit)), of)
    unit = TASK.watched_unit(of, np.ones(12, bool), {})
    assert unit is not None
    assert unit * trained == pytest.approx(watched, rel=1e-3, abs=1e-5 * max(1.0, float(np.ptp(values)) ** 2))


@pytest.mark.parametrize("kind", ["absolute", "huber"])
def test_other_losses_have_no_unit_of_squared_errors(kind):
    of = targets([1.0, 2.0, 4.0])
    assert TASK.watched_unit(of, np.ones(3, bool), {"regression.loss": kind}) is None
