"""Intensities inside the masks of training cases, as CT is normalised by (nnU-Net, Isensee et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nachos_jax.data.sums import PixelSums

POINTS = 1000
"""Quantiles that a case is told by: those in the middle of so many equal shares."""
UNLIMITED = (-np.inf, np.inf, 0.0, 1.0)
"""What leaves a channel as it is; see `VolumeSums.foreground`."""


@dataclass(frozen=True)
class VolumeSums(PixelSums):
    """What training cases tell of images with masks.

    Attributes:
        quantiles: [N, C, POINTS] float32 of the foreground of each case; NaN of a case without one.
    """

    quantiles: np.ndarray

    def foreground(self, chosen: np.ndarray) -> np.ndarray:
        """[C, 4] float32 over the cases chosen by [N] bool: percentiles 0.5 and 99.5, mean and SD.

        Every case counts alike, as in nnU-Net, which draws 10,000 voxels of each. UNLIMITED where none of the
        cases has a foreground.
        """
        known = self.quantiles[chosen & np.isfinite(self.quantiles).all(axis=(1, 2))].astype(np.float64)
        channels = self.quantiles.shape[1]
        if not len(known):
            return np.tile(np.asarray(UNLIMITED, np.float32), (channels, 1))
        pooled = known.transpose(1, 0, 2).reshape(channels, -1)
        low, high = np.percentile(pooled, (0.5, 99.5), axis=1)
        sd = pooled.std(axis=1)
        return np.stack([low, high, pooled.mean(axis=1), np.where(sd > 0, sd, 1.0)], axis=1).astype(
            np.float32
        )


def quantiles(values: np.ndarray) -> np.ndarray:
    """[C, POINTS] float32 of the foreground voxels [n, C] of a case; NaN if there is none."""
    if not len(values):
        return np.full((values.shape[1], POINTS), np.nan, np.float32)
    return np.quantile(values, (np.arange(POINTS) + 0.5) / POINTS, axis=0).T.astype(np.float32)
