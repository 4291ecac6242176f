"""Analysis of variance: scipy's one-way test, the paired t test, and sums of squares of a balanced design."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from nachos_jax.statistics.anova import main_effects


def test_one_factor_without_blocks_is_the_one_way_test():
    draw = np.random.default_rng(0)
    groups = [draw.normal(mean, 1, size) for mean, size in ((0, 4), (0.5, 7), (1, 5))]
    levels = [level for level, group in enumerate(groups) for _ in group]
    values = np.concatenate(groups)
    found = main_effects(values.tolist(), {"a": levels}, [0] * len(values))["a"]
    known = stats.f_oneway(*groups)
    assert (found.f, found.p) == (pytest.approx(known.statistic), pytest.approx(known.pvalue))
    assert (found.df, found.residual_df) == (2, 13)
    assert found.p_bonferroni == found.p


def test_two_levels_in_blocks_are_the_paired_t_test():
    draw = np.random.default_rng(1)
    easy = draw.normal(0, 10, 8)  # blocks differ far more than levels
    a, b = easy + draw.normal(0, 1, 8), easy + draw.normal(0.8, 1, 8)
    found = main_effects([*a, *b], {"x": [0] * 8 + [1] * 8}, [*range(8), *range(8)])["x"]
    known = stats.ttest_rel(a, b)
    assert (found.f, found.p) == (pytest.approx(known.statistic**2), pytest.approx(known.pvalue))


def test_a_balanced_grid_has_the_sums_of_squares_of_the_textbook():
    draw = np.random.default_rng(2)
    places = list(itertools.product(range(3), range(2), range(4)))  # a, b, block
    y = np.array([0.5 * a + 2 * b + 3 * k + draw.normal() for a, b, k in places])
    columns = np.array(places).T

    def between(column):
        return sum(np.sum(column == v) * (y[column == v].mean() - y.mean()) ** 2 for v in np.unique(column))

    squares = [between(column) for column in columns]
    residual, df = np.sum((y - y.mean()) ** 2) - sum(squares), len(y) - 1 - 2 - 1 - 3
    found = main_effects(y.tolist(), {"a": columns[0], "b": columns[1]}, columns[2].tolist())
    for name, square, levels in (("a", squares[0], 2), ("b", squares[1], 1)):
        f = square / levels / (residual / df)
        assert found[name].f == pytest.approx(f)
        assert found[name].p == pytest.approx(stats.f.sf(f, levels, df))
        assert found[name].p_bonferroni == pytest.approx(min(1.0, 2 * stats.f.sf(f, levels, df)))
        assert found[name].eta_squared == pytest.approx(square / (square + residual))


def test_one_at_a_time_is_each_level_against_the_base():
    """Of a base and one change each, a factor's contrast is that of its trial with the base."""
    draw = np.random.default_rng(3)
    trials = [("x", 1), ("y", 1), ("x", 2)]  # the base, then one change each
    y = draw.normal(size=(5, 3))
    values, blocks = y.ravel().tolist(), [k for k in range(5) for _ in trials]
    factors = {name: [trial[i] for trial in trials] * 5 for i, name in enumerate("ab")}
    found = main_effects(values, factors, blocks)
    centred = y - y.mean(axis=1, keepdims=True)
    residual = np.sum((centred - centred.mean(axis=0)) ** 2)
    difference = (y[:, 1] - y[:, 0]).mean()
    assert found["a"].residual_df == 5 * 3 - 5 - 2
    assert found["a"].f == pytest.approx(difference**2 * 5 / 2 / (residual / 8))


@pytest.mark.parametrize(
    ("values", "levels", "blocks", "why"),
    [
        ([0.1, 0.2, 0.3], {"a": [0, 1, 2]}, [0, 0, 0], "no spread is left"),
        ([0.1, 0.1, 0.3, 0.3], {"a": [0, 1, 0, 1]}, [0, 0, 1, 1], "no spread is left"),
        ([0.1, 0.2, 0.3, 0.5], {"a": [0, 1, 0, 1], "b": [0, 1, 0, 1]}, [0, 0, 0, 0], "told from those of"),
    ],
)
def test_what_cannot_be_tested_says_why(values, levels, blocks, why):
    for found in main_effects(values, levels, blocks).values():
        assert (found.f, found.p, found.p_bonferroni, found.eta_squared) == (None,) * 4
        assert why in found.note
