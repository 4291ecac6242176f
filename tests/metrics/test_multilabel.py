"""Metrics of several labels against scikit-learn, with labels that are not known, by hand and by loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from nachos_jax.metrics import multilabel as m
from nachos_jax.metrics.decisions import Rule
from nachos_jax.metrics.value import Value

NAMES = ("effusion", "nodule", "mass", "edema")


@st.composite
def cases(draw, unknown=0.25, fewest=2):
    """Truth [N, L] with labels that are not known, and probabilities with ties, 0 and 1 not among them."""
    n, width, levels = draw(st.integers(fewest, 40)), draw(st.integers(1, 4)), draw(st.integers(2, 40))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    truth = generator.integers(0, 2, (n, width)).astype(float)
    truth[generator.random((n, width)) < unknown] = np.nan
    return truth, generator.integers(1, levels, (n, width)) / levels, NAMES[:width]


def f1(y, called) -> float:
    never: Any = 0.0  # what scikit-learn takes, and its type does not say
    return float(sk.f1_score(y, called, zero_division=never))


def of_label(metric, truth, predicted, names):
    """A metric of scikit-learn for each label, over the cases in which it is known; None where undefined."""
    found = []
    for column in range(len(names)):
        rows = ~np.isnan(truth[:, column])
        y, p = truth[rows, column], predicted[rows, column]
        if metric == "f1":
            neither = not y.any() and not (p >= 0.5).any()
            found.append(None if neither else f1(y, p >= 0.5))
        else:
            area = {"auc": sk.roc_auc_score, "average_precision": sk.average_precision_score}[metric]
            found.append(area(y, p) if len(set(y)) == 2 else None)
    return found


@pytest.mark.parametrize("metric", ["auc", "average_precision", "f1"])
@given(data=cases())
def test_macro_means_and_labels_equal_scikit_learn(metric, data):
    expected, value = of_label(metric, *data), m.evaluate(f"macro_{metric}", *data)
    defined = [one for one in expected if one is not None]
    assert value.value == (pytest.approx(np.mean(defined), abs=1e-12) if defined else None)
    gone = [name for name, one in zip(data[2], expected, strict=True) if one is None]
    if np.isnan(data[0]).all():
        assert value.note == "no label is known"
    else:
        assert value.note.endswith(f"of {', '.join(gone)}") if gone else "over" not in value.note
    if metric == "f1":
        for column, one in enumerate(expected):
            found = m.rates(data[0][:, column], data[1][:, column], data[2][column], 0.5)["f1"]
            assert found.value == (None if one is None else pytest.approx(one, abs=1e-12))
            assert found.value is not None or found.note


@given(data=cases())
def test_micro_f1_and_losses_are_of_all_known_labels(data):
    truth, predicted, _ = data
    known = ~np.isnan(truth)
    if not known.any():
        assert {m.evaluate(name, *data).note for name in m.METRICS} == {"no label is known"}
        return
    y, p = truth[known], predicted[known]
    loss = sk.log_loss(y, p, labels=[0, 1])
    assert m.evaluate("log_loss", *data).value == pytest.approx(loss, abs=1e-12)
    assert m.cross_entropy_from_logits(truth, np.log(predicted / (1 - predicted))).value == pytest.approx(
        loss
    )
    assert m.evaluate("brier", *data).value == pytest.approx(np.mean((y - p) ** 2), abs=1e-12)
    micro = m.evaluate("micro_f1", *data).value
    if micro is None:
        assert not y.any()
        assert not (p >= 0.5).any()
    else:
        assert micro == pytest.approx(f1(y, p >= 0.5), abs=1e-12)


@given(data=cases(), seed=st.integers(0, 1000))
def test_order_of_labels_and_what_stands_at_unknown_ones_do_not_matter(data, seed):
    truth, predicted, names = data
    order = np.random.default_rng(seed).permutation(len(names))
    blind = np.where(np.isnan(truth), np.nan, predicted)
    for name in m.METRICS:
        first = m.evaluate(name, *data)
        moved = m.evaluate(name, truth[:, order], predicted[:, order], [names[o] for o in order])
        assert moved.value == (None if first.value is None else pytest.approx(first.value, abs=1e-12))
        assert m.evaluate(name, truth, blind, names) == first


@given(data=cases())
def test_a_label_that_is_not_known_is_a_row_less(data):
    truth, predicted, names = data
    for column, name in enumerate(names):
        rows = ~np.isnan(truth[:, column])
        dropped = m.rates(truth[rows, column], predicted[rows, column], name, 0.5)
        assert m.rates(truth[:, column], predicted[:, column], name, 0.5) == dropped


# --- thresholds ------------------------------------------------------------------------------------------


@given(data=cases())
def test_thresholds_are_the_best_of_all(data):
    truth, predicted, names = data
    chosen = m.choose_thresholds(truth, predicted, names, Rule("youden"))
    for column, name in enumerate(names):
        rows = ~np.isnan(truth[:, column])
        y, p = truth[rows, column], predicted[rows, column]
        if len(set(y)) < 2:
            assert chosen[name].value is None
            assert chosen[name].note
            continue
        scores = {cut: np.mean(p[y == 1] >= cut) + np.mean(p[y == 0] < cut) for cut in [*np.unique(p), 2.0]}
        cut = chosen[name].value
        assert np.mean(p[y == 1] >= cut) + np.mean(p[y == 0] < cut) == pytest.approx(max(scores.values()))


@given(data=cases(unknown=0.0), seed=st.integers(0, 1000))
def test_decisions_at_thresholds_have_their_rates(data, seed):
    truth, predicted, names = data
    cuts = np.random.default_rng(seed).random(len(names))
    called = (predicted >= cuts).astype(float)
    expected = of_label("f1", truth, called, names)
    for column, name in enumerate(names):
        y, found = truth[:, column], m.rates(truth[:, column], predicted[:, column], name, cuts[column])
        right = called[:, column] == y
        one = expected[column]
        assert found["f1"].value == (None if one is None else pytest.approx(one))
        assert found["sensitivity"].value == (pytest.approx(right[y == 1].mean()) if y.any() else None)
        assert found["specificity"].value == (pytest.approx(right[y == 0].mean()) if not y.all() else None)


def test_a_target_for_all_labels():
    truth = np.array([[1, 0], [1, 1], [0, np.nan], [0, np.nan]])
    predicted = np.array([[0.9, 0.2], [0.6, 0.4], [0.7, 0.5], [0.1, 0.5]])
    chosen = m.choose_thresholds(truth, predicted, NAMES[:2], Rule("sensitivity", (1.0,)))
    assert [value.value for value in chosen.values()] == pytest.approx([0.35, 0.3])


# --- notes -----------------------------------------------------------------------------------------------


def test_labels_left_out_are_named():
    truth = np.array([[1, 0, 0], [0, 0, 0], [1, 0, np.nan]])
    predicted = np.array([[0.8, 0.1, 0.7], [0.2, 0.2, 0.1], [0.7, 0.3, 0.1]])
    note = "over 1 of 3 labels: no positive or no negative case of nodule, mass"
    assert m.evaluate("macro_auc", truth, predicted, NAMES[:3]) == Value(1.0, note)
    f1 = m.evaluate("macro_f1", truth, predicted, NAMES[:3])
    assert f1.value == 0.5
    assert f1.note == (
        "F1 of a label that is predicted but has no positive case counts as 0: mass; "
        "over 2 of 3 labels: neither there nor predicted of nodule"
    )
    none = m.evaluate("macro_auc", truth[:, 1:], predicted[:, 1:], NAMES[1:3])
    assert none == Value(None, "over 0 of 2 labels: no positive or no negative case of nodule, mass")
    nothing = m.evaluate("micro_f1", truth[:, [1]], predicted[:, [1]], NAMES[1:2])
    assert nothing == Value(None, "no label is there or predicted")


def test_certain_and_wrong_is_clipped_and_said():
    truth, predicted = np.array([[1.0], [0.0], [1.0]]), np.array([[0.0], [1.0], [1.0]])
    found = m.evaluate("log_loss", truth, predicted, NAMES[:1])
    assert found.value == pytest.approx(-2 * math.log(float(np.finfo(np.float32).tiny)) / 3)
    assert found.note.endswith("in 2 labels")
    assert m.cross_entropy_from_logits(truth, np.array([[-800.0], [900.0], [1.0]])).value == pytest.approx(
        (1700 + math.log1p(math.exp(-1))) / 3
    )
    assert m.cross_entropy_from_logits(truth, predicted * np.nan).value is None
    assert m.cross_entropy_from_logits(truth * np.nan, predicted) == Value(None, "no label is known")


def test_losses_of_cases_are_none_where_a_label_is_not_known():
    truth, predicted = np.array([[1.0, 0.0], [1.0, np.nan]]), np.full((2, 2), 0.75)
    for losses in m.ADDITIVE.values():
        assert np.isnan(losses(truth, predicted)).tolist() == [False, True]


def test_a_draw_that_loses_a_label_has_no_macro_mean_of_the_labels_left():
    truth = np.array([[1, 1], [0, 0], [1, 0], [0, 0]], float)
    predicted = np.array([[0.8, 0.9], [0.3, 0.2], [0.7, 0.4], [0.2, 0.1]])
    without = np.array([[0.0, 1.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    for name in m.MACRO:
        assert m.weighted(name, truth, predicted, without)[0] == 1.0
        assert np.isnan(m.resampled(name, truth, predicted, without)).tolist() == [True, False]
    assert m.resampled("micro_f1", truth, predicted, without)[0] == 1.0


def test_wrong_truth_and_shapes_are_refused():
    with pytest.raises(ValueError, match=r"0, 1, or NaN"):
        m.evaluate("macro_auc", np.array([[0.5]]), np.array([[0.5]]), NAMES[:1])
    with pytest.raises(ValueError, match="expected"):
        m.evaluate("macro_auc", np.zeros((2, 2)), np.zeros((2, 1)), NAMES[:2])
    with pytest.raises(ValueError, match="expected"):
        m.choose_thresholds(np.zeros(2), np.zeros(2), NAMES[:1], Rule("youden"))
