"""Threads of the linear algebra of a processor, which JAX borrows from SciPy."""

from __future__ import annotations

from typing import Any


class OneThread:
    """A context in which each factorisation keeps to one thread.

    Lanes fill the cores, and threads of small factorisations spend more processor time on waiting for each
    other than on work. What is loaded later is not reached, so SciPy's is loaded here: JAX waits with it
    until it compiles the first factorisation.
    """

    def __init__(self) -> None:
        import scipy.linalg
        from threadpoolctl import ThreadpoolController

        del scipy

        self._found = ThreadpoolController()
        self._limit: Any = None

    def __enter__(self) -> None:
        self._limit = self._found.limit(limits=1, user_api="blas")
        self._limit.__enter__()

    def __exit__(self, *error: object) -> None:
        self._limit.__exit__(*error)
