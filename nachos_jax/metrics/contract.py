"""What the metrics of every task keep: rows of a table, one evaluation, and the same under many weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics.value import Value

Bounds = tuple[float, float]
SHARE: Bounds = (0.0, 1.0)
CORRELATION: Bounds = (-1.0, 1.0)
NOT_NEGATIVE: Bounds = (0.0, math.inf)

Losses = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(truth [N, ...], predicted [N, ...]) -> [N] float64, of which a metric is the mean; NaN for no loss."""


@dataclass(frozen=True)
class Metric:
    """One row of a module's `METRICS`."""

    name: str  # key in configs and files
    label: str  # name for people
    higher_is_better: bool  # False for losses
    bounds: Bounds  # smallest and largest value; infinite where there is none
    in_unit: bool = (
        False  # in the unit of what is predicted, with which it grows; others have a scale of their own
    )
    ranks: bool = False  # it compares predictions of cases, so those of different models need not compare
    scale: str = ""  # what a report adds to the label, where the name has several meanings

    @property
    def title(self) -> str:
        """The label as reports show it; run.json holds the label alone."""
        return f"{self.label} ({self.scale})" if self.scale else self.label

    def turned(self, value: float | None) -> float | None:
        """The value so that higher is better; turned again, it is the value."""
        return value if value is None or self.higher_is_better else -value


class Metrics(Protocol):
    """A module of metrics: `classification`, `multilabel` and `regression` are some.

    N cases have a truth [N, ...] and predictions [N, ...], whose forms the module tells. `names` are those
    of what is predicted: the classes, the labels, or the one target.
    """

    METRICS: Mapping[str, Metric]  # its metrics by name
    HEADLINE: str  # the metric that trials are selected by when nobody says otherwise
    SHOWN: tuple[str, ...]  # the metrics of tables
    ADDITIVE: Mapping[str, Losses]  # per-case losses of metrics that are means over cases

    def evaluate(self, name: str, truth: np.ndarray, predicted: np.ndarray, names: Sequence[str], /) -> Value:
        """A metric of N cases, None with the reason where it is undefined.

        Raises:
            UsageError: there is no metric of this name.
            ValueError: the shapes do not fit together, or the truth is none that can be.
        """
        ...

    def weighted(
        self, name: str, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray, /
    ) -> np.ndarray:
        """The metric under weights [R, N], whole numbers: a case of weight w counts as w cases.

        Returns:
            [R] float64, NaN where undefined.
        """
        ...

    def resampled(
        self, name: str, truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray, /
    ) -> np.ndarray:
        """`weighted`, NaN also where the weights lose what the value is a mean over, a class or a label.

        The value over what is left would be another quantity than that of all cases.
        """
        ...


def find(table: Mapping[str, Metric], name: str) -> Metric:
    """The metric of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in table:
        raise UsageError(f"There is no metric {name!r}: choose one of {', '.join(table)}.")
    return table[name]


def statistic(
    metrics: Metrics, name: str, truth: np.ndarray, predicted: np.ndarray
) -> Callable[[slice | np.ndarray, np.ndarray], np.ndarray]:
    """A metric of N cases as a function of the weights of some of them: what resampling wants.

    Returns:
        (rows of the cases, n of them; their weights [R, n]) -> [R] float64, NaN where undefined.

    Raises:
        UsageError: there is no metric of this name.
        ValueError: truth and predictions have different lengths.
    """
    find(metrics.METRICS, name)
    if len(truth) != len(predicted):
        raise ValueError(f"truth of {len(truth)} cases, predictions of {len(predicted)}")
    return lambda rows, weights: metrics.resampled(name, truth[rows], predicted[rows], weights)


def quiet(function: Callable[..., np.ndarray], *given: np.ndarray) -> np.ndarray:
    """Calls a function in which 0 / 0 marks what is undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return function(*given)
