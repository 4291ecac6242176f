"""The interval of Bates, Hastie and Tibshirani against loops and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nachos_jax.statistics.bates import PairLosses, bates
from nachos_jax.statistics.intervals import SHARE


def width(interval) -> float:
    return interval.high - interval.low


def losses(seed, sizes, spread=1.0):
    """Random losses with an effect of each fold, so that neither limit of the SE always decides."""
    generator, folds = np.random.default_rng(seed), range(len(sizes))
    shift = generator.normal(size=len(sizes)) * spread
    outer = [shift[k] + generator.normal(size=sizes[k]) for k in folds]
    inner = {(i, j): 0.3 + shift[j] + generator.normal(size=sizes[j]) for i in folds for j in folds if i != j}
    return PairLosses(outer, inner)


def transcription(repeats, bias):
    """Algorithm 1 and section 4 of the paper, line by line."""
    a_list, b_list, es, outer = [], [], [], []
    for one in repeats:
        folds = len(one.outer)
        for k in range(folds):
            e_out, e_in = one.outer[k], []
            for other in range(folds):
                if other != k:
                    for loss in one.inner[k, other]:
                        e_in.append(loss)
            a_list.append((sum(e_in) / len(e_in) - sum(e_out) / len(e_out)) ** 2)
            b_list.append(np.var(e_out, ddof=1) / len(e_out))
            es += e_in
        outer.append(np.mean(np.concatenate(one.outer)))
    folds, count = len(repeats[0].outer), sum(map(len, repeats[0].outer))
    mse = np.mean(a_list) - np.mean(b_list)
    error, plain = np.mean(es), np.mean(outer)
    naive = np.std(es, ddof=1) / math.sqrt(count)
    se = math.sqrt((folds - 1) / folds) * math.sqrt(max(mse, 0))
    se = max(naive, min(se, math.sqrt(folds) * naive))
    centre = error - (1 + (folds - 2) / folds) * (error - plain) if bias else plain
    return centre, se


@given(
    seed=st.integers(0, 1000),
    sizes=st.lists(st.integers(4, 9), min_size=3, max_size=5),
    spread=st.sampled_from([0.0, 0.3, 0.6, 3.0]),
    repeats=st.integers(1, 3),
    bias=st.booleans(),
)
def test_equals_the_paper_line_by_line(seed, sizes, spread, repeats, bias):
    given_losses = [losses(seed + r, sizes, spread) for r in range(repeats)]
    found = bates(given_losses, 0.9, bias=bias)
    centre, se = transcription(given_losses, bias)
    expected = stats.norm.interval(0.9, centre, se)
    assert (found.estimate, found.low, found.high) == pytest.approx((centre, *expected))
    assert (found.unit, found.count) == ("cases", sum(sizes))


def test_by_hand():
    """a = 1, 1 and 4; b = 1/3 in each fold: MSE = 5/3, and its root exceeds the upper limit of the SE."""
    outer = [np.array([0.0, 2.0, 0.0, 2.0])] * 3
    inner = {(i, j): np.full(4, value) for i, value in enumerate((2.0, 0.0, 3.0)) for j in range(3) if i != j}
    b = (4 / 3) / 4
    squared = 2 / 3 * ((1 + 1 + 4) / 3 - b)
    naive = np.std([2] * 8 + [0] * 8 + [3] * 8, ddof=1) / math.sqrt(12)
    se = min(math.sqrt(squared), math.sqrt(3) * naive)
    mean = 5 / 3
    centre = mean - (1 + 1 / 3) * (mean - 1)
    found = bates([PairLosses(outer, inner)])
    assert found.estimate == pytest.approx(centre)
    assert width(found) == pytest.approx(2 * 1.959964 * se)
    assert "lowered" in found.note


@given(seed=st.integers(0, 300))
def test_order_of_folds_and_copies_of_cases_do_not_matter(seed):
    one = losses(seed, [8, 8, 8, 8])
    found, order = bates([one]), np.random.default_rng(seed).permutation(4)
    moved = PairLosses(
        [one.outer[k] for k in order],
        {(i, j): one.inner[order[i], order[j]] for i in range(4) for j in range(4) if i != j},
    )
    assert bates([moved]).high == pytest.approx(found.high)
    copies = PairLosses(
        [np.repeat(values, 3) for values in one.outer],
        {pair: np.repeat(values, 3) for pair, values in one.inner.items()},
        [np.repeat(np.arange(8), 3)] * 4,
    )
    # Subjects of the folds are told by fold here: numbers may repeat, as long as the count is right.
    named = PairLosses(copies.outer, copies.inner, [np.repeat(np.arange(8) + 8 * k, 3) for k in range(4)])
    again = bates([named])
    assert (again.unit, again.count) == ("subjects", 32)
    assert again.estimate == pytest.approx(found.estimate)
    assert width(again) == pytest.approx(width(found), rel=0.02)


def test_limits_of_the_error_are_said():
    same = PairLosses([np.array([0.0, 1.0] * 10)] * 3, {(i, j): np.array([0.0, 1.0] * 10) for i, j in PAIRS})
    found = bates([same], bounds=SHARE)
    assert "raised to the limit" in found.note
    assert width(found) == pytest.approx(2 * 1.959964 * np.std([0, 1] * 60, ddof=1) / math.sqrt(60))


PAIRS = [(i, j) for i in range(3) for j in range(3) if i != j]


def test_undefined():
    assert "at least 3" in bates([losses(0, [9, 9])]).note
    assert "at least 10" in bates([losses(0, [3, 3, 3])]).note
    assert "fewer than two" in bates([losses(0, [1, 9, 9])]).note
    none = PairLosses([np.ones(9)] * 3, {pair: np.ones(9) for pair in PAIRS})
    assert "same loss" in bates([none]).note
    broken = losses(0, [9, 9, 9])
    broken.outer[0][0] = np.nan
    assert bates([broken]).note == "some losses are not finite numbers"


def test_missing_pairs_are_refused():
    one = losses(0, [9, 9, 9])
    with pytest.raises(ValueError, match=r"inner\[0, 2\]"):
        bates([PairLosses(one.outer, {pair: v for pair, v in one.inner.items() if pair != (0, 2)})])
    with pytest.raises(ValueError, match="9 losses, 8 subjects"):
        bates([PairLosses(one.outer, one.inner, [np.arange(8)] * 3)])


def test_subjects_whose_cases_balance_each_other_do_not_narrow_the_limits():
    """Two eyes a subject, one right and one wrong in each: the spread of subjects is 0, not that of cases."""
    one, names = np.tile([0.0, 1.0], 8), [np.repeat(np.arange(8), 2) + 8 * fold for fold in range(5)]
    inner = {(i, j): one for i in range(5) for j in range(5) if i != j}
    found = bates([PairLosses([one] * 5, inner, names)])
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low >= 2 * 1.96 * math.sqrt(0.25 / 80) * 0.99
