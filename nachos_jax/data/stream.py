"""Windows of cases read ahead from memory-mapped pixels: the one importer of Grain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nachos_jax.data.store import Store

_AHEAD = 2
"""Windows read while one is in use."""


class WindowReader:
    """Reads windows of a cohort by background threads, in the order asked for.

    Args:
        store: inputs of the N cases, usually memory-mapped.
        targets: [N, ...].
        cases: [count, size] int32, the cases of each window; -1 repeats case 0, which nobody looks at.
    """

    def __init__(self, store: Store, targets: np.ndarray, cases: np.ndarray):
        self._store, self._targets, self._cases = store, targets, cases

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, window: int) -> tuple[int, Any, np.ndarray]:
        """One window: its number, the inputs of its rows (a tree of arrays) and their targets [size, ...]."""
        members = np.maximum(self._cases[window], 0)
        return int(window), self._store.rows(members), self._targets[members]

    def read(self, windows: Sequence[int]) -> Iterator[tuple[int, Any, np.ndarray]]:
        """The windows asked for, read ahead while the caller works on those before."""
        import grain

        options = grain.ReadOptions(num_threads=_AHEAD, prefetch_buffer_size=_AHEAD)
        wanted = grain.MapDataset.source(_Chosen(self, list(windows)))  # pyrefly: ignore[bad-argument-type]
        yield from wanted.to_iter_dataset(options)


class _Chosen:
    """Some windows of a reader, as a Grain source."""

    def __init__(self, reader: WindowReader, windows: Sequence[int]):
        self._reader, self._windows = reader, windows

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, place: int) -> tuple[int, Any, np.ndarray]:
        return self._reader[self._windows[place]]
