"""The multilabel task against PyTorch and NumPy."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit

from nachos_jax.core.errors import UsageError
from nachos_jax.data.targets import Targets
from nachos_jax.metrics.multilabel import METRICS, evaluate
from nachos_jax.tasks.multilabel import TASK, LabelsDevice, rarest_label
from nachos_jax.tasks.task import Told
from tests.tasks.columns import columns

NAMES = ("mass", "oedema", "hernia")
NAN = float("nan")
LOGITS = hnp.arrays(np.float32, (8, 3), elements=st.floats(-30, 30, width=32))
TRUTHS = hnp.arrays(np.float32, (8, 3), elements=st.sampled_from([0.0, 1.0, NAN]))
WEIGHTS = hnp.arrays(np.float32, (3, 2), elements=st.floats(0.125, 4, width=32))
ONES = np.ones((3, 2), np.float32)


def told(weights, smoothing) -> Told:
    return Told(None, None, {"weights": weights}, {"label_smoothing": smoothing})


@jax.jit
def loss(logits, truth, weights, smoothing):
    """And its gradient."""
    return jax.value_and_grad(LabelsDevice(3).loss)(logits, truth, told(weights, smoothing))


def targets(values) -> Targets:
    values = np.asarray(values, np.float32)
    return Targets("multilabel", NAMES, values, rarest_label(values, NAMES), values == 1, "label")


# --- on the device -----------------------------------------------------------------------------------


@settings(max_examples=50)
@given(LOGITS, TRUTHS, WEIGHTS)
def test_weighted_loss_is_that_of_pytorch_on_the_known_labels(logits, truth, weights):
    import torch  # late: it takes seconds

    value, slope = loss(logits, truth, weights, np.float32(0.0))
    known = ~np.isnan(truth)
    there = np.where(known, truth, 0).astype(int)
    of_cell = torch.tensor(weights[np.arange(3)[None], there])
    theirs = torch.tensor(logits, requires_grad=True)
    each = torch.nn.BCEWithLogitsLoss(reduction="none")(theirs, torch.tensor(there, dtype=torch.float32))
    total = (each * of_cell)[torch.tensor(known)].sum()
    expected = total / of_cell[torch.tensor(known)].sum() if known.any() else total
    expected.backward()
    assert float(value) == pytest.approx(float(expected.detach()), rel=1e-4, abs=1e-5)
    assert theirs.grad is not None
    np.testing.assert_allclose(slope, theirs.grad.numpy(), rtol=1e-3, atol=1e-6)
    assert np.isfinite(slope).all()
    assert np.all(np.asarray(slope)[~known] == 0)


@settings(max_examples=50)
@given(
    LOGITS, hnp.arrays(np.float32, (8, 3), elements=st.sampled_from([0.0, 1.0])), st.floats(0, 0.5, width=32)
)
def test_unweighted_loss_is_plain_and_smoothing_moves_the_targets(logits, truth, smoothing):
    import torch  # late: it takes seconds

    wanted = torch.tensor(truth * (1 - smoothing) + smoothing / 2)
    expected = float(torch.nn.BCEWithLogitsLoss()(torch.tensor(logits), wanted))
    assert float(loss(logits, truth, ONES, np.float32(smoothing))[0]) == pytest.approx(
        expected, rel=1e-4, abs=1e-5
    )


def test_a_batch_that_knows_nothing_has_no_loss_and_no_gradient():
    value, slope = loss(
        np.full((8, 3), 9, np.float32), np.full((8, 3), NAN, np.float32), ONES, np.float32(0.1)
    )
    assert float(value) == 0
    assert not np.any(slope)


def test_far_logits_neither_overflow_nor_lose_the_loss():
    far = np.full((8, 3), 1e4, np.float32)
    value, slope = loss(far, np.zeros((8, 3), np.float32), ONES, np.float32(0.0))
    assert float(value) == pytest.approx(1e4)
    assert np.isfinite(slope).all()


def test_sizes():
    device = TASK.device(NAMES, {})
    assert (device, device.outputs, device.seen) == (LabelsDevice(3), 3, 3)


# --- what a fit is told ------------------------------------------------------------------------------


@given(
    hnp.arrays(np.float32, (12, 3), elements=st.sampled_from([0.0, 1.0, NAN])),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_weights_are_those_of_the_known_training_labels(values, exponent):
    training = np.arange(12) % 3 > 0
    hparams = {"class_weight_exponent": exponent}
    found = TASK.told(targets(values), training, hparams)["weights"]
    assert (found.shape, found.dtype) == ((3, 2), np.float32)
    for label, column in enumerate(values[training].T):
        for state in (0, 1):
            count = (column == state).sum()
            balanced = (~np.isnan(column)).sum() / (2 * count) if count else 1.0
            assert found[label, state] == pytest.approx(balanced**exponent, rel=1e-6)
    other = np.where(training[:, None], values, 1 - np.nan_to_num(values))
    np.testing.assert_array_equal(TASK.told(targets(other), training, hparams)["weights"], found)


# --- strata ------------------------------------------------------------------------------------------


def test_the_rarest_label_of_a_case_is_its_stratum():
    values = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0], [NAN, 0, NAN], [1, 1, NAN]], np.float32)
    strata = rarest_label(values, NAMES)
    assert [strata.names[number] for number in strata.numbers] == [
        "oedema", "mass", "hernia", "none", "none", "oedema",
    ]  # fmt: skip
    assert strata.names == ("hernia", "oedema", "mass", "none"), "the rarest first"
    assert not strata.needed


@given(TRUTHS)
def test_strata_agree_with_a_plain_loop(values):
    strata = rarest_label(values, NAMES)
    assert set(strata.numbers.tolist()) == set(range(len(strata.names)))
    counts = (values == 1).sum(axis=0)
    for row, number in zip(values, strata.numbers, strict=True):
        present = np.flatnonzero(row == 1)
        name = strata.names[number]
        if len(present):
            assert counts[NAMES.index(name)] == counts[present].min()
            assert row[NAMES.index(name)] == 1
        else:
            assert name == "none"


# --- targets -----------------------------------------------------------------------------------------

CELLS = {
    "mass": ["1", "0", "True", "", "0.0"],
    "oedema": ["0", "1.0", "nan", "FALSE", "1"],
    "hernia": ["1", "1", "0", "None", "NaN"],
}


def test_cells_are_there_not_there_or_unknown():
    found = TASK.targets(columns(CELLS), ())
    wanted = [[1, 0, 1], [0, 1, 1], [1, NAN, 0], [NAN, 0, NAN], [0, 1, NAN]]
    np.testing.assert_array_equal(found.values, np.asarray(wanted, np.float32))
    assert (found.names, found.noun) == (NAMES, "label")
    assert found.counts() == {"mass": 2, "oedema": 2, "hernia": 2}
    assert found.texts() == [
        "mass; hernia",
        "oedema; hernia",
        "mass; oedema?",
        "mass?; hernia?",
        "oedema; hernia?",
    ]
    assert found.facts["targets"] == [[1, 0, 1], [0, 1, 1], [1, None, 0], [None, 0, None], [0, 1, None]]
    assert len(found.of(np.array([2, 0]))) == 2
    np.testing.assert_array_equal(found.of(np.array([2, 0])).values, found.values[[2, 0]])


def test_labels_are_taken_in_the_order_asked_for():
    found = TASK.targets(columns(CELLS), ("hernia", "mass"))
    assert found.names == ("hernia", "mass")
    np.testing.assert_array_equal(found.values, TASK.targets(columns(CELLS), ()).values[:, [2, 0]])


@pytest.mark.parametrize(
    ("cells", "names", "message"),
    [
        ({**CELLS, "mass": ["1", "0", "2", "0", "0"]}, (), "x.csv row 2: label mass is '2'; write 1 where"),
        ({**CELLS, "mass": ["1", "0", "0", "yes", "0"]}, (), "x.csv row 3: label mass is 'yes'"),
        (
            {**CELLS, "mass": ["0", "0", "", "0", "0"]},
            (),
            "label 'mass' is 0 for all cases that know it; leave it out",
        ),
        ({**CELLS, "mass": [""] * 5}, (), "label 'mass' is known of no case; leave it out"),
        ({"mass": CELLS["mass"]}, (), "one label a case .'mass'.*config.data.target_keys"),
        (CELLS, ("mass",), "one label a case .'mass'"),
        (CELLS, ("mass", "hernias"), "label 'hernias', and x.csv has .*Did you mean 'hernia'"),
    ],
)
def test_cells_that_are_none_of_them_are_refused(cells, names, message):
    with pytest.raises(UsageError, match=message):
        TASK.targets(columns(cells), names)


# --- on the host -------------------------------------------------------------------------------------


def sound(seed: int = 0) -> np.ndarray:
    """Labels of 40 cases, each there, not there and unknown."""
    return np.random.default_rng(seed).choice([0.0, 1.0, NAN], (40, 3), p=[0.5, 0.3, 0.2]).astype(np.float32)


def test_watched_is_the_plain_loss_of_the_known_labels_and_the_metric_turned():
    import torch  # late: it takes seconds

    truth, logits = sound(), np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    known = torch.tensor(~np.isnan(truth))
    expected = torch.nn.BCEWithLogitsLoss()(torch.tensor(logits)[known], torch.tensor(truth)[known])
    for name, metric in METRICS.items():
        value, score = TASK.watched(name, logits, targets(truth))
        assert value == pytest.approx(float(expected), rel=1e-5)
        wanted = evaluate(name, truth, expit(logits.astype(np.float64)), NAMES).value
        assert score == pytest.approx(metric.turned(wanted))
        assert score is not None
        right = np.where(np.nan_to_num(truth) > 0, 4.0, -4.0).astype(np.float32)
        _, better = TASK.watched(name, right, targets(truth))
        assert better is not None
        assert better > score, name


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_watched_loss_is_nan_when_any_logit_is_no_number(broken):
    logits = np.zeros((40, 3), np.float32)
    logits[1, 0] = broken
    assert math.isnan(TASK.watched(TASK.headline, logits, targets(sound()))[0])


def test_metrics_that_no_prediction_could_define_are_told():
    for name in METRICS:
        assert TASK.undefined(name, targets(sound())) == "", name
    assert TASK.undefined(TASK.headline, targets(np.zeros((4, 3))))


def test_what_is_recorded_and_what_people_see():
    logits, truth = np.array([[0.0, 50.0, -50.0], [NAN, 0, 0]], np.float32), [[1, NAN, 0], [0, 0, 1]]
    tested = TASK.tested(logits, targets(truth))
    np.testing.assert_array_equal(tested.arrays["targets"], np.asarray(truth, np.float32))
    found = tested.arrays["probabilities"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expit(logits.astype(np.float64)))
    assert TASK.table(found[:1], NAMES)[0] == [f"probability_{name}" for name in NAMES]
    assert [float(cell) for cell in TASK.table(found[:1], NAMES)[1][0]] == pytest.approx([0.5, 1.0, 0.0])
