"""Kernel densities over mixed axes: real numbers, values in order, values without an order.

Axes are scaled to [0, 1]. A kernel is the product of one kernel an axis, all with weight 1/n (Falkner, Klein
and Hutter 2018, section 4.1, after Li and Racine 2007):

- real: a normal distribution, cut off at 0 and 1;
- ordered: the same, its mass over the cell [low, high] of each value;
- unordered of c values: 1 - h on the value itself, h / (c - 1) on each other one (Aitchison and Aitken 1976).

Statsmodels' KDEMultivariate has no bounds, no samples and a kernel for whole numbers without an end, and
Optuna's estimator is no part of its interface; so both are written out here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NARROWEST = 1e-3
"""Bandwidth at least."""

WIDTH = 1.06
"""Of a normal kernel, in standard deviations times n^(-1 / (4 + D)): the normal reference."""


@dataclass(frozen=True)
class Axis:
    """What one coordinate of a point means.

    Attributes:
        count: number of values, whose coordinates are 0 to count - 1; 0 for a real axis, in [0, 1].
        edges: where the cells of ordered values begin and end, `count + 1` numbers from 0 to 1; () otherwise.
    """

    count: int = 0
    edges: tuple[float, ...] = ()

    @property
    def unordered(self) -> bool:
        """True when its values have no order."""
        return self.count > 0 and not self.edges

    def middle(self, x: np.ndarray) -> np.ndarray:
        """Coordinates [n] on [0, 1]: the middles of cells for ordered values."""
        if not self.edges:
            return x
        edges = np.asarray(self.edges)
        return (edges[:-1] + edges[1:])[x.astype(int)] / 2


class Density:
    """A kernel density of points.

    Args:
        axes: D axes.
        points: [n, D], n at least 1.
    """

    def __init__(self, axes: tuple[Axis, ...], points: np.ndarray):
        self.axes, self.points = axes, points
        self.bandwidths = np.asarray(
            [_bandwidth(axis, x, len(axes)) for axis, x in zip(axes, points.T, strict=True)]
        )

    def log(self, points: np.ndarray) -> np.ndarray:
        """Logarithm of the density at points [m, D]: [m], float64; a mass along axes that are not real."""
        logs = sum(
            _log_kernel(axis, x[:, None], centre[None], h)
            for axis, x, centre, h in zip(self.axes, points.T, self.points.T, self.bandwidths, strict=True)
        )
        highest = np.max(logs, axis=1, keepdims=True)
        return highest[:, 0] + np.log(np.mean(np.exp(logs - highest), axis=1))

    def sample(self, count: int, widened: float, generator: np.random.Generator) -> np.ndarray:
        """Points [count, D] of the density whose bandwidths are so many times as wide."""
        centres = self.points[generator.integers(len(self.points), size=count)]
        columns = [
            _sample(axis, x, min(h * widened, _widest(axis)), generator)
            for axis, x, h in zip(self.axes, centres.T, self.bandwidths, strict=True)
        ]
        return np.stack(columns, axis=1)


def _widest(axis: Axis) -> float:
    return (axis.count - 1) / axis.count if axis.unordered else np.inf


def _bandwidth(axis: Axis, x: np.ndarray, dimensions: int) -> float:
    if axis.unordered:  # the variance of a point that has a coordinate of 0 or 1 for each value
        shares = np.bincount(x.astype(int), minlength=axis.count) / len(x)
        spread = np.sqrt(max(0.0, 1 - np.sum(shares**2)))
    else:
        spread = np.std(axis.middle(x))
    width = WIDTH * spread * len(x) ** (-1 / (4 + dimensions))
    return float(min(max(width, NARROWEST), _widest(axis)))


def _log_kernel(axis: Axis, x: np.ndarray, centre: np.ndarray, h: float) -> np.ndarray:
    """Logarithm of the kernel around `centre` at `x`."""
    if axis.unordered:
        return np.log(np.where(x == centre, 1 - h, h / (axis.count - 1)))
    from scipy.special import log_ndtr

    middle = axis.middle(centre)
    whole = _log_mass(-middle / h, (1 - middle) / h, log_ndtr)
    if axis.edges:
        edges, place = np.asarray(axis.edges), x.astype(int)
        return _log_mass((edges[place] - middle) / h, (edges[place + 1] - middle) / h, log_ndtr) - whole
    return -0.5 * ((x - middle) / h) ** 2 - np.log(h * np.sqrt(2 * np.pi)) - whole


def _log_mass(low: np.ndarray, high: np.ndarray, log_ndtr: np.ufunc) -> np.ndarray:
    """log of the standard normal mass between low < high, exact in both tails."""
    low, high = np.where(low > 0, -high, low), np.where(low > 0, -low, high)
    top = log_ndtr(high)
    return top + np.log1p(-np.exp(log_ndtr(low) - top))


def _sample(axis: Axis, centre: np.ndarray, h: float, generator: np.random.Generator) -> np.ndarray:
    """One draw from the kernel around each centre [n]."""
    u = generator.random(len(centre))
    if axis.unordered:
        moved = generator.integers(1, axis.count, size=len(centre))
        return np.where(u < h, (centre + moved) % axis.count, centre)
    from scipy.special import ndtr, ndtri

    middle = axis.middle(centre)
    low, high = ndtr(-middle / h), ndtr((1 - middle) / h)
    drawn = np.clip(middle + h * ndtri(low + u * (high - low)), 0.0, 1.0)
    if not axis.edges:
        return drawn
    return np.clip(np.searchsorted(axis.edges, drawn, side="right") - 1, 0, axis.count - 1).astype(float)
