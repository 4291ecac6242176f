"""Are two procedures different? Tests on paired differences of one metric over the same outer folds.

Folds share training cases, so their differences are correlated and the plain paired t test finds
differences that are none. Both tests here widen the variance by the share of test to training cases:
Nadeau and Bengio (2003) for a p-value and an interval, Benavoli et al. (2017) for probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

FEWEST = 3
ROUNDING = 1e-12
"""Differences whose SD is below this are equal: what is left is rounding of metrics of order 1."""


@dataclass(frozen=True)
class Differences:
    """What the differences of two runs say before any test."""

    mean: float | None  # mean of the defined differences; None when there is none
    sd: float | None  # standard deviation (ddof 1) of the defined differences; None with fewer than two
    count: int  # J, the number of defined differences (outer folds)
    note: str  # why no test is possible, or ""


@dataclass(frozen=True)
class CorrectedTest:
    """The corrected paired t test; all numbers are None where it is undefined."""

    t: float | None  # the statistic
    df: int | None  # degrees of freedom, J - 1
    se: float | None  # corrected standard error of the mean difference
    p: float | None  # two-sided p-value of "no difference"
    low: float | None  # lower end of the interval of the mean difference
    high: float | None  # upper end
    note: str = ""  # the reason where undefined, else ""


@dataclass(frozen=True)
class Posterior:
    """What the mean difference may be, as a Student t; all numbers are None where it is undefined."""

    df: int | None  # degrees of freedom, J - 1
    location: float | None  # its centre, the mean difference
    scale: float | None  # its scale
    below: float | None  # probability of a mean difference below -rope
    inside: float | None  # probability of one from -rope to rope: practical equivalence
    above: float | None  # probability of one above rope
    note: str = ""  # the reason where undefined, else ""


def describe(differences: Sequence[float | None], folds: int) -> Differences:
    """Mean, SD and count of differences, and whether they can be tested at all.

    Args:
        differences: J values, one an outer fold; None where either run's metric is undefined.
        folds: K, the outer folds of one repeat.
    """
    defined = np.array([value for value in differences if value is not None], np.float64)
    mean = float(defined.mean()) if len(defined) else None
    sd = float(defined.std(ddof=1)) if len(defined) > 1 else None
    return Differences(mean, sd, len(defined), _obstacle(defined, len(differences), folds, sd))


def corrected_t(
    differences: Sequence[float | None], folds: int, level: float = 0.95, ratio: float | None = None
) -> CorrectedTest:
    """Corrected resampled t test on paired differences (Nadeau and Bengio, 2003).

    SE^2 = (1/J + n_test/n_train) s^2 over J differences with J - 1 degrees of freedom; K folds have
    n_test/n_train = 1/(K - 1). It was derived for independent random divisions and is a heuristic for
    K folds. It is not for J < 3, for folds that are sites (s^2 then measures sites, not sampling), or for
    metrics close to their bound.

    Args:
        differences: J values in the metric's unit, one an outer fold, over all repeats; None where undefined.
        folds: K, the outer folds of one repeat.
        level: coverage of the interval.
        ratio: n_test/n_train in place of 1/(K - 1); 0 gives the plain paired t test.

    Returns:
        The test, or None with the reason: K or J below 3, an undefined fold, or no spread.
    """
    found = describe(differences, folds)
    if found.note or found.mean is None:
        return CorrectedTest(*[None] * 6, note=found.note)
    se, df = _scale(found, folds, ratio), found.count - 1
    statistic = found.mean / se
    half = float(student.ppf(0.5 + level / 2, df)) * se
    p = 2 * float(student.sf(abs(statistic), df))
    return CorrectedTest(statistic, df, se, p, found.mean - half, found.mean + half)


def correlated_t(
    differences: Sequence[float | None], folds: int, rope: float, ratio: float | None = None
) -> Posterior:
    """Bayesian correlated t test with a region of practical equivalence (Benavoli et al., 2017, eq. 8).

    The posterior of the mean difference is a Student t with J - 1 degrees of freedom, the mean of the
    differences as location and scale^2 = (1/J + rho/(1 - rho)) s^2: the prior says nothing. rho/(1 - rho) is
    n_test/n_train, as in `corrected_t`, so at rope 0 the smaller tail is half of its p.
    The limits of `corrected_t` hold here too, since rho cannot be estimated and is set.

    Args:
        differences: J values in the metric's unit, one an outer fold, over all repeats; None where undefined.
        folds: K, the outer folds of one repeat.
        rope: half width of the region, in the metric's unit: smaller differences do not matter in practice.
        ratio: n_test/n_train in place of 1/(K - 1).

    Returns:
        The posterior, or None with the reason.
    """
    found = describe(differences, folds)
    if found.note or found.mean is None:
        return Posterior(*[None] * 6, note=found.note)
    scale, df = _scale(found, folds, ratio), found.count - 1
    below = float(student.cdf((-rope - found.mean) / scale, df))
    above = float(student.sf((rope - found.mean) / scale, df))
    return Posterior(df, found.mean, scale, below, max(0.0, 1.0 - below - above), above)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted over a family (Holm, 1979): the step-down Bonferroni procedure.

    The i-th smallest of m is multiplied by m - i + 1, then none may be below a smaller one's, nor above 1.
    Those that are None were not tested and are not counted in m.
    """
    order = sorted((p, place) for place, p in enumerate(values) if p is not None)
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[place] = largest
    return adjusted


def _obstacle(defined: np.ndarray, total: int, folds: int, sd: float | None) -> str:
    if len(defined) < total:
        return f"undefined in {total - len(defined)} of {total} outer folds"
    if folds < FEWEST:
        return f"{folds} folds a repeat are too few for a test: at least {FEWEST} are needed"
    if total < FEWEST:
        return f"{total} tested outer fold{'s' * (total != 1)}: at least {FEWEST} are needed for a test"
    if sd is None or sd <= ROUNDING * max(1.0, float(np.abs(defined).max())):
        return f"all {total} differences are equal, so they have no spread to test against"
    return ""


def _scale(found: Differences, folds: int, ratio: float | None) -> float:
    """Corrected standard error of the mean."""
    assert found.sd is not None
    share = 1 / (folds - 1) if ratio is None else ratio
    return math.sqrt(1 / found.count + share) * found.sd
