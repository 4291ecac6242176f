"""Bias-corrected flat cross-validation against a plain loop, and on trials that know nothing."""

from __future__ import annotations

import os

import numpy as np
import pytest

from nachos_jax.metrics import classification
from nachos_jax.metrics.contract import statistic
from nachos_jax.statistics import bootstrap as b
from nachos_jax.statistics.bbc import bbc
from nachos_jax.statistics.folds import summary

FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"


def trials(seed=0, count=6, subjects=60, folds=4, each=1, strength=1.0):
    """Cases and probabilities [T, N, 2] of trials, each better than the one before it."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, subjects)
    scores = generator.normal(size=(count, subjects))
    scores += strength * np.linspace(0, 1, count)[:, None] * (2 * labels - 1)
    index = np.repeat(np.arange(subjects), each)
    positive = (1 / (1 + np.exp(-scores)))[:, index]
    cases = b.Cases(labels[index], (np.arange(subjects) % folds)[index], index)
    return cases, np.stack([1 - positive, positive], axis=-1)


def of(metric, cases, probabilities):
    """A classification metric of each trial; subjects are drawn within classes."""
    return [statistic(classification, metric, cases.strata, one) for one in probabilities]


def by_loop(metric, cases, probabilities, options, sign):
    """Scores of the replicates, one trial, replicate and fold at a time."""

    def score(p, index):
        values = []
        for k in np.unique(cases.folds):
            rows = index[cases.folds[index] == k]
            values.append(classification.evaluate(metric, cases.strata[rows], p[rows], "ab").value)
        return summary(values).mean

    weights = b.resamples(cases.subjects, cases.strata, options.replicates, options.seed)
    scores = []
    for row in weights.astype(int):
        inside = np.repeat(np.arange(len(row)), row)
        values = [sign * score(p, inside) for p in probabilities]
        scores.append(score(probabilities[int(np.argmax(values))], np.flatnonzero(row == 0)))
    return scores


@pytest.mark.parametrize(("metric", "sign"), [("accuracy", 1), ("auc", 1), ("log_loss", -1)])
def test_equals_a_plain_loop(metric, sign):
    cases, probabilities = trials(each=2)
    options = b.Resampling(replicates=25, seed=4)
    found = bbc(of(metric, cases, probabilities), cases, options, 0.9, higher_is_better=sign > 0)
    scores = np.array(by_loop(metric, cases, probabilities, options, sign), float)
    assert found.estimate == pytest.approx(scores.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(scores, [0.05, 0.95])))
    assert (found.unit, found.count) == ("subjects", 60)


def test_trials_that_know_nothing_score_as_chance():
    reported, corrected = [], []
    for seed in range(20 if FULLY else 8):
        cases, probabilities = trials(seed, count=50, strength=0.0)
        right = (probabilities.argmax(axis=2) == cases.strata).mean(axis=1)
        reported.append(right.max())
        corrected.append(bbc(of("accuracy", cases, probabilities), cases, b.Resampling(100)).estimate)
    assert np.mean(reported) > 0.6
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.05)


def test_one_trial_is_estimated_without_bias():
    cases, probabilities = trials(count=1, strength=0.0, subjects=400)
    found = bbc(of("accuracy", cases, probabilities), cases)
    (single,) = of("accuracy", cases, probabilities)
    plain = b.bootstrap(single, cases, b.Resampling(replicates=1)).estimate
    assert found.estimate == pytest.approx(plain, abs=0.005)
    low, high = np.array([found.low, found.high], float)
    assert low < np.mean(cases.strata == probabilities[0].argmax(axis=1)) < high


@pytest.mark.parametrize("target", ["folds", "pooled"])
def test_order_copies_and_swapped_classes_change_nothing(target):
    cases, probabilities = trials()
    options = b.Resampling(replicates=50, target=target)
    first = bbc(of("accuracy", cases, probabilities), cases, options)
    index = np.random.default_rng(0).permutation(np.tile(np.arange(60), 3))
    moved = cases.take(index)
    again = bbc(of("accuracy", moved, probabilities[:, index]), moved, options)
    assert (again.estimate, again.low, again.high) == pytest.approx((first.estimate, first.low, first.high))
    assert ("pooled" in first.note) == (target == "pooled")
    hits = of("accuracy", cases, probabilities)
    wrong = [lambda rows, weights, hit=hit: 1 - hit(rows, weights) for hit in hits]
    errors = bbc(wrong, cases, options, 0.95, False)
    assert np.array([errors.estimate, first.estimate], float).sum() == pytest.approx(1)


def test_undefined():
    cases, probabilities = trials()
    scores = of("accuracy", cases, probabilities)
    few = b.Cases(cases.strata, cases.folds, cases.subjects % 4)
    assert "at least 10" in bbc(scores, few).note
    perfect = np.eye(2)[cases.strata][None]
    found = bbc(of("accuracy", cases, perfect), cases)
    assert (found.estimate, found.low, found.note) == (1.0, None, "the same value in all replicates")
    one = b.Cases(np.ones(60, int), cases.folds, cases.subjects)
    assert bbc(of("auc", one, probabilities), one).note == "2000 of 2000 replicates undefined"
    with pytest.raises(ValueError, match="0 trials"):
        bbc([], cases)
    with pytest.raises(ValueError, match="6 trials to score and 5"):
        bbc(scores, cases, selection=scores[1:])
    with pytest.raises(ValueError, match="one length"):
        bbc(scores, b.Cases(cases.strata, cases.folds[1:], cases.subjects))


def test_the_trial_is_selected_by_the_selection_metric():
    """Trial 0 is right more often, trial 1 is surer: the log loss told is that of trial 0, the chosen."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    cases = b.Cases(labels, np.arange(80) % 4, np.arange(80))
    right = rng.random((2, 80)) < np.array([[0.95], [0.75]])
    sure = np.array([[0.51], [0.99]])
    positive = np.where(right == (labels == 1), sure, 1 - sure)
    probabilities = np.stack([1 - positive, positive], axis=2)
    options = b.Resampling(200)
    own = bbc(of("log_loss", cases, probabilities[:1]), cases, options, higher_is_better=False)
    losses, hits = (of(metric, cases, probabilities) for metric in ("log_loss", "accuracy"))
    chosen = bbc(losses, cases, options, higher_is_better=True, selection=hits)
    assert chosen.estimate == pytest.approx(own.estimate, rel=0.02)


def rare_in_each_fold(right):
    """Five folds of 18 negative and 2 positive subjects; of the positives so many are found in each fold."""
    labels = np.tile(np.repeat([0, 1], [18, 2]), 5)
    found = np.tile(np.repeat([1, 0], [18 + right, 2 - right]), 5).astype(bool)
    positive = np.where(found, labels, 1 - labels) * 0.8 + 0.1
    return b.Cases(labels, np.repeat(np.arange(5), 20), np.arange(100)), np.stack([1 - positive, positive], 1)


def test_a_fold_that_loses_a_class_is_left_out_and_not_called_better():
    cases, probabilities = rare_in_each_fold(right=1)
    found = bbc(of("balanced_accuracy", cases, probabilities[None]), cases, b.Resampling(2000, 1))
    assert found.estimate == pytest.approx(0.75, abs=0.01), "one trial: nothing to correct"
    assert "a fold undefined and left out in" in found.note
    cases, probabilities = rare_in_each_fold(right=2)
    perfect = of("macro_f1", cases, probabilities[None])
    assert bbc(perfect, cases, b.Resampling(300, 1)).estimate == 1.0
