"""Expected gains against numerical integrals, and waits against curves that are read by eye."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import integrate, stats

from nachos_jax.core.types import EpochLimit
from nachos_jax.records.schema import Curve
from nachos_jax.search.policies.gain import expected_gain
from nachos_jax.search.policies.patience import learned, longest_wait
from nachos_jax.search.policies.policy import Asked, Known


@pytest.mark.parametrize(
    ("leads", "variance", "freedom"),
    [([0.1, 0.3], 0.04, 2.0), ([-0.2, 0.1, 0.0], 0.01, 3.0), ([2.0], 0.5, 5.0)],
)
def test_a_gain_is_the_integral_over_what_may_be_gained(leads, variance, freedom):
    folds = 5
    shown = np.array([leads + [np.nan] * (folds - len(leads))])
    error = np.sqrt(variance / len(leads) * (1 - len(leads) / folds))
    density = partial(stats.t.pdf, df=freedom, loc=-np.mean(leads), scale=error)
    expected = integrate.quad(lambda gain: gain * density(gain), 0, np.inf)[0]
    found = expected_gain(shown, np.array([variance]), np.array([freedom]), folds)
    assert found[0] == pytest.approx(expected, rel=1e-5)


def test_nothing_is_left_to_gain_when_all_folds_are_known():
    leads = np.array([[0.1, -0.05], [-0.1, 0.02]])
    found = expected_gain(leads, np.full(2, 0.01), np.full(2, 2.0), 2)
    assert found == pytest.approx([0.0, 0.04])


FLAT = [0.70, 0.701, 0.699, 0.7005, 0.6995, 0.7, 0.6998, 0.7002]


def test_small_falls_do_not_end_a_wait():
    late = (*FLAT, 0.6, 0.5, 0.4, *[0.401, 0.402, 0.4015, 0.4025, 0.402] * 2)
    assert longest_wait(late) == len(FLAT)
    assert longest_wait(tuple(0.5 - 0.01 * epoch for epoch in range(20))) <= 4


def test_who_starts_late_is_waited_for_and_who_does_not_is_not():
    known = Known((0, 1), EpochLimit(60, 16))
    for trial, before in ((0, FLAT), (1, [])):
        loss = [*before, 0.6, 0.5, 0.4, *[0.401, 0.402, 0.4015, 0.4025] * 4]
        asked = Asked(trial, 0, known.limit)
        known.tell(asked, Curve(tuple(loss), (0.5,) * len(loss), "patience"))
        known.look([asked])
    assert learned(known, 0) == known.limit
    assert learned(known, 1) == EpochLimit(60, 2)
    assert learned(known, 2) == known.limit  # nothing is known of it
