"""Statistics of ranks: how far two rankings agree (Kendall), whether groups differ (Kruskal and Wallis)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

FEWEST = 3


@dataclass(frozen=True)
class Agreement:
    """Agreement of two rankings; all numbers are None where it is undefined."""

    tau: float | None  # Kendall's tau-b: 1 for the same order, 0 for none, -1 for the reverse
    z: float | None  # tau over its standard deviation if no order were true
    p: float | None  # two-sided p-value of "no agreement"
    count: int  # n, the number of things ranked
    note: str = ""  # the reason where undefined, else ""


@dataclass(frozen=True)
class GroupTest:
    """The test of Kruskal and Wallis; all numbers are None where it is undefined."""

    h: float | None  # the statistic, corrected for ties
    df: int | None  # degrees of freedom, groups - 1
    p: float | None  # p-value of "no group is above another", by the chi-squared distribution of H
    epsilon_squared: float | None  # effect size from 0 to 1
    count: int  # n, values of all groups
    note: str = ""  # the reason where undefined, else ""


def kendall(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """Kendall's tau-b of two scores of the same n things (Kendall, 1945).

    z = tau / sqrt(2 (2n + 5) / (9n (n - 1))), which does not know ties. p is exact for few things without
    ties, and by the normal distribution otherwise.
    """
    count = len(first)
    if count < FEWEST:
        return Agreement(None, None, None, count, f"{count} to rank: at least {FEWEST} are needed")
    if len(set(first)) < 2 or len(set(second)) < 2:
        return Agreement(None, None, None, count, "all are equal")
    tau, p = map(float, stats.kendalltau(first, second))
    z = tau / math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))
    return Agreement(tau, z, p, count)


def kruskal_wallis(groups: Mapping[str, Sequence[float]]) -> GroupTest:
    """Do groups of independent values differ? (Kruskal and Wallis, 1952.)

    Epsilon squared = H / (n - 1) (Tomczak and Tomczak, 2014). With fewer than about five values a group the
    chi-squared distribution is rough.

    Args:
        groups: at least two groups with at least one value each, by name.
    """
    values = np.concatenate([np.asarray(group, np.float64) for group in groups.values()])
    count = len(values)
    if np.ptp(values) == 0:
        return GroupTest(None, None, None, None, count, "all values are equal")
    found = stats.kruskal(*groups.values())
    h = float(found.statistic)
    return GroupTest(h, len(groups) - 1, float(found.pvalue), h / (count - 1), count)
