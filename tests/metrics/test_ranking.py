"""Areas by comparing each with all and by sorting: the same numbers to the last bit."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.metrics import ranking


@given(st.data(), st.integers(2, 90))
def test_both_ways_of_the_auc_give_the_same_bits(data, n):
    scores = data.draw(hnp.arrays(float, n, elements=st.sampled_from([0.0, 0.1, 0.3, 1 / 3, 0.7, 1.0])))
    positive = data.draw(hnp.arrays(bool, n))
    weights = data.draw(hnp.arrays(np.int64, (3, n), elements=st.integers(0, 3))).astype(float)
    with np.errstate(invalid="ignore"):
        by_pairs = ranking._by_pairs(positive, scores, weights)
        by_order = ranking._by_order(positive, scores, weights)
    np.testing.assert_array_equal(by_pairs, by_order)


@given(st.data(), st.integers(2, 60), st.integers(2, 11))
def test_all_classes_at_once_give_the_bits_of_one_by_one_and_so_does_their_mean(data, n, count):
    scores = data.draw(hnp.arrays(float, (n, count), elements=st.sampled_from([0.0, 0.1, 1 / 3, 0.7, 1.0])))
    labels = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, count - 1)))
    weights = data.draw(hnp.arrays(np.int64, (12, n), elements=st.integers(0, 3))).astype(float)
    with np.errstate(invalid="ignore"):
        one_by_one = [ranking.auc(labels == c, scores[:, c], weights) for c in range(count)]
        at_once = ranking.each_auc(labels, scores, weights)
    np.testing.assert_array_equal(at_once, one_by_one)
    np.testing.assert_array_equal(np.mean(at_once, axis=0), np.mean(one_by_one, axis=0))
