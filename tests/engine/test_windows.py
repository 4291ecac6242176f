"""Windows hold every case once, and change nothing while one is enough."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.engine.windows import divide

NUMBERS = st.tuples(st.integers(1, 500), st.integers(1, 600), st.integers(0, 9))


@given(NUMBERS)
def test_every_case_lies_in_one_row_and_windows_are_of_equal_size(numbers):
    cases, largest, seed = numbers
    windows = divide(cases, largest, seed)
    assert windows.size <= largest
    assert len(windows.cases) == windows.count * windows.size
    assert sorted(windows.cases[windows.cases >= 0]) == list(range(cases))
    assert (windows.cases[windows.rows] == np.arange(cases)).all()
    filled = (windows.cases.reshape(windows.count, -1) >= 0).sum(axis=1)
    assert filled.max() - filled.min() <= 1


@given(NUMBERS, st.integers(1, 20))
def test_steps_are_those_of_a_plain_loop(numbers, batch_size):
    cases, largest, seed = numbers
    windows = divide(cases, largest, seed)
    chosen = np.random.default_rng(seed).random(cases) < 0.7
    by_hand, counts = 0, []
    for first in range(0, len(windows.cases), windows.size):
        members = [c for c in windows.cases[first : first + windows.size] if c >= 0 and chosen[c]]
        by_hand += len(members) // batch_size
        counts.append(len(members))
    assert windows.steps(chosen, batch_size) == by_hand
    assert windows.fewest(chosen) == min(counts)
    assert windows.spread(chosen).sum() == chosen.sum()


def test_a_single_window_keeps_the_order_of_the_table():
    assert (divide(20, 20, 5).cases == np.arange(20)).all()


def test_windows_mix_the_table_and_depend_on_the_seed():
    windows = divide(1000, 100, 0)
    means = windows.cases.reshape(10, 100).mean(axis=1)
    assert means.max() - means.min() < 250, "a window holds a stretch of the table"
    assert (divide(1000, 100, 1).cases != windows.cases).any()
