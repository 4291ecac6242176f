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
