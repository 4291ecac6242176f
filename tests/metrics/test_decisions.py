"""Thresholds against a search over all of them; net benefit against its formula in a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics import decisions as d
from nachos_jax.metrics.value import Value

RULES = ["youden", "sensitivity(0.8)", "specificity(0.7)", "cost(1, 5)", "cost(3, 1)"]


@st.composite
def cases(draw):
    """Labels [N] of both kinds and scores [N], of sixteenths so that sums and mirrors are exact."""
    n = draw(st.integers(2, 30))
    labels = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    labels[:2] = [True, False]
    return np.array(labels), np.array(draw(st.lists(st.integers(0, 16), min_size=n, max_size=n))) / 16


def rates(labels, called) -> tuple[float, float]:
    return float(called[labels].mean()), float((~called)[~labels].mean())


def best_by_search(text: str, labels, scores) -> float | None:
    """The rule's threshold by trying every way to part the scores, from the lowest threshold up."""
    levels = sorted(set(scores.tolist()))
    tried = [
        levels[0],
        *((a + b) / 2 for a, b in zip(levels, levels[1:], strict=False)),
        math.nextafter(levels[-1], 9),
    ]
    both = [rates(labels, scores >= t) for t in tried]
    n1, n0 = labels.sum(), (~labels).sum()
    if text.startswith("sens"):
        best = max(i for i, (sensitivity, _) in enumerate(both) if sensitivity >= 0.8 - 1e-12)
    elif text.startswith("spec"):
        best = min(i for i, (_, specificity) in enumerate(both) if specificity >= 0.7 - 1e-12)
    else:
        fp, fn = {"youden": (n1, n0), "cost(1, 5)": (1, 5), "cost(3, 1)": (3, 1)}[text]
        costs = [round(fp * (1 - spec) * n0 + fn * (1 - sens) * n1, 6) for sens, spec in both]
        best = costs.index(min(costs))
    if best in (0, len(tried) - 1) and text[0] == "s":
        return None
    return tried[best]


@pytest.mark.parametrize("text", RULES)
@given(data=cases())
def test_the_chosen_threshold_is_the_best_of_all(text, data):
    found = d.choose(d.parse_rule(text), *data)
    assert found.value == best_by_search(text, *data)
    if found.value is None:
        assert "is reached only by calling" in found.note


@pytest.mark.parametrize("text", RULES)
@given(data=cases(), seed=st.integers(0, 99))
def test_order_of_cases_and_monotone_transformations_change_no_decision(text, data, seed):
    labels, scores = data
    rule, order = d.parse_rule(text), np.random.default_rng(seed).permutation(len(labels))
    first = d.choose(rule, labels, scores)
    assert d.choose(rule, labels[order], scores[order]) == first
    other = d.choose(rule, labels, scores**3 + 2)
    if first.value is None or other.value is None:
        assert first == other
    else:
        before, after = d.applied(first.value, labels, scores), d.applied(other.value, labels, scores**3 + 2)
        assert (before.tp, before.fp, before.fn, before.tn) == (after.tp, after.fp, after.fn, after.tn)


@given(data=cases())
def test_sensitivity_of_one_class_is_specificity_of_the_other(data):
    labels, scores = data
    first = d.choose(d.Rule("sensitivity", (0.8,)), labels, scores)
    other = d.choose(d.Rule("specificity", (0.8,)), ~labels, -scores)
    assert (first.value is None) == (other.value is None)
    if first.value is not None and other.value is not None:
        assert first.value == -other.value


@given(data=cases(), threshold=st.integers(-1, 33))
def test_applied_counts_are_scikit_learns(data, threshold):
    labels, scores = data
    decision = d.applied(threshold / 32, labels, scores)
    called = scores >= threshold / 32
    (tn, fp), (fn, tp) = sk.confusion_matrix(labels, called, labels=[False, True])
    assert (decision.tp, decision.fp, decision.fn, decision.tn) == (tp, fp, fn, tn)
    assert decision.sensitivity.value == sk.recall_score(labels, called)
    assert decision.specificity.value == sk.recall_score(~labels, ~called)
    assert decision.accuracy.value == sk.accuracy_score(labels, called)
    ppv, npv = decision.ppv, decision.npv
    assert ppv == (Value(tp / (tp + fp)) if called.any() else Value(None, "no case called positive"))
    assert npv == (Value(tn / (tn + fn)) if (~called).any() else Value(None, "no case called negative"))


def test_thresholds_by_hand():
    labels, scores = np.array([0, 0, 1, 0, 1, 1], bool), np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])
    for text, expected in {
        "youden": 0.25,  # as good as 0.5, and more sensitive
        "sensitivity(1)": 0.25,
        "sensitivity(0.6)": 0.5,
        "specificity(0.66)": 0.25,
        "specificity(1)": 0.5,
        "cost(5, 1)": 0.5,
        "cost(1,5)": 0.25,
    }.items():
        assert d.choose(d.parse_rule(text), labels, scores).value == pytest.approx(expected), text


def test_a_threshold_between_neighbouring_numbers_still_parts_them():
    low = 0.5
    high = math.nextafter(low, 1)
    found = d.choose(d.Rule("youden"), np.array([False, True]), np.array([low, high])).value
    assert found is not None
    assert low < found <= high


def test_what_cannot_be_chosen_says_why():
    rule, scores = d.Rule("youden"), np.array([0.2, 0.7])
    assert d.choose(rule, np.ones(2, bool), scores) == Value(None, "no negative case")
    assert d.choose(rule, np.zeros(2, bool), scores) == Value(None, "no positive case")
    assert d.choose(rule, np.zeros(0, bool), np.zeros(0)) == Value(None, "no positive case")
    assert "finite" in d.choose(rule, np.array([True, False]), np.array([np.nan, 1])).note
    worst = d.choose(d.Rule("sensitivity", (0.9,)), np.array([True, False]), scores)
    assert worst == Value(None, "sensitivity 0.9 is reached only by calling every case positive")
    assert d.choose(rule, np.array([True, False]), scores) == Value(
        0.2, "no better than calling every case positive"
    )
    nothing = d.applied(0.5, np.zeros(0, bool), np.zeros(0))
    assert nothing.accuracy == Value(None, "no cases")
    assert nothing.sensitivity.value is None


WRONG = ["", "yuden", "youden(1)", "sensitivity", "sensitivity()", "sensitivity(95)", "sensitivity(nan)"]
WRONG += [
    "specificity(0)",
    "specificity(a)",
    "cost(1)",
    "cost(1, -5)",
    "cost(inf, 1)",
    "cost(1, 2, 3)",
    "cost(1, 2)x",
]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_rules_are_refused_with_the_cure(text):
    with pytest.raises(UsageError) as caught:
        d.parse_rule(text)
    assert repr(text) in str(caught.value)
    assert "cost(1, 5)" in str(caught.value)


def test_rules_are_read():
    assert d.parse_rule(" youden ") == d.Rule("youden")
    assert d.parse_rule("sensitivity( 0.95 )") == d.Rule("sensitivity", (0.95,))
    assert d.parse_rule("cost(1,5)") == d.Rule("cost", (1.0, 5.0))


THRESHOLDS = np.array([0.0, 0.1, 0.25, 0.5, 0.9])


@given(data=cases())
def test_net_benefit_is_its_formula(data):
    labels, scores = data
    found = d.net_benefit(labels, scores, THRESHOLDS, np.ones((2, len(labels))))
    n = len(labels)
    for i, t in enumerate(THRESHOLDS):
        tp = sum(y and p >= t for y, p in zip(labels, scores, strict=True))
        fp = sum((not y) and p >= t for y, p in zip(labels, scores, strict=True))
        assert found.model[i] == pytest.approx(tp / n - fp / n * t / (1 - t))
        assert found.treat_all[i] == pytest.approx(labels.mean() - (1 - labels.mean()) * t / (1 - t))
    np.testing.assert_allclose(found.low, found.model)


@given(data=cases(), seed=st.integers(0, 99))
def test_net_benefit_bands_are_those_of_repeated_cases(data, seed):
    labels, scores = data
    weights = np.random.default_rng(seed).integers(0, 3, (12, len(labels)))
    weights[:, 0] += 1
    weights[0] = 0  # a replicate without cases is left out
    found = d.net_benefit(labels, scores, THRESHOLDS, weights, 0.8)
    rows = [np.repeat(np.arange(len(labels)), row) for row in weights[1:]]
    values = [
        d.net_benefit(labels[row], scores[row], THRESHOLDS, np.ones((1, len(row)))).model for row in rows
    ]
    np.testing.assert_allclose(found.low, np.quantile(values, 0.1, axis=0), atol=1e-12)
    np.testing.assert_allclose(found.high, np.quantile(values, 0.9, axis=0), atol=1e-12)


def test_net_benefit_refuses_what_it_cannot_use():
    labels, scores, weights = np.array([True, False]), np.array([0.2, 0.7]), np.ones((1, 2))
    with pytest.raises(ValueError, match="below 1"):
        d.net_benefit(labels, scores, np.array([1.0]), weights)
    with pytest.raises(ValueError, match="between 0 and 1"):
        d.net_benefit(labels, scores * 5, THRESHOLDS, weights)
    with pytest.raises(ValueError, match="numbers"):
        d.applied(math.nan, labels, scores)
