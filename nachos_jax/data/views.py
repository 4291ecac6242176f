"""Several views of each case: features of the image as it is, and of augmented copies of it.

Training draws one of them a step, or learns from all where nothing is drawn. Predictions and statistics see
the plain one alone, so that tested and deployed models see the same of a case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nachos_jax.data.content import pixel_digest
from nachos_jax.data.sums import TrainingStatistics
from nachos_jax.data.vectors import Vectors


class Views(NamedTuple):
    """The inputs of some cases: a tree of one array."""

    values: Any  # [n, K, D], the plain view first


@dataclass(frozen=True)
class Viewed:
    """The store of N cases with K views each.

    Attributes:
        plain: the first views, as if there were no others.
        values: [N, K, D] float32.
    """

    plain: Vectors
    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one view."""
        return self.plain.shape

    @property
    def dtype(self) -> np.dtype:
        """Stored dtype."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all views."""
        return self.values.nbytes

    def one(self, case: int) -> np.ndarray:
        """The plain view of a case."""
        return self.plain.one(case)

    def rows(self, cases: np.ndarray) -> Views:
        """All views of some cases, [n] int32."""
        return Views(self.values[cases])

    def forms(self, count: int) -> Views:
        """Arrays of such shapes that take no memory."""
        return Views(np.broadcast_to(np.zeros((), self.dtype), (count, *self.values.shape[1:])))

    def sums(self) -> TrainingStatistics:
        """What training cases tell of each column, by their plain views."""
        return self.plain.sums()

    def take(self, cases: np.ndarray) -> Viewed:
        """Some cases alone."""
        return Viewed(self.plain.take(cases), self.values[cases])

    def content(self) -> dict[str, str]:
        """Digests of the plain views, and of all."""
        return {**self.plain.content(), "views": pixel_digest(self.values)}


def of(values: np.ndarray, impute: str) -> Vectors | Viewed:
    """The store of views [N, K, D] float32; that of plain vectors where there is one view a case."""
    plain = Vectors(np.ascontiguousarray(values[:, 0]), impute)
    return plain if values.shape[1] == 1 else Viewed(plain, values)


def plain_of(inputs: Any) -> Any:
    """What is predicted from: the plain views, or inputs that have no views."""
    return inputs.values[:, 0] if isinstance(inputs, Views) else inputs
