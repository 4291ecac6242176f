"""The classification task against PyTorch, Optax and scikit-learn."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.utils.class_weight import compute_class_weight

from nachos_jax.metrics.classification import METRICS
from nachos_jax.tasks import classification as task

NAMES = ("a", "b", "c", "d")
LOGITS = hnp.arrays(np.float32, (12, 4), elements=st.floats(-30, 30, width=32))
LABELS = hnp.arrays(np.int32, 12, elements=st.integers(0, 3))
WEIGHTS = hnp.arrays(np.float32, 4, elements=st.floats(0.125, 4, width=32))
LOSS = jax.jit(task.loss)


# --- on the device -----------------------------------------------------------------------------------


@given(LOGITS, LABELS, WEIGHTS)
def test_weighted_loss_is_that_of_pytorch(logits, labels, weights):
    found = float(LOSS(logits, labels, weights, np.float32(0.0)))
    torch_loss = torch.nn.CrossEntropyLoss(weight=torch.tensor(weights))
    expected = float(torch_loss(torch.tensor(logits), torch.tensor(labels, dtype=torch.int64)))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(LOGITS, LABELS, st.floats(0, 0.5, width=32))
def test_smoothed_loss_is_that_of_pytorch_and_of_optax(logits, labels, smoothing):
    found = float(LOSS(logits, labels, np.ones(4, np.float32), np.float32(smoothing)))
    torch_loss = torch.nn.CrossEntropyLoss(label_smoothing=float(smoothing))
    expected = float(torch_loss(torch.tensor(logits), torch.tensor(labels, dtype=torch.int64)))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    targets = optax.smooth_labels(jax.nn.one_hot(labels, 4), jnp.float32(smoothing))
    mean = float(optax.softmax_cross_entropy(jnp.asarray(logits), targets).mean())
    assert found == pytest.approx(mean, rel=1e-4, abs=1e-5)


def test_the_gradient_of_the_loss_is_that_of_pytorch():
    draw = np.random.default_rng(3)
    logits, labels = draw.normal(size=(12, 4)).astype(np.float32), draw.integers(0, 4, 12)
    weights = np.asarray([0.5, 1.0, 2.0, 3.0], np.float32)
    ours = jax.grad(task.loss)(jnp.asarray(logits), jnp.asarray(labels, jnp.int32), weights, jnp.float32(0.0))
    theirs = torch.tensor(logits, requires_grad=True)
    torch.nn.CrossEntropyLoss(weight=torch.tensor(weights))(theirs, torch.tensor(labels)).backward()
    assert theirs.grad is not None
    np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-4, atol=1e-7)


def test_far_logits_neither_overflow_nor_lose_the_loss():
    logits = jnp.asarray([[1e4, 0.0, 0.0, 0.0]], jnp.float32)
    value = LOSS(logits, jnp.asarray([1]), jnp.ones(4), jnp.float32(0.0))
    assert float(value) == pytest.approx(1e4)


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
    found = task.probabilities(logits)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, softmax(logits.astype(np.float64), axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)


def test_a_row_with_nan_or_infinity_stays_visible_and_harms_no_other():
    logits = np.asarray([[0.0, 0.0], [math.nan, 1.0], [math.inf, math.inf], [1e30, 0.0]], np.float32)
    found = task.probabilities(logits)
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), [False, True, True, False])
    np.testing.assert_array_equal(found[[0, 3]], [[0.5, 0.5], [1.0, 0.0]])
    assert task.probabilities(np.zeros((0, 3), np.float32)).shape == (0, 3)


@given(LOGITS, LABELS)
def test_watched_loss_is_the_plain_log_loss(logits, labels):
    shifted = logits.astype(np.float64) / 2  # scikit-learn clips probabilities near 0
    expected = log_loss(labels, softmax(shifted, axis=1), labels=range(4))
    assert task.watched_loss(shifted, labels) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_watched_loss_is_nan_when_any_logit_is_no_number(broken):
    logits = np.zeros((3, 2), np.float32)
    logits[1, 0] = broken
    assert math.isnan(task.watched_loss(logits, np.zeros(3, np.int32)))


@given(LOGITS, LABELS)
def test_watched_scores_are_the_metrics_with_losses_turned(logits, labels):
    probabilities = softmax(logits.astype(np.float64), axis=1)
    for name, metric in METRICS.items():
        value = metric.function(labels, task.probabilities(logits), NAMES).value
        found = task.watched_score(name, logits, labels, NAMES)
        turned = value if value is None or metric.higher_is_better else -value
        assert found == turned
    here = np.unique(labels)
    if len(here) == 4:
        expected = balanced_accuracy_score(labels, probabilities.argmax(axis=1))
        assert task.watched_score("balanced_accuracy", logits, labels, NAMES) == pytest.approx(expected)


def test_a_better_model_never_scores_lower_whatever_the_metric():
    labels = np.asarray([0, 1, 2, 3] * 5, np.int32)
    right = np.where(np.eye(4)[labels] > 0, 4.0, 0.0).astype(np.float32)
    draw = np.random.default_rng(0).permutation(len(labels))
    for name in METRICS:
        good = task.watched_score(name, right, labels, NAMES)
        bad = task.watched_score(name, right[draw], labels, NAMES)
        assert good is not None
        assert bad is not None
        assert good > bad, name


def test_an_undefined_score_is_none():
    logits = np.zeros((4, 4), np.float32)
    assert task.watched_score("auc", logits, np.zeros(4, np.int32), NAMES) is None
    logits[0, 0] = math.nan
    assert task.watched_score("accuracy", logits, np.zeros(4, np.int32), NAMES) is None
