"""Inputs that fits standardise by constants: what a pretrained network was given, or what it gave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nachos_jax.data.store import Dense


@dataclass(frozen=True)
class Constant(Dense):
    """Inputs of one shape whose standardisation depends on no case.

    Attributes:
        mean: [C] float32, of the last axis.
        sd: [C] float32.
    """

    mean: np.ndarray
    sd: np.ndarray

    def sums(self) -> ConstantStatistics:
        """The constants."""
        return ConstantStatistics(self.mean, self.sd)


@dataclass(frozen=True)
class ConstantStatistics:
    """Mean and standard deviation that no training case changes."""

    mean: np.ndarray
    sd: np.ndarray

    def mean_sd(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG002
        """The same for any cases."""
        return self.mean, self.sd

    def fill(self, chosen: np.ndarray) -> None:  # noqa: ARG002
        """No value is missing."""
