"""Windows: the cases of a cohort in equal groups, each shuffled, and streamed, by itself.

A cohort of up to `config.data.window` cases is one window, and an epoch shuffles all of it. A larger one is
divided at random, once a run; an epoch goes through the windows in turn, whether the cases lie on the device
or come from disk, so both ways train on the same batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PURPOSE = 0x77696E
"""Keeps these draws apart from others of the same seed."""


@dataclass(frozen=True)
class Windows:
    """The order in which cases lie on a device."""

    cases: np.ndarray  # [count * size] int32, the case in each row; -1 fills up the windows
    size: int  # rows a window

    @property
    def count(self) -> int:
        """Number of windows."""
        return len(self.cases) // self.size

    @property
    def rows(self) -> np.ndarray:
        """[N] int32: the row of each case."""
        taken = np.flatnonzero(self.cases >= 0)
        rows = np.empty(len(taken), np.int32)
        rows[self.cases[taken]] = taken
        return rows

    def spread(self, chosen: np.ndarray) -> np.ndarray:
        """[rows] bool from [N] bool: a choice of cases, row by row."""
        return chosen[self.cases] & (self.cases >= 0)

    def fewest(self, chosen: np.ndarray) -> int:
        """The smallest number of chosen cases ([N] bool) in a window: no batch can be larger."""
        return int(self.spread(chosen).reshape(self.count, self.size).sum(axis=1).min())

    def steps(self, chosen: np.ndarray, batch_size: int) -> int:
        """Training steps of an epoch over the chosen cases; a window's last short batch is left out."""
        by_window = self.spread(chosen).reshape(self.count, self.size).sum(axis=1)
        return int((by_window // batch_size).sum())


def divide(cases: int, largest: int, seed: int) -> Windows:
    """Divides N cases into as few windows of nearly equal size as possible, drawn by the seed of the run.

    One window in the order of the table when all fit into it.
    """
    count = -(-cases // largest)
    if count == 1:
        return Windows(np.arange(cases, dtype=np.int32), cases)
    size = -(-cases // count)
    order = np.random.default_rng((seed, _PURPOSE)).permutation(cases).astype(np.int32)
    by_window = np.full((count, size), -1, np.int32)
    for number, members in enumerate(np.array_split(order, count)):
        by_window[number, : len(members)] = members
    return Windows(by_window.reshape(-1), size)
