"""The narrowest intervals against simulation and a known formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nachos_jax.statistics.width import auc_width, share_width


def test_width_of_an_auc_is_that_of_simulated_studies():
    random, shift = np.random.default_rng(0), np.sqrt(2) * stats.norm.ppf(0.85)
    aucs = [(random.normal(shift, 1, (40, 1)) > random.normal(0, 1, (1, 60))).mean() for _ in range(2000)]
    assert auc_width(40, 60, 0.85) == pytest.approx(2 * 1.96 * np.std(aucs), rel=0.15)


@pytest.mark.parametrize(("count", "right"), [(10, 9), (50, 40), (400, 380)])
def test_width_of_a_share_is_wilsons(count: int, right: int):
    low, high = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert share_width(count, right / count) == pytest.approx(high - low)
