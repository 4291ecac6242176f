"""Threads of linear algebra: one inside, as many as before outside."""

from __future__ import annotations

import json
import subprocess
import sys

import jax
import pytest
from threadpoolctl import threadpool_info

from nachos_jax.runtime.blas import OneThread


def threads() -> list[int]:
    return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]


def test_one_thread_inside_and_as_many_as_before_outside():
    jax.local_devices()
    limit = OneThread()
    before = threads()
    assert before, "JAX has loaded SciPy's"
    for _ in range(2):
        with limit:
            assert set(threads()) == {1}
        assert threads() == before


@pytest.mark.thorough
def test_the_library_of_scipy_is_limited_although_nothing_has_used_it_yet():
    """JAX loads it with the first factorisation that it compiles; numpy has one of its own."""
    code = (
        "import jax, json; jax.local_devices(); from nachos_jax.runtime.blas import OneThread\n"
        "limit = OneThread()\n"
        "import scipy.linalg; from threadpoolctl import threadpool_info\n"
        "def found(): return {i['filepath']: i['num_threads'] for i in threadpool_info() if 'scipy.libs' in "
        "i['filepath']}\n"
        "before = found()\n"
        "with limit: print(json.dumps([before, found()]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, inside = map(list, (of.values() for of in json.loads(done.stdout)))
    if not before or max(before) < 2:
        pytest.skip("SciPy has no library of its own here, or it has one thread")
    assert set(inside) == {1}
