"""How two groups of subjects differ in a number or a share, in standard deviations."""

from __future__ import annotations

import math
from dataclasses import replace

from scipy import special

from nachos_jax.statistics.intervals import (
    FEWEST_SUBJECTS,
    SHARE,
    Interval,
    Kind,
    narrow,
    normal_ends,
    too_few,
)
from nachos_jax.statistics.width import share_width

Moments = tuple[int, float, float | None]
"""Subjects, their mean, and their standard deviation."""
Share = tuple[int, int]
"""Subjects that have something, of how many."""
CONSTANT = "nothing varies on either side"
"""Why a difference between two sides that are constant has no number: it is 0, or total."""


def mean(one: Moments, level: float = 0.95) -> Interval:
    """Student's t interval of the mean of n subjects."""
    count, value, sd = one
    kind = Kind("t", "Student's t", "subjects", count, level)
    if sd is None or count < FEWEST_SUBJECTS:
        return kind.undefined(too_few(count), value)
    half = float(special.stdtrit(count - 1, (1 + level) / 2)) * sd / math.sqrt(count)
    return kind.around(value, (value - half, value + half), note=narrow(count))


def share(one: Share, level: float = 0.95) -> Interval:
    """Wilson's interval (1927) of the share of n subjects."""
    there, count = one
    kind = Kind("wilson", "Wilson", "subjects", count, level)
    if count < FEWEST_SUBJECTS:
        return kind.undefined(too_few(count), there / count if count else None)
    z, value = float(special.ndtri((1 + level) / 2)), there / count
    middle = (value + z**2 / (2 * count)) / (1 + z**2 / count)
    half = share_width(count, value, level) / 2
    return kind.around(value, (middle - half, middle + half), SHARE, narrow(count))


def of_means(one: Moments, other: Moments, level: float = 0.95) -> Interval:
    """Standardised mean difference, other less one: (m2 - m1) / sqrt((s1^2 + s2^2) / 2) (Austin 2009)."""
    (first, here, sd), (second, there, spread) = one, other
    if sd is None or spread is None:  # of one subject, whose spread is not known
        kind = Kind("standardised", "Standardised difference", "subjects", first + second, level)
        return kind.undefined(too_few(min(first, second)), None if there != here else 0.0)
    return _standardised(there - here, math.sqrt((sd**2 + spread**2) / 2), (first, second), level)


def of_shares(one: Share, other: Share, level: float = 0.95) -> Interval:
    """Standardised difference of shares, (p2 - p1) / sqrt((p1 (1 - p1) + p2 (1 - p2)) / 2) (Austin 2009)."""
    (here, first), (there, second) = one, other
    p, q = here / first, there / second
    return _standardised(q - p, math.sqrt((p * (1 - p) + q * (1 - q)) / 2), (first, second), level)


def _standardised(difference: float, sd: float, counts: tuple[int, int], level: float) -> Interval:
    """The normal interval with SE^2 = (n1 + n2) / (n1 n2) + d^2 / (2 (n1 + n2)) (Hedges and Olkin 1985)."""
    kind = Kind("standardised", "Standardised difference", "subjects", sum(counts), level)
    if not sd:
        return kind.undefined(CONSTANT, 0.0 if not difference else None)
    found = difference / sd
    if min(counts) < FEWEST_SUBJECTS:
        return kind.undefined(too_few(min(counts)), found)
    se = math.sqrt(sum(counts) / math.prod(counts) + found**2 / (2 * sum(counts)))
    return replace(kind.around(found, normal_ends(found, se, level)), note=narrow(min(counts)))
