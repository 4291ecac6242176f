"""Equal images are found whatever lies between them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.data import duplicates
from nachos_jax.data.store import Dense


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_groups_are_those_of_a_plain_search(kinds: list[int]):
    pictures = np.random.default_rng(0).integers(0, 2, (7, 2, 2, 1), np.uint8)
    pictures[3] = pictures[5]
    images = pictures[kinds]
    found = duplicates.equal_cases(Dense(images), len(images))
    plain = {
        tuple(j for j in range(len(images)) if (images[i] == images[j]).all()) for i in range(len(images))
    }
    assert {tuple(rows) for rows in found} == {rows for rows in plain if len(rows) > 1}
