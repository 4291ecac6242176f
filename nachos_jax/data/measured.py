"""What is known of the intensities of a case, channel by channel, and stores whose cases bring it along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from nachos_jax.data.store import Dense

STATISTICS = ("mean", "sd", "p0.5", "p99.5", "min", "max", "clipped_mean", "clipped_sd")
"""The last two are of the values clipped to both percentiles."""


class Measured(NamedTuple):
    """n cases and their statistics."""

    values: Any  # [n, ..., C] of a stored dtype
    stats: Any  # [n, C, 8] float32, see STATISTICS


@dataclass(frozen=True)
class MeasuredDense(Dense):
    """Inputs of one shape whose rows are `Measured`.

    Attributes:
        stats: [N, C, 8] float32.
    """

    stats: np.ndarray

    def rows(self, cases: np.ndarray) -> Measured:  # pyrefly: ignore[bad-override]
        """Some cases, [n] int32, with their statistics."""
        return Measured(super().rows(cases), self.stats[cases])

    def forms(self, count: int) -> Measured:  # pyrefly: ignore[bad-override]
        """So many rows of zeros that take no memory."""
        stats = np.broadcast_to(np.zeros((), self.stats.dtype), (count, *self.stats.shape[1:]))
        return Measured(super().forms(count), stats)

    def take(self, cases: np.ndarray) -> Self:
        """Some cases alone."""
        return type(self)(super().rows(cases), self.stats[cases])


def measured(images: np.ndarray) -> Measured:
    """The cases [N, ..., C], possibly memory-mapped, with their statistics."""
    stats = [statistics(np.asarray(image).reshape(-1, images.shape[-1])) for image in images]
    return Measured(images, np.stack(stats))


def statistics(voxels: np.ndarray) -> np.ndarray:
    """[C, 8] float32, see STATISTICS, of the voxels [V, C] of one case."""
    values = voxels.astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5), axis=0)
    clipped = np.clip(values, low, high)
    known = (
        *(values.mean(0), values.std(0), low, high, values.min(0), values.max(0)),
        *(clipped.mean(0), clipped.std(0)),
    )
    return np.stack(known, axis=-1).astype(np.float32)
