"""Images and vectors of the same cases: the columns of a table, or an array, beside what the pixels show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nachos_jax.data.store import Dense
from nachos_jax.data.sums import TrainingStatistics
from nachos_jax.data.vectors import Vectors


class Inputs(NamedTuple):
    """Inputs of some cases: a tree of two arrays, with a row a case in each."""

    images: Any  # [n, H, W, C], or of volumes [n, D, H, W, C]
    vectors: Any  # [n, D] float32, NaN where a value is missing


@dataclass(frozen=True)
class Joined:
    """The store of cases with an image and a vector each; where one is shown or compared, it is its image."""

    images: Dense
    vectors: Vectors

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an image."""
        return self.images.shape

    @property
    def dtype(self) -> np.dtype:
        """Stored dtype of the images."""
        return self.images.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all inputs."""
        return self.images.nbytes + self.vectors.nbytes

    def one(self, case: int) -> np.ndarray:
        """The image of a case."""
        return self.images.one(case)

    def rows(self, cases: np.ndarray) -> Inputs:
        """The inputs of some cases, [n] int32."""
        return Inputs(self.images.rows(cases), self.vectors.rows(cases))

    def forms(self, count: int) -> Inputs:
        """Arrays of such shapes that take no memory."""
        return Inputs(self.images.forms(count), self.vectors.forms(count))

    def sums(self) -> JoinedStatistics:
        """What training cases tell of the channels, then of the columns."""
        return JoinedStatistics(self.images.sums(), self.vectors.sums(), self.shape[-1])

    def take(self, cases: np.ndarray) -> Joined:
        """Some cases alone."""
        return Joined(self.images.take(cases), self.vectors.take(cases))

    def content(self) -> dict[str, str]:
        """Digests of both."""
        return {**self.images.content(), **self.vectors.content()}


@dataclass(frozen=True)
class JoinedStatistics:
    """Statistics of C channels followed by those of D columns: [C + D] numbers each."""

    images: TrainingStatistics
    vectors: TrainingStatistics
    channels: int

    def mean_sd(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, each [C + D] float32, over the cases chosen by [N] bool."""
        pairs = zip(self.images.mean_sd(chosen), self.vectors.mean_sd(chosen), strict=True)
        mean, sd = map(np.concatenate, pairs)
        return mean, sd

    def fill(self, chosen: np.ndarray) -> np.ndarray | None:
        """[C + D] float32, 0 of a channel; None without impute."""
        found = self.vectors.fill(chosen)
        return None if found is None else np.concatenate([np.zeros(self.channels, np.float32), found])


def part(cases: Any, rows: slice | np.ndarray) -> Any:
    """Some rows of images, or of both."""
    return Inputs(*(values[rows] for values in cases)) if isinstance(cases, Inputs) else cases[rows]


def count(cases: Any) -> int:
    """How many cases there are."""
    return len(images_of(cases))


def images_of(cases: Any) -> Any:
    """The images of what was read to predict."""
    return cases.images if isinstance(cases, Inputs) else cases
