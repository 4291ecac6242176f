"""Targets: what is to be predicted of each case, as a task has read it from the columns of a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nachos_jax.splits.strata import Strata

if TYPE_CHECKING:
    from nachos_jax.data.columns import Columns


@dataclass(frozen=True)
class Targets:
    """The truth of N cases.

    Attributes:
        task: name of the task that read them.
        names: of what is predicted: the classes, the labels, or the one number.
        values: [N, ...] as the task reads them, int32, float32 or float64.
        strata: what the folds are balanced by.
        has: [N, names] bool, which of the names each case has: its class, its labels; [N, 0] of a number.
        noun: what a name is called, "class" or "label".
        facts: what of them enters the hash of the cohort.
        ordered: False where names stand in alphabetical order because nobody has given one.
        doubts: see `nachos_jax.data.table.Cohort`; of these cases and no part of them.
    """

    task: str
    names: tuple[str, ...]
    values: np.ndarray
    strata: Strata
    has: np.ndarray
    noun: str = "class"
    facts: Mapping[str, Any] = field(default_factory=dict)
    ordered: bool = True
    doubts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def of(self, chosen: np.ndarray) -> Targets:
        """Those of the cases chosen by [N] bool or by row numbers; the facts stay with the whole."""
        strata = replace(self.strata, numbers=self.strata.numbers[chosen])
        return Targets(self.task, self.names, self.values[chosen], strata, self.has[chosen], self.noun)

    def texts(self) -> list[str]:
        """[N]: the target of each case in words: its class, its labels ("?" if not known), its number."""
        if self.has.shape[1] == 0:
            return [
                "; ".join(f"{x:.15g}" for x in row) for row in self.values.reshape(len(self), -1).tolist()
            ]
        if self.values.ndim == 1:
            return [self.names[number] for number in self.values.tolist()]
        rows = zip(self.has.tolist(), np.isnan(self.values).tolist(), strict=True)
        return ["; ".join(self._words(has, unknown)) for has, unknown in rows]

    def _words(self, has: Sequence[bool], unknown: Sequence[bool]) -> list[str]:
        told = zip(self.names, has, unknown, strict=True)
        return [f"{name}?" if dark else name for name, there, dark in told if there or dark]

    def counts(self) -> dict[str, int]:
        """Number of cases that have each name; empty of a number."""
        return dict(zip(self.names, self.has.sum(axis=0).tolist(), strict=False))

    @property
    def on_device(self) -> np.ndarray:
        """[N, ...] int32 or float32, as the device holds them."""
        return np.asarray(self.values, np.int32 if self.values.dtype.kind in "iu" else np.float32)


class TargetReader(Protocol):
    """The part of a task that the readers of data need; see `nachos_jax.tasks.task.Task`."""

    @property
    def masks(self) -> bool:
        """True when a target is a mask, which the source must give."""
        ...

    def targets(self, columns: Columns, names: Sequence[str]) -> Targets:
        """The targets in the columns of a source; `names` as config.data.classes orders them, () as found."""
        ...

    def part(self, targets: Targets, rows: np.ndarray) -> Targets:
        """The targets of some cases alone ([n] row numbers), as if no others had been read.

        Raises:
            UsageError: these cases alone could not be learned from: a class is gone, nothing varies.
        """
        ...
