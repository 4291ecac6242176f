"""Windows of cases read ahead from memory-mapped pixels: the one importer of Grain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_AHEAD = 2
"""Windows read while one is in use."""


class WindowReader:
    """Reads windows of a cohort by background threads, in the order asked for.

    Args:
        images: [N, H, W, C], usually memory-mapped.
        labels: [N] int32.
        cases: [count, size] int32, the cases of each window; -1 repeats case 0, which nobody looks at.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, cases: np.ndarray):
        self._images, self._labels, self._cases = images, labels, cases

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, window: int) -> tuple[int, np.ndarray, np.ndarray]:
        """One window: its number, images [size, H, W, C] and labels [size]."""
        members = np.maximum(self._cases[window], 0)
        # Sorted reads are forward reads of the disk.
        order = np.argsort(members, kind="stable")
        images = np.empty((len(members), *self._images.shape[1:]), self._images.dtype)
        images[order] = self._images[members[order]]
        return int(window), images, np.asarray(self._labels[members], np.int32)

    def read(self, windows: Sequence[int]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """The windows asked for, read ahead while the caller works on those before."""
        import grain

        options = grain.ReadOptions(num_threads=_AHEAD, prefetch_buffer_size=_AHEAD)
        wanted = grain.MapDataset.source(_Chosen(self, list(windows)))  # type: ignore[arg-type]
        yield from wanted.to_iter_dataset(options)


class _Chosen:
    """Some windows of a reader, as a Grain source."""

    def __init__(self, reader: WindowReader, windows: Sequence[int]):
        self._reader, self._windows = reader, windows

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, place: int) -> tuple[int, np.ndarray, np.ndarray]:
        return self._reader[self._windows[place]]
