"""Predictions of several cases as one: of the images of a breast, the slices of an exam, a subject's visits.

Probabilities are pooled by their power mean, (mean of p^r)^(1/r): r = 1 is their mean, infinity the largest,
and what lies between them weighs the suspicious cases more. Of two classes the probability of the event is
pooled and the other one follows; of several each is pooled, and all are divided by their sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

POWERS = {"mean": 1.0, "max": math.inf}
LEARNED = (1.0, 2.0, 4.0, 8.0, math.inf)
"""Powers that "learned" chooses from."""


@dataclass(frozen=True)
class Rule:
    """How a task pools.

    Attributes:
        kind: "classes" (labels [n], probabilities [n, C]), "labels" ([n, labels] both, NaN = not known) or
            "number" ([n] both; the mean or the largest).
        event: of two classes, the one that a unit has if one of its cases has it.
    """

    kind: str
    event: int = 1

    def truth(self, values: np.ndarray, power: float = 1.0) -> np.ndarray:
        """What is true of a unit of n cases: the event if any has it, a label if any is known to have it.

        Args:
            values: [n, ...] of its cases. Of several classes they must agree; see `mixed`.
            power: of numbers, which are pooled as their predictions are.
        """
        if self.kind == "number":
            return self.predicted(values, power)
        if self.kind == "labels":
            known = ~np.isnan(values)
            return np.where(known.any(axis=0), np.where(known, values, 0.0).max(axis=0), np.nan)
        return np.asarray(self.event if (values == self.event).any() else values[0], values.dtype)

    def predicted(self, values: np.ndarray, power: float) -> np.ndarray:
        """The prediction of a unit of those [n, ...] of its cases."""
        if self.kind == "number":
            return values.max(axis=0) if math.isinf(power) else values.mean(axis=0)
        pooled = power_mean(values, power)
        if self.kind == "labels":
            return pooled
        if len(pooled) == 2:
            return np.where(np.arange(2) == self.event, pooled[self.event], 1 - pooled[self.event])
        return pooled / pooled.sum()


def power_mean(values: np.ndarray, power: float) -> np.ndarray:
    """The power mean over the first axis of numbers from 0 to 1."""
    if math.isinf(power):
        return values.max(axis=0)
    return (values**power).mean(axis=0) ** (1 / power)


def members(units: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Each unit, in order of its first case, and the numbers of its cases."""
    names, first, number = np.unique(np.asarray(units, str), return_index=True, return_inverse=True)
    order = np.argsort(number, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(number))[:-1])
    for place in np.argsort(first, kind="stable").tolist():
        yield str(names[place]), rows[place]


def mixed(units: Sequence[str], labels: np.ndarray) -> list[str]:
    """Units whose cases [N] have several classes."""
    return [name for name, rows in members(units) if len(set(labels[rows].tolist())) > 1]
