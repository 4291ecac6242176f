"""Equal images are found whatever lies between them."""

from __future__ import annotations

import tracemalloc

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


DTYPES = ("uint8", "uint16", "int16", "float16", "float32")


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_copies_on_both_sides_are_found_whatever_their_dtypes(kinds: list[int], inside: str, there: str):
    pictures = np.random.default_rng(0).integers(0, 2, (7, 2, 2, 1), np.uint8)
    pictures[3] = pictures[5]
    known, others = pictures[:4].astype(inside), pictures[kinds].astype(there)
    found = duplicates.shared((Dense(known), 4), (Dense(others), len(others)))
    plain = [
        (next(i for i in range(4) if (known[i] == others[j]).all()), j)
        for j in range(len(others))
        if any((known[i] == others[j]).all() for i in range(4))
    ]
    assert found == plain


def test_values_that_one_dtype_cannot_hold_are_no_copies():
    wide = np.array([[[[-1]]], [[[65535]]], [[[300]]]])
    stores = Dense(wide[[0, 2]].astype(np.int16)), Dense(wide[1:].astype(np.uint16))
    assert duplicates.shared((stores[0], 2), (stores[1], 2)) == [(1, 1)]
    zeros = Dense(np.zeros((1, 2, 2, 1), np.int16)), Dense(np.full((1, 2, 2, 1), -0.0, np.float32))
    assert duplicates.shared((zeros[0], 1), (zeros[1], 1)) == [(0, 0)]


def test_cases_are_brought_to_a_common_dtype_one_at_a_time():
    images = np.zeros((50, 64, 64, 1), np.uint16)
    images[:, 0, 0, 0] = np.arange(50)
    stores = Dense(images), Dense(images.astype(np.float32))
    tracemalloc.start()
    assert duplicates.shared((stores[0], 50), (stores[1], 50)) == [(row, row) for row in range(50)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < images.nbytes / 2
