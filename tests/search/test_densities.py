"""Kernel densities against plain loops and scipy's distributions, and samples against their density."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from nachos_jax.search.densities import Axis, Density

REAL = Axis()
ORDERED = Axis(4, (0.0, 0.1, 0.4, 0.8, 1.0))
UNORDERED = Axis(3)
AXES = (REAL, ORDERED, UNORDERED)
UNIT = st.floats(0, 1)
POINTS = st.lists(st.tuples(UNIT, st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=8)


def plain(axes, points, h, at) -> float:
    """The density at one point, one kernel after the other."""
    return float(np.mean([math.prod(map(kernel, axes, at, centre, h)) for centre in points]))


def kernel(axis: Axis, x: float, centre: float, h: float) -> float:
    if axis.unordered:
        return 1 - h if x == centre else h / (axis.count - 1)
    if axis.edges:
        centre = (axis.edges[int(centre)] + axis.edges[int(centre) + 1]) / 2
    cut = stats.truncnorm(-centre / h, (1 - centre) / h, loc=centre, scale=h)
    if axis.edges:
        return float(cut.cdf(axis.edges[int(x) + 1]) - cut.cdf(axis.edges[int(x)]))
    return float(cut.pdf(x))  # pyrefly: ignore[missing-attribute]


@settings(max_examples=40)
@given(POINTS, st.tuples(UNIT, st.integers(0, 3), st.integers(0, 2)))
def test_the_density_is_that_of_a_plain_loop(points, at):
    density = Density(AXES, np.asarray(points, float))
    expected = plain(AXES, points, density.bandwidths, at)
    found = float(np.exp(density.log(np.asarray([at], float))[0]))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


@settings(max_examples=25)
@given(POINTS)
def test_a_density_sums_to_one(points):
    points = np.asarray(points, float)
    for place, axis in enumerate(AXES):
        density = Density((axis,), points[:, place : place + 1])
        if axis.count:
            total = np.exp(density.log(np.arange(axis.count, dtype=float)[:, None])).sum()
        else:
            x = np.linspace(0, 1, 200_001)
            total = integrate.simpson(np.exp(density.log(x[:, None])), x=x)
        assert total == pytest.approx(1, abs=1e-3)


def test_bandwidths_are_those_of_the_normal_reference():
    x = np.asarray([0.1, 0.4, 0.45, 0.9])
    points = np.stack([x, [0, 1, 1, 3], [0, 0, 1, 2]], axis=1)
    real, ordered, unordered = Density(AXES, points).bandwidths
    assert real == pytest.approx(1.06 * x.std() * 4 ** (-1 / 7))
    assert ordered == pytest.approx(1.06 * np.std([0.05, 0.25, 0.25, 0.9]) * 4 ** (-1 / 7))
    assert unordered == pytest.approx(min(2 / 3, 1.06 * math.sqrt(1 - 6 / 16) * 4 ** (-1 / 7)))
    assert (Density(AXES, points[:1]).bandwidths == 1e-3).all()


def test_far_from_all_points_the_logarithm_is_still_a_number():
    density = Density(AXES, np.asarray([[0.0, 0, 0], [0.0, 0, 0]]))
    assert np.isfinite(density.log(np.asarray([[1.0, 3, 2]]))).all()


@pytest.mark.parametrize("widened", [1.0, 3.0])
def test_samples_come_from_the_widened_density(widened):
    points = np.asarray([[0.05, 0, 0], [0.2, 1, 0], [0.7, 1, 2]])
    density = Density(AXES, points)
    drawn = density.sample(20_000, widened, np.random.default_rng(3))
    assert drawn.shape == (20_000, 3)
    h = [
        min(b * widened, 2 / 3 if axis.unordered else np.inf)
        for b, axis in zip(density.bandwidths, AXES, strict=True)
    ]

    def cdf(x):
        parts = [stats.truncnorm.cdf(x, -c / h[0], (1 - c) / h[0], c, h[0]) for c in points[:, 0]]
        return np.mean(parts, axis=0)

    assert stats.kstest(drawn[:, 0], cdf).pvalue > 1e-3
    for place in (1, 2):
        axis = AXES[place]
        expected = [
            np.mean([kernel(axis, x, c, h[place]) for c in points[:, place]]) for x in range(axis.count)
        ]
        found = np.bincount(drawn[:, place].astype(int), minlength=axis.count)
        assert stats.chisquare(found, np.asarray(expected) / np.sum(expected) * 20_000).pvalue > 1e-3


def test_an_axis_says_whether_it_has_an_order():
    assert UNORDERED.unordered
    assert not ORDERED.unordered
    assert not REAL.unordered
    assert not replace(UNORDERED, edges=(0.0, 0.5, 0.7, 1.0)).unordered
