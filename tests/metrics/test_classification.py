"""Metrics against scikit-learn on random, tied and incomplete cases."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics import classification as m
from nachos_jax.metrics.calibration import with_temperature
from nachos_jax.metrics.value import Value

NAMES = ("covid19", "normal", "pneumonia", "tuberculosis", "other")


@st.composite
def cases(draw, all_present: bool = False):
    """Labels [N] and probabilities [N, C] with many ties, C from 2 to 5."""
    count = draw(st.integers(2, 5))
    n = draw(st.integers(count if all_present else 1, 40))
    labels = draw(st.lists(st.integers(0, count - 1), min_size=n, max_size=n))
    if all_present:
        labels[:count] = range(count)
    levels = draw(st.integers(2, 50))
    weights = draw(
        st.lists(st.lists(st.integers(1, levels), min_size=count, max_size=count), min_size=n, max_size=n)
    )
    raw = np.array(weights, np.float64)
    return np.array(labels), raw / raw.sum(axis=1, keepdims=True), NAMES[:count]


def ece_by_loops(labels, probabilities, bins=15) -> float:
    """ECE over bins of equal mass, where equal confidences go to the bin of their middle rank."""
    confidences = [max(row) for row in probabilities.tolist()]
    members = {}
    for confidence, row, label in zip(confidences, probabilities, labels, strict=True):
        below = sum(other < confidence for other in confidences)
        equal = sum(other == confidence for other in confidences)
        middle = Fraction(2 * below + equal, 2 * len(labels))
        members.setdefault(int(middle * bins), []).append((confidence, np.argmax(row) == label))
    return sum(abs(sum(c - right for c, right in cases)) for cases in members.values()) / len(labels)


def oracle(name, labels, probabilities, classes) -> float:
    """What scikit-learn says, over all C classes."""
    predicted, numbers = np.argmax(probabilities, axis=1), range(len(classes))
    hot = np.eye(len(classes))[labels]
    columns = [1] if len(classes) == 2 else list(numbers)
    never: dict[str, Any] = {
        "average": None,
        "zero_division": np.nan,
    }  # a class that is neither there nor predicted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            "accuracy": lambda: sk.accuracy_score(labels, predicted),
            "balanced_accuracy": lambda: sk.balanced_accuracy_score(labels, predicted),
            "macro_f1": lambda: np.nanmean(sk.f1_score(labels, predicted, labels=numbers, **never)),
            "micro_f1": lambda: sk.f1_score(labels, predicted, labels=numbers, average="micro"),
            "mcc": lambda: sk.matthews_corrcoef(labels, predicted),
            "kappa": lambda: sk.cohen_kappa_score(labels, predicted, labels=numbers, weights="quadratic"),
            "log_loss": lambda: sk.log_loss(labels, probabilities, labels=numbers),
            "brier": lambda: np.mean(np.sum((probabilities - hot) ** 2, axis=1)),
            "ece": lambda: ece_by_loops(labels, probabilities),
            "mean_class_distance": lambda: sk.mean_absolute_error(labels, predicted),
            "auc": lambda: np.mean([sk.roc_auc_score(labels == c, probabilities[:, c]) for c in columns]),
            "average_precision": lambda: np.mean(
                [sk.average_precision_score(labels == c, probabilities[:, c]) for c in columns]
            ),
        }[name]()
        return float(found)


WITH_ABSENT = [name for name in m.METRICS if name not in ("auc", "average_precision")]


@pytest.mark.parametrize("name", WITH_ABSENT)
@given(data=cases())
def test_equals_scikit_learn_whichever_classes_are_there(name, data):
    value = m.evaluate(name, *data).value
    expected = oracle(name, *data)
    if value is None:
        assert name in ("kappa", "mcc")
        assert math.isnan(expected) if name == "kappa" else len(set(data[0])) == 1
    else:
        assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["auc", "average_precision"])
@given(data=cases(all_present=True))
def test_ranking_metrics_equal_scikit_learn(name, data):
    assert m.evaluate(name, *data).value == pytest.approx(oracle(name, *data), abs=1e-12)


@given(data=cases(all_present=True))
def test_macro_auc_is_scikit_learns_own_multiclass_auc(data):
    labels, probabilities, classes = data
    scores = probabilities[:, 1] if len(classes) == 2 else probabilities
    expected = sk.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert m.evaluate("auc", *data).value == pytest.approx(expected, abs=1e-12)


def test_two_classes_can_be_exchanged_where_probabilities_are_1():
    labels, apart = np.asarray([0, 1, 0, 1, 1, 0]), np.asarray([40.0, 50.0, -50.0, -40.0, 45.0, 0.5])
    probabilities = with_temperature(np.stack([np.zeros(6), apart], axis=1), 1.0)
    assert (probabilities[:2, 1] == 1).all()
    there = m.evaluate("auc", labels, probabilities, ("a", "b")).value
    assert there == m.evaluate("auc", 1 - labels, probabilities[:, ::-1], ("b", "a")).value
    assert there == sk.roc_auc_score(labels, apart)
    precision = m.evaluate("average_precision", labels, probabilities, ("a", "b")).value
    assert precision == pytest.approx(sk.average_precision_score(labels, apart))


def test_ordinary_probabilities_are_ordered_as_they_are():
    draw = np.random.default_rng(0)
    probabilities = with_temperature(draw.normal(0, 3, (500, 2)), 1.0)
    for rows in (probabilities, probabilities.round(2)):
        np.testing.assert_array_equal(stats.rankdata(m.ordered(rows)), stats.rankdata(rows[:, 1]))


@given(data=cases(), seed=st.integers(0, 1000))
def test_order_and_duplication_of_cases_do_not_matter(data, seed):
    labels, probabilities, classes = data
    order = np.random.default_rng(seed).permutation(len(labels))
    twice = np.concatenate([order, order])
    for name in m.METRICS:
        first = m.evaluate(name, *data)
        other = m.evaluate(name, labels[order], probabilities[order], classes)
        doubled = m.evaluate(name, labels[twice], probabilities[twice], classes)
        assert first.note == other.note == doubled.note
        if first.value is None:
            assert other.value is None
            assert doubled.value is None
        else:
            assert other.value == pytest.approx(first.value, abs=1e-12)
            assert doubled.value == pytest.approx(first.value, abs=1e-12)


@given(data=cases())
def test_confusion_and_class_values_equal_scikit_learn(data):
    labels, probabilities, classes = data
    predicted, numbers = m.predict(probabilities), range(len(classes))
    counts = m.confusion(labels, predicted, len(classes))
    np.testing.assert_array_equal(counts, sk.confusion_matrix(labels, predicted, labels=numbers))
    values = m.per_class_of_counts(counts, classes)
    for c, name in enumerate(classes):
        true, found = labels == c, predicted == c
        assert values[name].cases == true.sum()
        assert values[name].predicted == found.sum()
        if true.any():
            assert values[name].recall.value == pytest.approx(sk.recall_score(true, found))
        else:
            assert values[name].recall == m.Value(None, f"no case of {name}")
        if found.any():
            assert values[name].precision.value == pytest.approx(sk.precision_score(true, found))
        else:
            assert values[name].precision.value is None
            assert name in values[name].precision.note
        if (~true).any():
            assert values[name].specificity.value == pytest.approx(sk.recall_score(~true, ~found))
        else:
            assert values[name].specificity.value is None


def test_absent_class_is_named():
    labels = np.array([1, 2, 1, 2])
    probabilities = np.array([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1]])
    value = m.evaluate("balanced_accuracy", labels, probabilities, NAMES[:3])
    assert value == m.Value(0.75, "over 2 of 3 classes: no case of covid19")
    assert m.evaluate("auc", labels, probabilities, NAMES[:3]) == m.Value(None, "no case of covid19")
    assert "covid19" in m.evaluate("macro_f1", labels, probabilities, NAMES[:3]).note


def test_single_class_leaves_rankings_and_kappa_undefined():
    labels, probabilities = np.zeros(3, int), np.tile([0.9, 0.1], (3, 1))
    for name in ("auc", "average_precision", "kappa", "mcc"):
        value = m.evaluate(name, labels, probabilities, NAMES[:2])
        assert value.value is None
        assert value.note
    assert m.evaluate("macro_f1", labels, probabilities, NAMES[:2]) == m.Value(
        1.0, f"over 1 of 2 classes: no case of {NAMES[1]}"
    )
    constant = m.evaluate("mcc", np.array([0, 1, 0]), probabilities, NAMES[:2])
    assert (constant.value, constant.note[:15]) == (0.0, "0 by convention")


@pytest.mark.parametrize("name", m.METRICS)
def test_numbers_that_are_none_and_no_cases_are_undefined_with_the_reason(name):
    probabilities = np.array([[0.5, 0.5], [np.nan, 0.5], [0.2, 0.8]])
    value = m.evaluate(name, np.array([0, 1, 1]), probabilities, NAMES[:2])
    assert value == m.Value(None, "probabilities of 1 of 3 cases are not numbers")
    assert m.evaluate(name, np.zeros(0, int), np.zeros((0, 2)), NAMES[:2]) == m.Value(None, "no cases")


def test_the_first_of_equal_probabilities_is_predicted():
    tied = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])
    assert m.predict(tied).tolist() == [0, 1, 0]


def test_log_loss_says_how_often_it_clipped():
    value = m.evaluate(
        "log_loss", np.array([0, 1]), np.array([[0.0, 1.0], [0.5, 0.5]], np.float32), NAMES[:2]
    )
    assert value.value == pytest.approx(-(math.log(float(np.finfo(np.float32).tiny)) + math.log(0.5)) / 2)
    assert value.note.endswith("in 1 case")


@given(data=cases(), scale=st.floats(0.1, 500.0))
def test_cross_entropy_of_logits_is_the_log_loss_of_their_softmax(data, scale):
    labels, probabilities, classes = data
    logits = np.log(probabilities) + scale
    expected = m.evaluate("log_loss", labels, probabilities, classes).value
    assert m.cross_entropy_from_logits(labels, logits).value == pytest.approx(expected, abs=1e-9)


def test_cross_entropy_needs_no_clipping():
    assert m.cross_entropy_from_logits(np.array([0]), np.array([[-1000.0, 1000.0]])).value == 2000.0
    assert m.cross_entropy_from_logits(np.array([0]), np.array([[np.nan, 0.0]])).value is None


def test_brier_of_two_classes_is_twice_scikit_learns():
    labels, probabilities = np.array([0, 1, 1]), np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
    expected = 2 * np.mean((probabilities[:, 1] - labels) ** 2)
    assert m.evaluate("brier", labels, probabilities, NAMES[:2]).value == pytest.approx(expected)


def test_calibration_error_and_class_distance_of_a_few_cases_by_hand():
    labels = np.array([0, 2, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.0, 1.0, 0.0]])
    ece = m.evaluate("ece", labels, probabilities, NAMES[:3]).value
    assert ece == pytest.approx((0.2 + 0.6 + 0.0) / 3)
    assert m.evaluate("mean_class_distance", labels, probabilities, NAMES[:3]).value == pytest.approx(2 / 3)


def test_a_reader_of_small_numbers_is_warned_of_the_bias():
    """Predictions that come true exactly as often as they say still have an error above 0."""
    draws = np.random.default_rng(0)
    errors = {}
    for n in (50, 5000):
        p = draws.uniform(0.5, 1.0, (200, n))
        right = draws.random((200, n)) < p
        rows = zip(p, right, strict=True)
        values = [
            m.evaluate("ece", 1 - r.astype(int), np.stack([q, 1 - q], 1), NAMES[:2]).value for q, r in rows
        ]
        errors[n] = np.mean([value for value in values if value is not None])
    assert errors[50] > 4 * errors[5000] > 0


def test_value_lives_where_every_metric_can_import_it():
    assert m.Value is Value


def test_wrong_name_shape_or_label_is_refused():
    probabilities = np.full((2, 2), 0.5)
    with pytest.raises(UsageError, match="balanced_accuracy"):
        m.evaluate("acuracy", np.zeros(2, int), probabilities, NAMES[:2])
    with pytest.raises(ValueError, match="expected"):
        m.evaluate("accuracy", np.zeros(3, int), probabilities, NAMES[:2])
    with pytest.raises(ValueError, match="0 to 1"):
        m.evaluate("accuracy", np.array([0, 2]), probabilities, NAMES[:2])
    with pytest.raises(ValueError, match="0 to 1"):
        m.confusion(np.array([0, -1]), np.array([0, 0]), 2)
