"""What a lane is told, against NumPy and scikit-learn over the training cases alone."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.utils.class_weight import compute_class_weight

from nachos_jax.configs import base
from nachos_jax.core import rng
from nachos_jax.core.hparams import Hyperparameter
from nachos_jax.data.store import Dense
from nachos_jax.data.sums import pixel_sums
from nachos_jax.engine.inputs import InputMaker, traced, traced_names
from nachos_jax.engine.windows import divide
from nachos_jax.splits.folds import Folds
from nachos_jax.tasks.classification import TASK
from tests import tiny
from tests.inputs import dense

TABLE = base.table()
SCHEDULE = next(row for row in TABLE if row.name == "schedule")
PAIRS = [(), (0,), (1, 3), (0, 2)]
ROOM = 60


@pytest.fixture(scope="module")
def run():
    return tiny.run_config()


def maker(images: np.ndarray | None = None) -> InputMaker:
    cohort = tiny.cohort("float32")
    cohort = cohort if images is None else dataclasses.replace(cohort, store=Dense(images))
    return InputMaker(
        TASK,
        cohort,
        tiny.folds(cohort),
        divide(len(cohort.table), 10**6, 0),
        cohort.store.sums(),
        ROOM,
        TABLE,
    )


def keep(made: InputMaker, left_out: tuple[int, ...]) -> np.ndarray:
    assert made.cohort.table.folds is not None
    return ~np.isin(made.cohort.table.folds, left_out)


@pytest.mark.parametrize("left_out", PAIRS)
def test_pixels_are_normalised_by_the_training_cases(run, left_out):
    made = maker()
    told = made.make(tiny.fit(run, left_out), 16)
    pixels = dense(made.cohort)[keep(made, left_out)].astype(np.float64)
    np.testing.assert_allclose(told.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(told.sd, pixels.std(axis=(0, 1, 2)), rtol=1e-6)
    assert told.mean.dtype == told.sd.dtype == np.float32
    np.testing.assert_array_equal(told.training, keep(made, left_out))


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int16, np.float16, np.float32]),
        st.tuples(st.integers(2, 9), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 3])),
        elements={"min_value": 0, "max_value": 200},
    ),
    st.integers(1, 4),
    st.data(),
)
def test_sums_read_in_blocks_give_the_moments_of_any_choice(images, block, data):
    chosen = np.asarray(data.draw(st.lists(st.booleans(), min_size=len(images), max_size=len(images))))
    chosen[data.draw(st.integers(0, len(images) - 1))] = True
    mean, sd = pixel_sums(images, block).mean_sd(chosen)
    pixels = images[chosen].astype(np.float64)
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-5, atol=1e-6)
    expected = pixels.std(axis=(0, 1, 2))
    flat = expected <= 1e-6 * np.maximum(np.abs(pixels.mean(axis=(0, 1, 2))), 1e-6)
    np.testing.assert_allclose(sd[~flat], expected[~flat], rtol=1e-3)


def test_a_channel_that_never_varies_is_divided_by_one():
    images = np.full((4, 2, 2, 3), (7, 0, 250), np.uint8)
    mean, sd = pixel_sums(images).mean_sd(np.ones(4, bool))
    assert mean.tolist() == [7, 0, 250]
    assert sd.tolist() == [1, 1, 1]


@pytest.mark.parametrize("left_out", PAIRS[1:])
def test_nothing_of_a_case_left_out_reaches_the_input(run, left_out):
    clean = maker()
    images = np.array(dense(clean.cohort))
    images[~keep(clean, left_out)] = np.nan
    fit = tiny.fit(run, left_out, class_weight_exponent=1.0)
    ours, theirs = clean.make(fit, 16), maker(images).make(fit, 16)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("left_out", PAIRS)
def test_class_weights_are_those_of_scikit_learn(run, left_out):
    made = maker()
    rare = np.where(np.arange(tiny.CASES) % 4 == 1, 2, made.cohort.targets.values // 2)
    targets = dataclasses.replace(made.cohort.targets, values=rare.astype(np.int32))
    made = dataclasses.replace(made, cohort=dataclasses.replace(made.cohort, targets=targets))
    labels = rare[keep(made, left_out)]
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced.max() > 1.2
    for exponent in (0.0, 0.5, 1.0, 2.0):
        told = made.make(tiny.fit(run, left_out, class_weight_exponent=exponent), 16)
        np.testing.assert_allclose(told.task["class_weights"], balanced**exponent, rtol=1e-6)
        assert told.task["class_weights"].dtype == np.float32


@pytest.mark.parametrize(
    ("left_out", "batch", "steps"), [((), 16, 6), ((0,), 16, 4), ((0, 1), 7, 6), ((1,), 72, 1)]
)
def test_an_epoch_has_as_many_steps_as_whole_batches(run, left_out, batch, steps):
    told = maker().make(tiny.fit(run, left_out, batch_size=batch), batch)
    assert (int(told.steps), told.steps.dtype) == (steps, np.int32)


@pytest.mark.parametrize("left_out", [*PAIRS, (3, 1)])
def test_held_cases_stand_fold_after_fold_in_table_order(run, left_out):
    made = maker()
    told = made.make(tiny.fit(run, left_out), 16)
    folds = made.cohort.table.folds
    assert folds is not None
    wanted = [case for fold in left_out for case in range(tiny.CASES) if folds[case] == fold]
    assert told.held.shape == (ROOM,)
    assert told.held[: int(told.n_held)].tolist() == wanted
    assert int(told.n_held) == len(wanted)
    assert not told.held[len(wanted) :].any()
    held, n_held = made.held(left_out)
    assert held[:n_held].tolist() == wanted
    assert made.places(left_out) == {
        fold: slice(wanted.index(rows[0]), wanted.index(rows[-1]) + 1)
        for fold, rows in ((fold, np.flatnonzero(folds == fold).tolist()) for fold in left_out)
    }


def test_a_fold_of_a_later_repeat_is_held_by_its_global_number(run):
    cohort = tiny.cohort()
    assert cohort.table.folds is not None
    again = (tiny.FOLDS - 1 - cohort.table.folds) + tiny.FOLDS
    folds = Folds(np.stack([cohort.table.folds, again]), tiny.FOLDS, 2)
    windows = divide(len(cohort.table), 10**6, 0)
    made = InputMaker(TASK, cohort, folds, windows, cohort.store.sums(), ROOM, TABLE)
    told = made.make(tiny.fit(run, (4, 6)), 16)
    np.testing.assert_array_equal(told.training, ~np.isin(again, (4, 6)))
    assert set(again[told.held[: int(told.n_held)]]) == {4, 6}


def test_traced_values_ride_as_float32_and_inactive_ones_as_zero(run):
    values = traced(
        tiny.fit(run, optimizer="adam", schedule="cosine", learning_rate=0.25, dropout=0.5), TABLE
    )
    assert tuple(values) == traced_names(TABLE)
    assert {type(value) for value in values.values()} == {np.float32}
    assert values["momentum"] == values["nesterov"] == values["decay"] == values["decoupled"] == 0
    assert (values["learning_rate"], values["dropout"], values["beta1"]) == (0.25, 0.5, np.float32(0.9))
    assert SCHEDULE.choices[int(values["schedule"])] == "cosine"
    assert traced(tiny.fit(run, optimizer="adamw"), TABLE)["decoupled"] == 1
    assert traced(tiny.fit(run, optimizer="sgd", nesterov=True), TABLE)["nesterov"] == 1


def test_every_hyperparameter_reaches_the_lane_or_its_bucket():
    """One that is neither traced nor static would be silently ignored."""
    assert set(traced_names(TABLE)) - {"decoupled"} == {row.name for row in TABLE if not row.static}


def test_a_choice_that_rides_is_told_by_its_place():
    of_engine = ("constant", "inverse_time", "cosine", "poly", "plateau")
    assert SCHEDULE.choices == of_engine, "the order of engine/schedule.py"


def test_what_a_fit_leaves_out_because_it_is_absent_rides_all_the_same(run):
    """Rows of architectures and tasks ride as those of training do."""
    rows = (
        Hyperparameter("cnn.rate", "float", 0.0, 9.0, when=("architecture", ("cnn",)), absent=0.5),
        Hyperparameter("resnet.rate", "float", 0.0, 9.0, when=("architecture", ("resnet",)), absent=0.5),
        Hyperparameter("regression.loss", "choice", choices=("l1", "l2"), tasks=("regression",), absent="l2"),
    )
    values = traced(tiny.fit(run), (*TABLE, *rows))
    assert (values["cnn.rate"], values["resnet.rate"], values["regression.loss"]) == (0.5, 0, 1)


def test_an_idle_lane_is_told_to_do_nothing_in_the_same_shapes(run):
    made = maker()
    idle, busy = made.idle(), made.make(tiny.fit(run), 16)
    assert int(idle.steps) == int(idle.n_held) == 0
    assert not idle.training.any()
    assert np.all(idle.sd > 0)
    shapes = [jax.tree.map(lambda leaf: (np.shape(leaf), leaf.dtype), told) for told in (idle, busy)]
    assert shapes[0] == shapes[1]
    np.testing.assert_array_equal(busy.streams, rng.streams(tiny.fit(run)))
