"""The bootstrap against repeated cases, scipy and plain loops, and what must not change it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nachos_jax.metrics import classification, multilabel, regression
from nachos_jax.metrics.contract import statistic
from nachos_jax.statistics import bootstrap as b
from nachos_jax.statistics.folds import summary

NAMES = tuple("abcde")
FAST = (*classification.COUNTS, *classification.LOSSES, *classification.RANKS)


def width(interval) -> float:
    return interval.high - interval.low


def study(seed=0, subjects=40, folds=4, each=1, count=2):
    """Cases with a subject's cases side by side, and informative probabilities."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, count, subjects)
    raw = np.exp(generator.normal(size=(subjects, count)) + 1.2 * np.eye(count)[labels])
    index = np.repeat(np.arange(subjects), each)
    probabilities = (raw / raw.sum(axis=1, keepdims=True))[index]
    return b.Cases(labels[index], (np.arange(subjects) % folds)[index], index), probabilities


def bootstrap(metric, cases, probabilities, options=b.USUAL):
    """Of a classification metric; subjects are drawn within classes."""
    return b.bootstrap(statistic(classification, metric, cases.strata, probabilities), cases, options)


# --- draws -----------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000))
def test_subjects_are_drawn_whole_and_within_their_classes(seed):
    generator = np.random.default_rng(seed)
    subjects = np.sort(generator.integers(0, 12, 40))
    labels = generator.integers(0, 2, 40)
    weights = b.resamples(subjects, labels, 30, seed)
    assert weights.shape == (30, 40)
    assert weights.dtype == np.float32
    first = np.unique(subjects, return_index=True)[1]
    for row in weights:
        for subject in np.unique(subjects):
            assert len(set(row[subjects == subject])) == 1
    kinds: dict[Any, list[int]] = {}
    for index in first:
        kinds.setdefault(frozenset(labels[subjects == subjects[index]]), []).append(index)
    mixed = frozenset({0, 1})
    if len(kinds.get(mixed, ())) in range(1, b.FEWEST_A_STRATUM):  # alone they would hardly vary
        order = [frozenset({1}), frozenset({0}), mixed]
        largest = max(order, key=lambda kind: len(kinds.get(kind, ())))
        if largest != mixed:
            kinds[largest] += kinds.pop(mixed)
    for members in kinds.values():
        np.testing.assert_array_equal(weights[:, members].sum(axis=1), len(members))


def test_every_subject_of_a_class_is_as_likely():
    labels = np.repeat([0, 1], [8, 4])
    weights = b.resamples(np.arange(12), labels, 20_000, 0)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.04)
    np.testing.assert_allclose(weights.var(axis=0), np.repeat([7 / 8, 3 / 4], [8, 4]), atol=0.05)


# --- intervals -------------------------------------------------------------------------------------------


def log_loss_of_one_class(seed, count=40):
    """Cases of one class: a single stratum, whose log loss is the mean of a sample."""
    probabilities = np.random.default_rng(seed).dirichlet([2.0, 3.0], count)
    cases = b.Cases(np.ones(count, int), np.zeros(count, int), np.arange(count))
    return cases, probabilities, -np.log(probabilities[:, 1])


@settings(max_examples=30)
@given(seed=st.integers(0, 100), level=st.sampled_from([0.8, 0.95]))
def test_intervals_equal_scipys_of_the_same_replicates(seed, level):
    cases, probabilities, sample = log_loss_of_one_class(seed)
    ours = bootstrap("log_loss", cases, probabilities, b.Resampling(replicates=500, seed=seed))
    same = SimpleNamespace(bootstrap_distribution=ours.values)
    for method, interval in (("percentile", b.percentile(ours, level)), ("BCa", b.bca(ours, level))):
        theirs = stats.bootstrap(
            (sample,), np.mean, n_resamples=0, bootstrap_result=same, method=method, confidence_level=level
        ).confidence_interval
        assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_intervals_are_near_scipys_own():
    cases, probabilities, sample = log_loss_of_one_class(1)
    ours = bootstrap("log_loss", cases, probabilities, b.Resampling(replicates=20_000))
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=20_000, method="BCa", rng=0)
    found = b.bca(ours)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)
    assert ours.values.std() == pytest.approx(theirs.standard_error, rel=0.03)


@pytest.mark.parametrize("metric", FAST)
def test_replicates_equal_a_plain_loop(metric):
    cases, probabilities = study(count=3, subjects=60)
    options = b.Resampling(replicates=20, seed=3)
    found = bootstrap(metric, cases, probabilities, options)
    weights = b.resamples(cases.subjects, cases.strata, 20, 3)
    for value, row in zip(found.values, weights, strict=True):
        values = []
        for k in range(4):
            index = np.repeat(np.flatnonzero(cases.folds == k), row[cases.folds == k].astype(int))
            one = classification.evaluate(metric, cases.strata[index], probabilities[index], NAMES[:3])
            whole = set(cases.strata[index]) == set(cases.strata[cases.folds == k])
            values.append(one.value if whole or metric not in classification.BY_CLASS else None)
        assert value == pytest.approx(summary(values).mean)


@pytest.mark.parametrize("target", ["folds", "pooled"])
@pytest.mark.parametrize("metric", FAST)
def test_order_of_cases_and_copies_of_subjects_cases_change_nothing(metric, target):
    cases, probabilities = study(each=2)
    options = b.Resampling(replicates=50, target=target)
    first = bootstrap(metric, cases, probabilities, options)
    index = np.random.default_rng(0).permutation(np.tile(np.arange(80), 2))
    again = bootstrap(metric, cases.take(index), probabilities[index], options)
    np.testing.assert_allclose(again.values, first.values, atol=1e-12)
    assert again.estimate == pytest.approx(first.estimate)
    assert b.bca(again).high == pytest.approx(b.bca(first).high)
    assert ("pooled" in b.percentile(first).note) == (target == "pooled")


def test_swapped_classes_have_the_same_accuracy_and_auc():
    cases, probabilities = study()
    swapped = b.Cases(1 - cases.strata, cases.folds, cases.subjects)
    for metric in ("accuracy", "balanced_accuracy", "auc", "mcc", "brier"):
        first = bootstrap(metric, cases, probabilities, b.Resampling(replicates=1))
        other = bootstrap(metric, swapped, probabilities[:, ::-1], b.Resampling(replicates=1))
        assert other.estimate == pytest.approx(first.estimate)


def test_blocks_of_memory_change_nothing_but_the_draws(monkeypatch):
    cases, probabilities = study()
    whole = bootstrap("auc", cases, probabilities, b.Resampling(replicates=4000))
    monkeypatch.setattr(b, "BLOCK", 1000)
    parts = bootstrap("auc", cases, probabilities, b.Resampling(replicates=4000))
    assert len(parts.values) == 4000
    assert parts.values.mean() == pytest.approx(whole.values.mean(), abs=0.005)
    assert parts.values.std() == pytest.approx(whole.values.std(), abs=0.005)
    np.testing.assert_array_equal(parts.jackknife()[0], whole.jackknife()[0])


@pytest.mark.parametrize("metric", ["auc", "accuracy"])
def test_draws_that_are_kept_are_those_that_are_made_anew(metric, monkeypatch):
    cases, probabilities = study(each=2)
    monkeypatch.setattr(b, "BLOCK", 1000)
    options = b.Resampling(replicates=50)
    measured = statistic(classification, metric, cases.strata, probabilities)
    anew = b.bootstrap(measured, cases, options)
    again = b.bootstrap(measured, cases, options, b.kept(cases, options))
    np.testing.assert_array_equal(again.values, anew.values)
    monkeypatch.setattr(b, "KEPT", 100)
    assert b.kept(cases, options) is None


def test_jackknife_leaves_out_each_subject():
    cases, probabilities = study(each=2)
    left, stratum = bootstrap("auc", cases, probabilities, b.Resampling(replicates=1)).jackknife()
    expected = []
    for subject in range(40):
        keep = cases.subjects != subject
        folds = [keep & (cases.folds == k) for k in range(4)]
        values = [
            classification.evaluate("auc", cases.strata[rows], probabilities[rows], "ab").value
            for rows in folds
        ]
        expected.append(summary(values).mean)
    for label in (0, 1):
        ours = np.sort(np.array(expected)[cases.strata[::2] == label])
        np.testing.assert_allclose(np.sort(left[stratum == stratum_of(label, cases)]), ours)


def stratum_of(label, cases):
    subject, stratum = b.strata(cases.subjects, cases.strata)
    return stratum[subject[np.flatnonzero(cases.strata == label)[0]]]


def test_groups_of_many_subjects_tell_the_same_acceleration(monkeypatch):
    cases, probabilities, _ = log_loss_of_one_class(0, count=600)
    single = b.acceleration(*bootstrap("log_loss", cases, probabilities, b.Resampling(1)).jackknife())
    monkeypatch.setattr(b, "JACKKNIFE", 400)
    left, stratum = bootstrap("log_loss", cases, probabilities, b.Resampling(1)).jackknife()
    assert len(left) == 200
    assert b.acceleration(left, stratum) == pytest.approx(single, rel=0.5)
    assert single == pytest.approx(0.01, abs=0.01)


def test_cases_of_a_subject_count_once():
    cases, probabilities = study(subjects=100, each=4)
    wrong = b.Cases(cases.strata, cases.folds, np.arange(400))
    by_subject, by_case = (b.percentile(bootstrap("accuracy", c, probabilities)) for c in (cases, wrong))
    assert (by_subject.count, by_case.count) == (100, 400)
    wide, narrow = np.array([width(by_subject), width(by_case)], float)
    assert wide == pytest.approx(2 * narrow, rel=0.15)


# --- undefined -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [b.percentile, b.bca])
def test_undefined_intervals_give_the_reason(interval):
    cases, probabilities = study()
    few = bootstrap("accuracy", cases.take(np.arange(9)), probabilities[:9])
    assert interval(few).note == "9 subjects: an interval over subjects needs at least 10"
    assert interval(few).estimate is not None
    narrow = bootstrap("accuracy", cases.take(np.arange(20)), probabilities[:20])
    assert "20 subjects: likely too narrow" in interval(narrow).note
    perfect = bootstrap("accuracy", cases, np.eye(2)[cases.strata])
    assert (interval(perfect).estimate, interval(perfect).low) == (1.0, None)
    assert "same value" in interval(perfect).note
    one = b.Cases(np.ones(40, int), cases.folds, cases.subjects)
    assert interval(bootstrap("auc", one, probabilities)).note == "the metric is undefined for these cases"
    rare = b.bootstrap(lambda _, weights: np.where(weights[:, 0] > 0, np.nan, 0.5), cases)
    assert interval(rare).low is None


def test_folds_that_lose_a_class_are_said():
    cases, probabilities = study(subjects=30, folds=6)
    found = b.percentile(bootstrap("auc", cases, probabilities))
    assert "a fold undefined and left out in" in found.note
    assert found.low is not None


def test_arrays_of_other_lengths_are_refused():
    cases, probabilities = study()
    with pytest.raises(ValueError, match="one length"):
        bootstrap("accuracy", b.Cases(cases.strata, cases.folds[1:], cases.subjects), probabilities)
    with pytest.raises(ValueError, match="not 0"):
        bootstrap("accuracy", cases.take(np.arange(0)), probabilities[:0])


def test_subjects_of_rare_sets_of_classes_are_drawn_together():
    """Alone, such a subject would be drawn exactly once in every replicate."""
    subjects = np.repeat(np.arange(40), 2)
    labels = np.random.default_rng(1).integers(0, 6, 80)
    weights = b.resamples(subjects, labels, 500, 0)
    several = np.repeat(labels[::2] != labels[1::2], 2)
    varies = weights.std(axis=0)[several]
    assert varies.min() > 0.7, "a subject's count is about Poisson with mean 1"
    assert (weights.reshape(500, 40, 2)[:, :, 0].sum(axis=1) == 40).all()


@pytest.mark.parametrize("metric", sorted(classification.BY_CLASS))
def test_a_fold_that_loses_a_class_has_no_value_of_the_classes_left(metric):
    labels = np.tile(np.repeat([0, 1], [18, 2]), 5)
    cases = b.Cases(labels, np.repeat(np.arange(5), 20), np.arange(100))
    perfect = np.eye(2)[labels]
    found = bootstrap(metric, cases, perfect, b.Resampling(400, 0))
    assert set(found.values) == {1.0}
    assert "a fold undefined and left out" in found.note
    assert b.percentile(found).low is None


# --- other kinds of problem ------------------------------------------------------------------------------


def test_numbers_of_any_task_are_resampled_without_strata():
    """Regression and several labels, against repeated cases; the cases stand in any order of folds."""
    generator = np.random.default_rng(0)
    folds, zeros, subjects = np.arange(60) % 3, np.zeros(60, int), np.repeat(np.arange(30), 2)
    cases = b.Cases(zeros, folds, subjects)
    age = generator.normal(50, 10, 60)
    truth = generator.integers(0, 2, (60, 2)).astype(float)
    truth[generator.random((60, 2)) < 0.1] = np.nan
    kinds = [
        (regression, "mae", age, age + generator.normal(size=60), ("age",)),
        (regression, "ccc", age, age + generator.normal(size=60), ("age",)),
        (multilabel, "macro_auc", truth, generator.random((60, 2)), ("a", "b")),
        (multilabel, "micro_f1", truth, generator.random((60, 2)), ("a", "b")),
    ]
    options = b.Resampling(replicates=30, seed=5)
    weights = b.resamples(subjects, zeros, 30, 5).astype(int)
    for module, name, y, p, names in kinds:
        found = b.bootstrap(statistic(module, name, y, p), cases, options)
        for value, row in zip(found.values, weights, strict=True):
            values = []
            for k in range(3):
                index = np.repeat(np.flatnonzero(folds == k), row[folds == k])
                values.append(module.evaluate(name, y[index], p[index], names).value)
            assert value == pytest.approx(summary(values).mean)
        assert b.percentile(found, bounds=module.METRICS[name].bounds).low is not None
