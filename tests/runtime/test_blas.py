"""Threads of linear algebra: one inside, as many as before outside."""

from __future__ import annotations

import jax
from threadpoolctl import threadpool_info

from nachos_jax.runtime.blas import OneThread


def threads() -> list[int]:
    return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]


def test_one_thread_inside_and_as_many_as_before_outside():
    jax.local_devices()
    before, limit = threads(), OneThread()
    assert before, "JAX has loaded SciPy's"
    for _ in range(2):
        with limit:
            assert set(threads()) == {1}
        assert threads() == before
