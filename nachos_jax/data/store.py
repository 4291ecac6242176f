"""Stores: the inputs of a cohort, in the dtype in which they lie on disk and on the devices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np

from nachos_jax.data.content import pixel_digest
from nachos_jax.data.sums import TrainingStatistics, pixel_sums


class Store(Protocol):
    """Inputs of N cases, which the engine moves to the devices without knowing what they are.

    What `rows` gives is a tree of arrays; only the task that reads batches from it looks inside. So images
    and vectors, which all have one shape, and volumes of many shapes, one after another, go one way.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one case, e.g. (H, W, C); of cases of many shapes, the one in the middle."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Stored dtype."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of all inputs on a device."""
        ...

    def one(self, case: int) -> np.ndarray:
        """The input of a case, as it is compared with others and shown."""
        ...

    def rows(self, cases: np.ndarray) -> Any:
        """The inputs of some cases ([n] int32, in this order) as a tree of arrays."""
        ...

    def forms(self, count: int) -> Any:
        """Arrays of the shapes and dtypes that `rows` gives of so many cases, which take no memory."""
        ...

    def sums(self) -> TrainingStatistics:
        """What training cases tell of the values, channel by channel."""
        ...

    def take(self, cases: np.ndarray) -> Store:
        """A store of some cases alone, [n] rising row numbers, as if no others had been read."""
        ...

    def content(self) -> dict[str, str]:
        """What of the inputs enters the hash of a cohort: digests, by name."""
        ...


@dataclass(frozen=True)
class Dense:
    """Inputs of one shape.

    Attributes:
        values: [N, H, W, C] images, [N, D, H, W, C] volumes or [N, D] vectors (see
            `nachos_jax.data.vectors`); images in uint8, uint16, int16, float16 or float32, possibly
            memory-mapped.
    """

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one case."""
        return tuple(self.values.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Stored dtype."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all inputs."""
        return self.values.nbytes

    def one(self, case: int) -> np.ndarray:
        """The input of a case."""
        return np.asarray(self.values[case])

    def rows(self, cases: np.ndarray) -> np.ndarray:
        """[n, ...]: the inputs of some cases, [n] int32; a read of a memory map goes forward."""
        if len(cases) == len(self.values) and np.array_equal(cases, np.arange(len(cases))):
            return np.ascontiguousarray(self.values)
        order = np.argsort(cases, kind="stable")
        found = np.empty((len(cases), *self.shape), self.dtype)
        found[order] = self.values[cases[order]]
        return found

    def forms(self, count: int) -> np.ndarray:
        """So many rows of zeros that take no memory."""
        return np.broadcast_to(np.zeros((), self.dtype), (count, *self.shape))

    def sums(self) -> TrainingStatistics:
        """Sums of the values of each case and channel, the last axis."""
        return pixel_sums(self.values)

    def take(self, cases: np.ndarray) -> Self:
        """Some cases alone: a view where they follow one another, as of a memory map, else a copy."""
        first, last = (int(cases[0]), int(cases[-1])) if len(cases) else (0, -1)
        whole = last - first + 1 == len(cases)
        return replace(self, values=self.values[first : last + 1] if whole else self.rows(cases))

    def content(self) -> dict[str, str]:
        """Digest of the pixels."""
        return {"pixels": pixel_digest(self.values)}
