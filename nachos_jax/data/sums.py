"""Sums of pixels, from which the normalisation of any training set follows without reading other cases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class TrainingStatistics(Protocol):
    """What a fit learns of its inputs, from the training cases chosen by [N] bool alone."""

    def mean_sd(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, each [C] float32; a value is standardised by them."""
        ...

    def fill(self, chosen: np.ndarray) -> np.ndarray | None:
        """[C] float32, what stands for a missing value; None where none may be missing."""
        ...


@dataclass(frozen=True)
class PixelSums:
    """Sums from which the normalisation of any set of cases follows without touching other cases.

    Attributes:
        total: [N, C] float64, sum of each case's pixels.
        squares: [N, C] float64, sum of their squares.
        pixels: pixels a case and channel, one number or [N].
    """

    total: np.ndarray
    squares: np.ndarray
    pixels: int | np.ndarray

    def mean_sd(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation, each [C] float32, over the cases chosen by [N] bool."""
        count = int(np.broadcast_to(self.pixels, chosen.shape)[chosen].sum())
        mean = self.total[chosen].sum(axis=0) / count
        variance = self.squares[chosen].sum(axis=0) / count - mean**2
        # A channel that never varies would divide by 0; 1 leaves it at its (zero) deviation.
        sd = np.where(variance > 1e-12 * np.maximum(mean**2, 1e-12), np.sqrt(np.maximum(variance, 0)), 1.0)
        return mean.astype(np.float32), sd.astype(np.float32)

    def fill(self, chosen: np.ndarray) -> None:  # noqa: ARG002
        """No pixel is missing."""


def pixel_sums(images: np.ndarray, block: int = 256) -> PixelSums:
    """Sums of images [N, H, W, C], volumes or vectors, in blocks so that a memory map stays on disk."""
    total, squares, inner = [], [], tuple(range(1, images.ndim - 1))
    for start in range(0, len(images), block):
        part = np.asarray(images[start : start + block], np.float64)
        total.append(part.sum(axis=inner))
        squares.append((part**2).sum(axis=inner))
    pixels = math.prod(images.shape[1:-1])
    return PixelSums(np.concatenate(total), np.concatenate(squares), pixels)
