"""Paired tests against scipy, scikit-learn's worked example, plain loops and their own symmetries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from nachos_jax.statistics.comparison import corrected_t, correlated_t, describe, holm

SCORES = st.floats(0, 1, allow_subnormal=False)
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=3, max_size=12)
FOLDS = st.integers(3, 20)
ROPES = st.sampled_from([0.0, 0.005, 0.01, 0.1])
P_VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12)


def spread(differences: list[float]) -> list[float]:
    """The differences, if they have a spread that is not rounding."""
    assume(np.std(differences) > 1e-6)
    return differences


@pytest.fixture(scope="module")
def moons() -> list[float]:
    """Differences of two kernels in the example "Statistical comparison of models using grid search"."""
    x, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    division = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(SVC(kernel=kernel, random_state=0), x, y, cv=division, scoring="roc_auc")
        for kernel in ("rbf", "linear")
    )
    return (rbf - linear).tolist()


@pytest.mark.thorough
def test_the_worked_example_of_scikit_learn(moons: list[float]):
    found = corrected_t(moons, 10)
    assert found.t == pytest.approx(0.750, abs=5e-4)
    assert found.df == 99
    assert found.p is not None
    assert found.p / 2 == pytest.approx(0.227, abs=5e-4)  # the example tests one side
    assert (found.low, found.high) == pytest.approx((-0.016445, 0.036445), abs=5e-7)
    for level, low, high in ((0.5, 0.000977, 0.019023), (0.75, -0.005422, 0.025422)):
        found = corrected_t(moons, 10, level)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-7)


def test_the_bayesian_part_of_that_example(moons: list[float]):
    alone = correlated_t(moons, 10, 0.0)
    assert (alone.above, alone.below) == pytest.approx((0.773, 0.227), abs=5e-4)
    found = correlated_t(moons, 10, 0.01)
    assert (found.above, found.inside, found.below) == pytest.approx((0.500, 0.432, 0.068), abs=5e-4)


@given(PAIRS, FOLDS)
def test_without_the_correction_it_is_the_paired_t_test(pairs, folds):
    a, b = np.array(pairs).T
    spread((a - b).tolist())
    found, oracle = corrected_t((a - b).tolist(), folds, ratio=0.0), stats.ttest_rel(a, b)
    interval = oracle.confidence_interval(0.95)
    assert (found.t, found.p, found.df) == pytest.approx((oracle.statistic, oracle.pvalue, len(a) - 1))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


@given(PAIRS, FOLDS)
def test_the_formula_by_a_loop(pairs, folds):
    values = spread([a - b for a, b in pairs])
    total = 0.0
    for value in values:
        total += value
    mean, squares = total / len(values), 0.0
    for value in values:
        squares += (value - mean) ** 2
    se = math.sqrt((1 / len(values) + (1 / folds) / (1 - 1 / folds)) * squares / (len(values) - 1))
    found, posterior = corrected_t(values, folds), correlated_t(values, folds, 0.01)
    assert (found.se, found.t) == pytest.approx((se, mean / se))
    assert (posterior.location, posterior.scale) == pytest.approx((mean, se), abs=1e-12)
    assert found.p is not None
    plain = float(2 * stats.t.sf(abs(mean) / stats.sem(values), len(values) - 1))
    assert found.p >= plain - 1e-12


@given(PAIRS, FOLDS, ROPES)
def test_mirrored_runs_give_mirrored_results(pairs, folds, rope):
    values = spread([a - b for a, b in pairs])
    mirrored = [b - a for a, b in pairs]
    found, other = corrected_t(values, folds), corrected_t(mirrored, folds)
    assert found.low is not None
    assert found.high is not None
    assert (other.t, other.p) == pytest.approx((-(found.t or 0), found.p))
    assert (other.low, other.high) == pytest.approx((-found.high, -found.low))
    one, two = correlated_t(values, folds, rope), correlated_t(mirrored, folds, rope)
    assert (one.below, one.inside, one.above) == pytest.approx((two.above, two.inside, two.below), abs=1e-12)


@given(PAIRS, FOLDS, ROPES, st.randoms(use_true_random=False))
def test_the_order_of_folds_does_not_matter(pairs, folds, rope, random):
    values = spread([a - b for a, b in pairs])
    shuffled = random.sample(values, len(values))
    assert corrected_t(shuffled, folds).p == pytest.approx(corrected_t(values, folds).p)
    assert correlated_t(shuffled, folds, rope).inside == pytest.approx(
        correlated_t(values, folds, rope).inside, abs=1e-9
    )


@given(PAIRS, FOLDS, ROPES)
def test_probabilities_are_areas_of_the_posterior(pairs, folds, rope):
    found = correlated_t(spread([a - b for a, b in pairs]), folds, rope)
    assert found.below is not None
    assert found.inside is not None
    assert found.above is not None
    assert found.below + found.inside + found.above == pytest.approx(1)
    assert min(found.below, found.inside, found.above) >= 0

    def density(x: float) -> float:
        return float(stats.t.pdf(x, found.df, found.location, found.scale))

    middle = [x for x in (found.location,) if x is not None and -rope < x < rope]
    area, _ = integrate.quad(density, -rope, rope, points=middle or None)
    assert found.inside == pytest.approx(area, abs=1e-6)


@given(PAIRS, FOLDS)
def test_the_test_and_the_posterior_agree(pairs, folds):
    values = spread([a - b for a, b in pairs])
    found, posterior = corrected_t(values, folds), correlated_t(values, folds, 0.0)
    assert posterior.below is not None
    assert posterior.above is not None
    assert found.p == pytest.approx(2 * min(posterior.below, posterior.above))
    assert found.p is not None
    assert found.low is not None
    assert found.high is not None
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0) or found.p == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("values", "folds", "reason"),
    [
        ([0.1, 0.2], 2, "2 folds a repeat are too few"),
        ([0.1, 0.2, 0.3, 0.1], 2, "2 folds a repeat are too few"),
        ([0.1, 0.2], 5, "2 tested outer folds: at least 3"),
        ([0.1], 5, "1 tested outer fold: at least 3"),
        ([], 5, "0 tested outer folds"),
        ([0.0, 0.0, 0.0], 3, "all 3 differences are equal"),
        ([0.9 - 0.8, 0.8 - 0.7, 0.5 - 0.4], 3, "all 3 differences are equal"),
        ([0.1, None, 0.3, None, 0.2], 5, "undefined in 2 of 5 outer folds"),
        ([None, None, None], 3, "undefined in 3 of 3 outer folds"),
    ],
)
def test_what_is_undefined_has_a_reason_and_no_number(values, folds, reason):
    test, posterior = corrected_t(values, folds), correlated_t(values, folds, 0.01)
    for found in (test, posterior):
        assert reason in found.note
        assert {value for name, value in vars(found).items() if name != "note"} == {None}
    assert describe(values, folds).note == test.note
    defined = [value for value in values if value is not None]
    assert describe(values, folds).mean == (pytest.approx(np.mean(defined)) if defined else None)


def test_holm_of_a_textbook():
    # 0.01, 0.04, 0.03, 0.005: the smallest times 4, then times 3, 2, 1, never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested():
    assert holm([0.01, None, 0.03]) == [pytest.approx(0.02), None, pytest.approx(0.03)]
    assert holm([None, None]) == [None, None]


@given(P_VALUES)
def test_holm_rejects_what_the_step_down_procedure_rejects(values):
    adjusted = holm(values)
    defined = [(p, place) for place, p in enumerate(values) if p is not None]
    for alpha in (0.01, 0.05, 0.2):
        assume(all(abs(p * m - alpha) > 1e-12 for p, _ in defined for m in range(1, len(defined) + 1)))
        rejected = set()
        for step, (p, place) in enumerate(sorted(defined)):
            if p > alpha / (len(defined) - step):
                break
            rejected.add(place)
        assert {place for place, p in enumerate(adjusted) if p is not None and p <= alpha} == rejected


@given(P_VALUES, st.randoms(use_true_random=False))
def test_holm_keeps_the_order_of_its_values(values, random):
    places = random.sample(range(len(values)), len(values))
    assert holm([values[i] for i in places]) == [holm(values)[i] for i in places]
    for p, q in zip(values, holm(values), strict=True):
        assert (p is None) == (q is None)
        if p is not None and q is not None:
            assert p <= q <= 1


def test_unequal_folds_give_both_tests_the_same_ratio():
    """Folds of 200, 50, 50, 50 and 50 cases: at rope 0 the smaller tail is half of p."""
    values, ratio = [0.02, 0.03, 0.01, 0.05, 0.015], (200 / 200 + 4 * 50 / 350) / 5
    found, posterior = corrected_t(values, 5, ratio=ratio), correlated_t(values, 5, 0.0, ratio)
    assert found.p is not None
    assert posterior.below == pytest.approx(found.p / 2)
    assert posterior.scale == pytest.approx(np.sqrt(1 / 5 + ratio) * np.std(values, ddof=1))
    assert correlated_t(values, 5, 0.0).below != pytest.approx(found.p / 2)
