"""Kendall and Kruskal-Wallis: formulas by hand, and what scipy knows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nachos_jax.statistics.ranks import kendall, kruskal_wallis

SCORES = st.lists(st.floats(0, 1), min_size=3, max_size=12, unique=True)


def by_pairs(a, b):
    """Tau-b by its definition: pairs in the same order less the others, over the roots of untied pairs."""
    signs = [
        (np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in itertools.combinations(range(len(a)), 2)
    ]
    untied = (sum(x != 0 for x, _ in signs), sum(y != 0 for _, y in signs))
    return sum(x * y for x, y in signs) / math.sqrt(untied[0] * untied[1])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=15))
def test_tau_is_that_of_its_definition_ties_included(pairs):
    a, b = ([float(pair[i]) for pair in pairs] for i in (0, 1))
    found = kendall(a, b)
    if len(set(a)) < 2 or len(set(b)) < 2:
        assert (found.tau, found.z, found.p, found.note) == (None, None, None, "all are equal")
    else:
        assert found.tau == pytest.approx(by_pairs(a, b))
        assert found.p == pytest.approx(tuple(stats.kendalltau(a, b))[1])


@given(SCORES, st.randoms())
def test_z_without_ties_gives_the_p_of_the_normal_distribution(a, random):
    b = random.sample(a, len(a))
    found, (_, p) = kendall(a, b), stats.kendalltau(a, b, method="asymptotic")
    assert found.z is not None
    assert 2 * stats.norm.sf(abs(found.z)) == pytest.approx(p)


def test_the_order_itself_and_its_reverse():
    values = [0.1, 0.5, 0.3, 0.9]
    assert (kendall(values, values).tau, kendall(values, [-v for v in values]).tau) == (1.0, -1.0)
    assert kendall(values, values).p == pytest.approx(2 / math.factorial(4)), "exact: two of all orders"
    assert kendall([1, 2], [1, 2]).note == "2 to rank: at least 3 are needed"


def test_kruskal_wallis_by_its_formula():
    groups = {"a": [1.0, 2.0, 3.0], "b": [4.0, 6.0], "c": [5.0, 7.0, 8.0, 9.0]}
    n, ranks = 9, {name: np.array(group) for name, group in groups.items()}  # values are their ranks
    h = 12 / (n * (n + 1)) * sum(r.sum() ** 2 / len(r) for r in ranks.values()) - 3 * (n + 1)
    found = kruskal_wallis(groups)
    assert found.h == pytest.approx(h)
    assert found.p == pytest.approx(stats.chi2.sf(h, 2))
    assert found.epsilon_squared == pytest.approx(h * (n + 1) / (n**2 - 1))
    assert (found.df, found.count) == (2, 9)


@given(
    st.lists(st.lists(st.integers(0, 5).map(float), min_size=2, max_size=6), min_size=2, max_size=4),
    st.sampled_from([lambda v: 3 * v + 1, lambda v: v**3]),
)
def test_only_ranks_count_and_the_effect_is_a_share(groups, rising):
    named = {str(i): group for i, group in enumerate(groups)}
    found = kruskal_wallis(named)
    again = kruskal_wallis({name: [rising(v) for v in group] for name, group in named.items()})
    if found.note:
        assert found.note == again.note == "all values are equal"
        return
    assert found.h == pytest.approx(again.h)
    assert found.epsilon_squared is not None
    assert -1e-9 <= found.epsilon_squared <= 1 + 1e-9
