"""What is seen of each picture: values that were cut at the top, whatever the dtype."""

from __future__ import annotations

import numpy as np
import pytest

from nachos_jax.audit import values
from nachos_jax.audit.grays import look
from nachos_jax.data.store import Dense


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.int16, 4095), (np.float32, 31.5)])
def test_images_that_were_cut_at_the_top_are_found(dtype: type, top: float):
    images = np.random.default_rng(0).uniform(0, 0.9 * top, (6, 8, 8, 1)).astype(dtype)
    images[2, :4] = top
    seen = look(Dense(images), 6)
    assert seen.top.tolist() == [0, 0, 0.5, 0, 0, 0]
    (found,) = values.findings(seen)
    assert (found.kind, list(found.groups)) == ("saturated images", [[2]])


def test_the_highest_of_8_bits_is_255_whatever_the_cohort_holds():
    images = np.random.default_rng(0).integers(0, 100, (4, 8, 8, 1)).astype(np.uint8)
    images[1, :4] = 120
    assert look(Dense(images), 4).top.tolist() == [0] * 4
