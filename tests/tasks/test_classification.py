"""The classification task against PyTorch, Optax and scikit-learn."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, softmax
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.utils.class_weight import compute_class_weight

from nachos_jax.data.targets import Targets
from nachos_jax.metrics.classification import METRICS, evaluate
from nachos_jax.splits.strata import Strata
from nachos_jax.tasks import classification as task
from nachos_jax.tasks.classification import TASK, ClassDevice
from nachos_jax.tasks.task import Told
from tests.tasks.columns import columns

NAMES = ("a", "b", "c", "d")
LOGITS = hnp.arrays(np.float32, (12, 4), elements=st.floats(-30, 30, width=32))
LABELS = hnp.arrays(np.int32, 12, elements=st.integers(0, 3))
WEIGHTS = hnp.arrays(np.float32, 4, elements=st.floats(0.125, 4, width=32))


def targets(labels, names=NAMES) -> Targets:
    """Those of a classification with these class numbers."""
    labels = np.asarray(labels, np.int32)
    has = np.eye(len(names), dtype=bool)[labels]
    return Targets("classification", names, labels, Strata(labels, names, needed=True), has)


# --- on the device -----------------------------------------------------------------------------------


def told(weights, smoothing=0.0) -> Told:
    task = {"class_weights": jnp.asarray(weights, jnp.float32)}
    return Told(None, None, task, {"label_smoothing": jnp.float32(smoothing)})


def loss(logits, labels, weights, smoothing):
    return ClassDevice(4).loss(jnp.asarray(logits), jnp.asarray(labels, jnp.int32), told(weights, smoothing))


LOSS = jax.jit(loss)


@given(LOGITS, LABELS, WEIGHTS)
def test_weighted_loss_is_that_of_pytorch(logits, labels, weights):
    import torch  # late: it takes seconds

    found = float(LOSS(logits, labels, weights, np.float32(0.0)))
    torch_loss = torch.nn.CrossEntropyLoss(weight=torch.tensor(weights))
    expected = float(torch_loss(torch.tensor(logits), torch.tensor(labels, dtype=torch.int64)))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(LOGITS, LABELS, st.floats(0, 0.5, width=32))
def test_smoothed_loss_is_that_of_pytorch_and_of_optax(logits, labels, smoothing):
    import torch  # late: it takes seconds

    found = float(LOSS(logits, labels, np.ones(4, np.float32), np.float32(smoothing)))
    torch_loss = torch.nn.CrossEntropyLoss(label_smoothing=float(smoothing))
    expected = float(torch_loss(torch.tensor(logits), torch.tensor(labels, dtype=torch.int64)))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, 4), jnp.float32(smoothing))
    mean = float(optax.softmax_cross_entropy(jnp.asarray(logits), targets).mean())
    assert found == pytest.approx(mean, rel=1e-4, abs=1e-5)


def test_the_gradient_of_the_loss_is_that_of_pytorch():
    import torch  # late: it takes seconds

    draw = np.random.default_rng(3)
    logits, labels = draw.normal(size=(12, 4)).astype(np.float32), draw.integers(0, 4, 12)
    weights = np.asarray([0.5, 1.0, 2.0, 3.0], np.float32)
    ours = jax.grad(loss)(jnp.asarray(logits), jnp.asarray(labels, jnp.int32), weights, jnp.float32(0.0))
    theirs = torch.tensor(logits, requires_grad=True)
    torch.nn.CrossEntropyLoss(weight=torch.tensor(weights))(theirs, torch.tensor(labels)).backward()
    assert theirs.grad is not None
    np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-4, atol=1e-7)


def test_far_logits_neither_overflow_nor_lose_the_loss():
    logits = jnp.asarray([[1e4, 0.0, 0.0, 0.0]], jnp.float32)
    value = LOSS(logits, jnp.asarray([1]), jnp.ones(4), jnp.float32(0.0))
    assert float(value) == pytest.approx(1e4)


# --- ordered classes ---------------------------------------------------------------------------------


def direct(outputs):
    """Probabilities of ordered classes in float64 by differences of logistic functions."""
    outputs = np.asarray(outputs, np.float64)
    below = np.cumsum(np.concatenate([outputs[:, :1], -np.logaddexp(0, outputs[:, 1:])], axis=1), axis=1)
    above = np.pad(expit(below), ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
    return above[:, :-1] - above[:, 1:]


TWO = jax.jit(lambda x, labels: ClassDevice(2, ordered=True).loss(x, labels, told(np.ones(2))))
CUMULATIVE = jax.jit(task.cumulative_log_probabilities)
OUTPUTS = st.integers(1, 4).flatmap(
    lambda width: hnp.arrays(np.float32, (6, width), elements=st.floats(-8, 8, width=32))
)
FAR = hnp.arrays(np.float32, (6, 3), elements=st.floats(-60, 60, width=32))


@settings(max_examples=30)
@given(OUTPUTS)
def test_cumulative_probabilities_sum_to_one_and_are_the_direct_ones(outputs):
    found = np.exp(np.asarray(CUMULATIVE(outputs), np.float64))
    assert found.shape == (6, outputs.shape[1] + 1)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-4)
    np.testing.assert_allclose(found, direct(outputs), rtol=1e-3, atol=1e-6)


@settings(max_examples=30)
@given(FAR)
def test_far_cumulative_outputs_give_finite_numbers_that_sum_to_one(outputs):
    found = np.asarray(CUMULATIVE(outputs))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.exp(found.astype(np.float64)).sum(axis=1), 1.0, rtol=1e-4)
    np.testing.assert_allclose(np.exp(found.astype(np.float64)), direct(outputs), atol=1e-5)


@jax.jit
def slopes(outputs, labels):
    """Gradient of the loss of ordered classes."""
    device = ClassDevice(4, ordered=True)
    return jax.grad(lambda x: device.loss(x, labels, told(np.ones(4), 0.1)))(outputs)


@settings(max_examples=30)
@given(FAR, hnp.arrays(np.int32, 6, elements=st.integers(0, 3)))
def test_far_cumulative_outputs_have_finite_gradients(outputs, labels):
    assert np.isfinite(slopes(outputs, labels)).all()


@settings(max_examples=30)
@given(hnp.arrays(np.float32, (6, 1), elements=st.floats(-60, 60, width=32)))
def test_two_ordered_classes_are_logistic_regression(outputs):
    import torch  # late: it takes seconds

    labels = jnp.asarray([0, 1, 0, 1, 1, 0], jnp.int32)
    found = TWO(outputs, labels)
    expected = torch.nn.BCEWithLogitsLoss()(
        torch.tensor(outputs[:, 0]), torch.tensor(np.asarray(labels), dtype=torch.float32)
    )
    assert float(found) == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
    plain = torch.log_softmax(torch.tensor(np.pad(outputs, ((0, 0), (1, 0)))), 1)
    np.testing.assert_allclose(CUMULATIVE(outputs), plain, rtol=1e-5, atol=1e-6)


def test_the_readout_of_ordered_classes_is_their_logarithms_and_of_others_the_outputs():
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    found = ClassDevice(4, ordered=True).readout(outputs, told(np.ones(4)))
    np.testing.assert_allclose(softmax(found, axis=1), direct(outputs), rtol=1e-4)
    assert ClassDevice(3).readout(outputs, told(np.ones(3))) is outputs


def test_the_loss_that_a_fit_names_is_the_one_on_the_device():
    assert TASK.device(NAMES, {}) == ClassDevice(4)
    assert TASK.device(NAMES, {"classification.loss": "cross_entropy"}) == ClassDevice(4)
    assert TASK.device(NAMES, {"classification.loss": "cumulative_link"}) == ClassDevice(4, ordered=True)
    assert (ClassDevice(4).outputs, ClassDevice(4).seen) == (4, 4)
    assert (ClassDevice(4, ordered=True).outputs, ClassDevice(4, ordered=True).seen) == (3, 4)


# --- class weights -----------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 500), min_size=2, max_size=6))
def test_exponent_one_is_scikit_learns_balanced_and_zero_is_none(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    balanced = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    for exponent, expected in ((1.0, balanced), (0.0, np.ones(len(counts))), (0.5, np.sqrt(balanced))):
        found = task.class_weights(np.asarray(counts), exponent)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert found.dtype == np.float32


@given(st.lists(st.integers(0, 50), min_size=2, max_size=6), st.floats(0, 4))
def test_a_class_without_training_cases_weighs_one_and_the_others_as_if_it_were_not_there(counts, exponent):
    counts = np.asarray(counts)
    found = task.class_weights(counts, exponent)
    assert np.all(np.isfinite(found))
    assert np.all(found[counts == 0] == 1)
    if counts.any():
        np.testing.assert_array_equal(found[counts > 0], task.class_weights(counts[counts > 0], exponent))


# --- on the host -------------------------------------------------------------------------------------


@given(LOGITS)
def test_probabilities_are_the_softmax(logits):
    found = TASK.predicted(logits)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, softmax(logits.astype(np.float64), axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)


def test_a_row_with_nan_or_infinity_stays_visible_and_harms_no_other():
    logits = np.asarray([[0.0, 0.0], [math.nan, 1.0], [math.inf, math.inf], [1e30, 0.0]], np.float32)
    found = TASK.predicted(logits)
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), [False, True, True, False])
    np.testing.assert_array_equal(found[[0, 3]], [[0.5, 0.5], [1.0, 0.0]])
    assert TASK.predicted(np.zeros((0, 3), np.float32)).shape == (0, 3)


@given(LOGITS, LABELS)
def test_watched_loss_is_the_plain_log_loss(logits, labels):
    shifted = logits.astype(np.float64) / 2  # scikit-learn clips probabilities near 0
    expected = log_loss(labels, softmax(shifted, axis=1), labels=range(4))
    assert TASK.watched("accuracy", shifted, targets(labels))[0] == pytest.approx(
        expected, rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_watched_loss_is_nan_when_any_logit_is_no_number(broken):
    logits = np.zeros((3, 2), np.float32)
    logits[1, 0] = broken
    assert math.isnan(TASK.watched("accuracy", logits, targets(np.zeros(3, np.int32), NAMES[:2]))[0])


@given(LOGITS, LABELS)
def test_watched_scores_are_the_metrics_with_losses_turned(logits, labels):
    probabilities = softmax(logits.astype(np.float64), axis=1)
    for name, metric in METRICS.items():
        value = evaluate(name, labels, TASK.predicted(logits), NAMES).value
        found = TASK.watched(name, logits, targets(labels))[1]
        turned = value if value is None or metric.higher_is_better else -value
        assert found == turned
    here = np.unique(labels)
    if len(here) == 4:
        expected = balanced_accuracy_score(labels, probabilities.argmax(axis=1))
        assert TASK.watched("balanced_accuracy", logits, targets(labels))[1] == pytest.approx(expected)


def test_a_better_model_never_scores_lower_whatever_the_metric():
    labels = np.asarray([0, 1, 2, 3] * 5, np.int32)
    right = np.where(np.eye(4)[labels] > 0, 4.0, 0.0).astype(np.float32)
    draw = np.random.default_rng(0).permutation(len(labels))
    for name in METRICS:
        good = TASK.watched(name, right, targets(labels))[1]
        bad = TASK.watched(name, right[draw], targets(labels))[1]
        assert good is not None
        assert bad is not None
        assert good > bad, name


def test_an_undefined_score_is_none():
    logits = np.zeros((4, 4), np.float32)
    assert TASK.watched("auc", logits, targets(np.zeros(4, np.int32)))[1] is None
    logits[0, 0] = math.nan
    assert TASK.watched("accuracy", logits, targets(np.zeros(4, np.int32)))[1] is None


def test_class_weights_are_told_of_training_cases_only():
    every = targets(np.array([0] * 6 + [1] * 3 + [2] * 2 + [3]))
    training = np.arange(12) % 2 == 0
    for exponent in (0.0, 0.5, 1.0):
        found = TASK.told(every, training, {"class_weight_exponent": exponent})["class_weights"]
        counts = np.bincount(every.values[training], minlength=4)
        np.testing.assert_array_equal(found, task.class_weights(counts, exponent))
    other = targets(np.where(training, every.values, 3 - every.values))
    np.testing.assert_array_equal(
        TASK.told(other, training, {"class_weight_exponent": 1.0})["class_weights"], found
    )
    np.testing.assert_array_equal(TASK.told(every, training, {})["class_weights"], np.ones(4, np.float32))


def test_metrics_that_no_prediction_could_define_are_told():
    for name in METRICS:
        assert TASK.undefined(name, targets(np.arange(8) % 4)) == "", name
    assert TASK.undefined("auc", targets(np.zeros(4, int))) == "no case of b, c, d"


def test_what_is_recorded_and_what_people_see():
    logits = np.log([[0.5, 0.25, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]).astype(np.float32)
    tested = TASK.tested(logits, targets([0, 2]))
    assert tested.arrays["labels"].tolist() == [0, 2]
    np.testing.assert_allclose(tested.arrays["probabilities"].sum(axis=1), 1.0)
    assert (set(tested.arrays), dict(tested.values)) == ({"labels", "probabilities"}, {})
    header, rows = TASK.table(TASK.predicted(logits), NAMES)
    assert header == ["predicted", *(f"probability_{name}" for name in NAMES)]
    assert [row[0] for row in rows] == ["a", "d"]
    assert [float(cell) for cell in rows[0][1:]] == pytest.approx([0.5, 0.25, 0.125, 0.125], rel=1e-5)


# --- targets -----------------------------------------------------------------------------------------


def test_targets_of_a_column():
    found = TASK.targets(columns({"label": ["10", "9", "10", "-1"]}), ())
    assert found.names == ("-1", "9", "10"), "whole numbers are sorted by value"
    assert found.values.tolist() == [2, 1, 2, 0]
    assert found.values.dtype == np.int32
    assert found.facts == {"labels": [2, 1, 2, 0], "classes": ["-1", "9", "10"]}
    assert found.strata.needed
    np.testing.assert_array_equal(found.strata.numbers, found.values)
    np.testing.assert_array_equal(found.has, np.eye(3, dtype=bool)[found.values])
    chosen = TASK.targets(columns({"label": ["b", "a"]}), ("b", "a"))
    assert (chosen.names, chosen.values.tolist()) == (("b", "a"), [0, 1])


def test_numbers_of_an_array_are_places_in_its_names_and_text_is_not():
    cells = {"label": ["1", "0", "1"]}
    found = TASK.targets(columns(cells, numeric=True, order=("sick", "well")), ())
    assert (found.names, found.values.tolist()) == (("sick", "well"), [1, 0, 1])
    turned = TASK.targets(columns(cells, numeric=True, order=("sick", "well")), ("well", "sick"))
    assert (turned.names, turned.values.tolist()) == (("well", "sick"), [0, 1, 0])
    assert TASK.targets(columns(cells, order=("1", "0")), ()).values.tolist() == [0, 1, 0]
