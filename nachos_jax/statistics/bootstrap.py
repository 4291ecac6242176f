"""Bootstrap over subjects of any statistic of weighted cases: percentile and BCa.

What is measured is a function of weights that the caller brings, so nothing here knows a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import special

from nachos_jax.statistics.intervals import (
    FEWEST_SUBJECTS,
    UNBOUNDED,
    Bounds,
    Interval,
    Kind,
    narrow,
    too_few,
)

Statistic = Callable[[slice | np.ndarray, np.ndarray], np.ndarray]
"""A number of n of the caller's N cases under many weights, where a case of weight w counts as w cases.

(rows, a slice or [n] case numbers; weights [R, n]) -> [R] float64, NaN where undefined.
"""
BLOCK = 2**21
"""Weights held in memory at a time: 16 MiB of float64."""
CACHED = 2**16
"""Subjects drawn at a time: 512 KiB, which stay in a cache."""
KEPT = 2**26
"""Most weights that are kept for several statistics: 64 MiB of bytes."""
FEWEST_A_STRATUM = 5
"""Subjects that are drawn among themselves; fewer would hardly vary."""
JACKKNIFE = 2000
"""Subjects above which the jackknife of BCa leaves out groups of them."""
UNDEFINED_SHARE = 0.05
"""Share of undefined replicates above which no interval is given."""


@dataclass(frozen=True)
class Cases:
    """Cases with out-of-fold predictions."""

    strata: np.ndarray  # [N] int, what subjects are drawn within: their class, or 0 for all
    folds: np.ndarray  # [N] outer fold of each case
    subjects: np.ndarray  # [N] subject of each case; a subject lies in one fold

    def take(self, rows: np.ndarray) -> Cases:
        """Some of them, [n] numbers or [N] bool."""
        return Cases(*(np.asarray(values)[rows] for values in vars(self).values()))


@dataclass(frozen=True)
class Resampling:
    """How to resample.

    Attributes:
        replicates: R.
        seed: of the draws.
        target: "folds" averages the statistic of each outer fold, as the headline does; "pooled" takes all
            out-of-fold predictions together, which compares scores of different models.
    """

    replicates: int = 2000
    seed: int = 0
    target: Literal["folds", "pooled"] = "folds"


USUAL = Resampling()


@dataclass(frozen=True)
class Replicates:
    """A bootstrap, from which intervals are read."""

    estimate: float | None  # the statistic itself; None when undefined
    values: np.ndarray  # [R] the statistic of every replicate, NaN where undefined
    subjects: int  # how many
    note: str  # what was resampled and evaluated, in words
    # Gives [G] the statistic without each subject (a group, of over 2,000) and [G] the strata.
    jackknife: Callable[[], tuple[np.ndarray, np.ndarray]] = field(repr=False)


def strata(subjects: np.ndarray, within: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Subjects in the order of their names, and what they are drawn within, of the columns of `Cases`.

    Returns:
        [N] int number of each case's subject; [G] int stratum of each subject: its cases' set of strata.
        Sets of several strata with fewer than 5 subjects are drawn together, with the largest stratum if
        they are still fewer: alone, a stratum of m subjects understates variance by (m - 1)/m.
    """
    _, subject = np.unique(subjects, return_inverse=True)
    _, of_case = np.unique(within, return_inverse=True)
    has = np.zeros((subject.max() + 1, of_case.max() + 1), np.int64)
    has[subject, of_case] = 1
    stratum = np.unique(has, axis=0, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(stratum)
    small = (sizes < FEWEST_A_STRATUM)[stratum] & (has.sum(axis=1) > 1)
    together = len(sizes) if small.sum() >= FEWEST_A_STRATUM else int(sizes.argmax())
    return subject, np.unique(np.where(small, together, stratum), return_inverse=True)[1].reshape(-1)


def resamples(subjects: np.ndarray, within: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """How often each case occurs in each replicate: subjects are drawn with all their cases.

    Args:
        subjects: [N] subject of each case.
        within: [N] stratum of each case: as many subjects of a stratum (of a set of strata, when a subject
            has several) are drawn as there are.
        replicates: R.
        seed: of the draws; the same for cases in any order.

    Returns:
        [R, N] float32 counts.
    """
    subject, stratum = strata(subjects, within)
    return _draw(np.random.default_rng(seed), stratum, replicates)[:, subject].astype(np.float32)


def _draw(generator: np.random.Generator, stratum: np.ndarray, replicates: int) -> np.ndarray:
    """Counts [R, G] of subjects."""
    counts = np.empty((replicates, len(stratum)), np.int64)
    for number in range(stratum.max() + 1):
        members = np.flatnonzero(stratum == number)
        most = max(1, CACHED // len(members))
        for start in range(0, replicates, most):  # the same numbers as all at once
            few = np.arange(min(most, replicates - start))
            drawn = generator.integers(0, len(members), (len(few), len(members)))
            drawn += few[:, None] * len(members)
            found = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
            counts[start : start + len(few), members] = found
    return counts


def blocks(cases: Cases, options: Resampling) -> Iterator[np.ndarray]:
    """Replicates as [B, N] float64 weights of cases, a block at a time."""
    subject, stratum = strata(cases.subjects, cases.strata)
    generator, size = np.random.default_rng(options.seed), max(1, BLOCK // len(subject))
    for start in range(0, options.replicates, size):
        yield _draw(generator, stratum, min(size, options.replicates - start))[:, subject].astype(np.float64)


@dataclass(frozen=True)
class Part:
    """Cases that a statistic takes together: an outer fold, or all."""

    rows: slice | np.ndarray  # which of the caller's cases they are
    columns: slice  # where they stand in weights of the ordered cases


def ordered(cases: Cases, target: Literal["folds", "pooled"]) -> tuple[Cases, list[Part]]:
    """The cases in the order of their folds, which so are slices, and the parts that the target wants.

    Raises:
        ValueError: no cases, or arrays of different lengths.
    """
    if not len(cases.folds) or len({len(values) for values in vars(cases).values()}) > 1:
        raise ValueError("the arrays of cases must have one length, and not 0")
    order = np.argsort(cases.folds, kind="stable")
    folds = np.asarray(cases.folds)[order]
    changes = np.flatnonzero(folds[1:] != folds[:-1]) + 1
    edges = [0, *(changes.tolist() if target == "folds" else []), len(order)]
    columns = [slice(start, end) for start, end in zip(edges[:-1], edges[1:], strict=True)]
    sorted_already = bool(np.all(np.diff(order) == 1))
    return cases.take(order), [Part(one if sorted_already else order[one], one) for one in columns]


def by_target(statistic: Statistic, parts: Sequence[Part], weights: np.ndarray) -> tuple[np.ndarray, int]:
    """The statistic of each part under weights [R, N], averaged over the parts that define it.

    Returns:
        [R] float64, NaN where undefined; in how many replicates a part was left out as undefined.
    """
    values = [statistic(part.rows, weights[:, part.columns]) for part in parts]
    defined = np.isfinite(values)
    total, count = np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean, int(np.sum(~defined.all(axis=0)))


def kept(cases: Cases, options: Resampling = USUAL) -> Sequence[np.ndarray] | None:
    """The replicates of cases for several statistics, drawn once; None of so many that they take memory.

    Returns:
        What `blocks` yields, as the smallest whole numbers that hold it.
    """
    if options.replicates * len(cases.folds) > KEPT:
        return None
    drawn = blocks(ordered(cases, options.target)[0], options)
    return [weights.astype(np.min_scalar_type(int(weights.max()))) for weights in drawn]


def bootstrap(
    statistic: Statistic,
    cases: Cases,
    options: Resampling = USUAL,
    drawn: Sequence[np.ndarray] | None = None,
) -> Replicates:
    """Resamples subjects with all their cases, within strata, and evaluates a statistic on every replicate.

    Efron (1979); over clusters, Davison and Hinkley (1997, section 3.8). Unit: subjects. Target: the true
    performance of these K models; the fits are held fixed, so how training varies is not in it: show it
    beside the corrected t. Drawing within classes holds the prevalence fixed. Do not use it for fewer than
    about 30 subjects, nor when subjects are related.

    Args:
        statistic: of the cases under weights, e.g. `metrics.contract.statistic` of out-of-fold predictions.
        cases: the N cases.
        options: how to resample.
        drawn: what `kept` gives of the same cases and options; None draws anew.

    Raises:
        ValueError: no cases, or arrays of different lengths.
    """
    cases, parts = ordered(cases, options.target)
    (single,), _ = by_target(statistic, parts, np.ones((1, len(cases.folds))))
    replicates = blocks(cases, options) if drawn is None else drawn
    found = [by_target(statistic, parts, weights.astype(np.float64, copy=False)) for weights in replicates]
    subject, stratum = strata(cases.subjects, cases.strata)

    def jackknife() -> tuple[np.ndarray, np.ndarray]:
        group, of_group = _groups(stratum)
        left, size = [], max(1, BLOCK // len(subject))
        for start in range(0, len(of_group), size):
            numbers = np.arange(start, min(start + size, len(of_group)))
            weights = (group[subject][None, :] != numbers[:, None]).astype(np.float64)
            left.append(by_target(statistic, parts, weights)[0])
        return np.concatenate(left), of_group

    values = np.concatenate([values for values, _ in found])
    estimate = float(single) if np.isfinite(single) else None
    note = evaluated(options, sum(count for _, count in found))
    return Replicates(estimate, values, len(stratum), note, jackknife)


def evaluated(options: Resampling, partial: int) -> str:
    """What the replicates are of, in words, when a fold was undefined in so many of them."""
    if options.target == "pooled":
        return "over pooled out-of-fold predictions"
    return f"a fold undefined and left out in {partial} of {options.replicates} replicates" * bool(partial)


def _groups(stratum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[G] group of each subject, within its stratum; stratum of each group. Few subjects: each its own."""
    share = max(1, -(-len(stratum) // (JACKKNIFE // 2))) if len(stratum) > JACKKNIFE else 1
    rank = np.empty(len(stratum), np.int64)
    for number in range(stratum.max() + 1):
        members = np.flatnonzero(stratum == number)
        rank[members] = np.arange(len(members)) // share
    pairs, group = np.unique(np.stack([stratum, rank], axis=1), axis=0, return_inverse=True)
    return group.reshape(-1), pairs[:, 0]


def percentile(replicates: Replicates, level: float = 0.95, bounds: Bounds = UNBOUNDED) -> Interval:
    """Percentile interval: the (1 - level)/2 and (1 + level)/2 quantiles of the replicates (Efron, 1979)."""
    kind = Kind("percentile", "Bootstrap over subjects, percentile", "subjects", replicates.subjects, level)
    return _between(replicates, kind, bounds, 0.0, lambda: 0.0)


def bca(replicates: Replicates, level: float = 0.95, bounds: Bounds = UNBOUNDED) -> Interval:
    """Bias-corrected and accelerated interval (Efron, 1987).

    Quantiles at Phi(z0 + (z0 + z) / (1 - a (z0 + z))): z0 from the share of replicates below the estimate
    and a = sum u^3 / (6 (sum u^2)^1.5) from the jackknife over subjects, u being (m - 1)/m times (mean
    without one - value without this one) in each stratum of m (Davison and Hinkley, 1997, chapter 5).
    """
    kind = Kind("bca", "Bootstrap over subjects, BCa", "subjects", replicates.subjects, level)
    estimate = np.nan if replicates.estimate is None else replicates.estimate
    values, close = replicates.values[np.isfinite(replicates.values)], 1e-12 * max(1.0, abs(estimate))
    below = (np.sum(values < estimate - close) + np.sum(values <= estimate + close)) / max(1, 2 * len(values))
    return _between(
        replicates, kind, bounds, special.ndtri(below), lambda: acceleration(*replicates.jackknife())
    )


def acceleration(left_out: np.ndarray, stratum: np.ndarray) -> float:
    """Skewness over 6 of the influences that the values [G] without each unit tell, within strata [G]."""
    there = np.isfinite(left_out)
    values, (_, index) = left_out[there], np.unique(stratum[there], return_inverse=True)
    sizes = np.bincount(index)
    u = ((np.bincount(index, weights=values) / sizes)[index] - values) * ((sizes - 1) / sizes)[index]
    spread = np.sum(u**2)
    return float(np.sum(u**3) / (6 * spread**1.5)) if spread > 0 else 0.0


def _between(
    replicates: Replicates, kind: Kind, bounds: Bounds, z0: float, slope: Callable[[], float]
) -> Interval:
    """The quantiles of the replicates, moved by the bias z0 and the acceleration; or why there are none."""
    estimate, values = replicates.estimate, replicates.values[np.isfinite(replicates.values)]
    lost = len(replicates.values) - len(values)
    told = f"{lost} of {len(replicates.values)} replicates undefined" if lost else ""
    if estimate is None:
        return kind.undefined("the metric is undefined for these cases")
    if replicates.subjects < FEWEST_SUBJECTS:
        return kind.undefined(too_few(replicates.subjects), estimate)
    if lost > UNDEFINED_SHARE * len(replicates.values):
        return kind.undefined(told, estimate)
    if np.ptp(values) == 0:
        return kind.undefined(
            "the same value in all replicates: no spread, as with perfect separation", estimate
        )
    if not np.isfinite(z0):
        return kind.undefined("all replicates lie on one side of the estimate", estimate)
    z = z0 + special.ndtri([(1 - kind.level) / 2, (1 + kind.level) / 2])
    ends = np.quantile(values, special.ndtr(z0 + z / (1 - slope() * z)))
    note = "; ".join(text for text in (replicates.note, told, narrow(replicates.subjects)) if text)
    return kind.around(estimate, ends, bounds, note)
