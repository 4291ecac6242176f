"""The interval of Bates, Hastie and Tibshirani for additive losses, from fits without pairs of folds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.statistics.intervals import (
    FEWEST_FOLDS,
    FEWEST_SUBJECTS,
    UNBOUNDED,
    Bounds,
    Interval,
    Kind,
    cluster_variance,
    normal_ends,
    too_few,
)


@dataclass(frozen=True)
class PairLosses:
    """Losses of one division into K folds.

    Attributes:
        outer: K arrays; outer[i] is [n_i], the losses on fold i of the model that left out fold i.
        inner: inner[(i, j)] is [n_j], the losses on fold j of the model that left out folds i and j, for
            all i != j.
        subjects: K arrays of the subjects of these cases, in the same order; None when every case is a
            subject of its own.
    """

    outer: Sequence[np.ndarray]
    inner: Mapping[tuple[int, int], np.ndarray]
    subjects: Sequence[np.ndarray] | None = None


def bates(
    repeats: Sequence[PairLosses], level: float = 0.95, *, bias: bool = True, bounds: Bounds = UNBOUNDED
) -> Interval:
    """Nested cross-validation interval for an additive loss (accuracy or error, Brier, log loss).

    Bates, Hastie and Tibshirani (2021, arXiv 2104.00673, algorithm 1 and section 4). For every fold i:
    a_i = (mean of the losses of the pairs (i, j) - mean of outer[i])^2 and b_i = var(outer[i]) / n_i;
    MSE = mean(a) - mean(b), over the folds of all repeats. SE = sqrt((K - 1)/K MSE), kept between
    s / sqrt(n) and sqrt(K) s / sqrt(n), where s is the standard deviation of the pairs' losses. The centre
    is the mean of the pairs' losses less (1 + (K - 2)/K) (that mean - mean of the outer losses), which
    extrapolates to training on all n cases; the authors' R code raises (K - 2)/K to the power 1.5.

    With several cases a subject, b_i is the variance over subjects, and s / sqrt(n) grows by the same
    design effect: that is ours, not the paper's.

    Unit: cases, or subjects. Target: the error of the model trained on all these cases. Assumes an additive
    loss and one learner for all fits. It wants many repeats (the authors' code takes 50): over one
    division the SE varies much, and its limits often decide. Do not use it for AUC, F1 or other metrics
    that are no means over cases.

    What tuning changes: outer folds choose different trials, so inner[(i, j)] and outer[i] are to come from
    the trial that outer fold i chose. Fits of pairs were stopped early on fold j, and the trial was chosen by
    them: their losses are too good, a_i too large by the square of that, and the centre, which extrapolates
    from them, moves away; with tuning take bias=False.

    Args:
        repeats: one `PairLosses` for each division into folds, of the same cases.
        level: nominal coverage.
        bias: False centres at the mean of the outer losses, which estimates the error at n (K - 1)/K cases.
        bounds: smallest and largest value of the loss.

    Raises:
        ValueError: a pair is missing, or the arrays of a fold differ in length.
    """
    count, folds = sum(map(len, repeats[0].outer)), len(repeats[0].outer)
    names = repeats[0].subjects
    units, unit = (count, "cases") if names is None else (len(np.unique(np.concatenate(names))), "subjects")
    kind = Kind("bates", "Nested cross-validation (Bates, Hastie and Tibshirani)", unit, units, level)
    if folds < FEWEST_FOLDS:
        return kind.undefined(f"{folds} outer folds: an interval needs at least {FEWEST_FOLDS}")
    parts = [_compare(losses) for losses in repeats]
    inner = np.concatenate([part.inner for part in parts])
    mean_outer = float(np.mean([part.outer_mean for part in parts]))
    if not np.isfinite(inner).all() or not math.isfinite(mean_outer):
        return kind.undefined("some losses are not finite numbers")
    mean_inner = float(inner.mean())
    shift = (1 + (folds - 2) / folds) * (mean_inner - mean_outer)
    centre = mean_inner - shift if bias else mean_outer
    if units < FEWEST_SUBJECTS:
        return kind.undefined(too_few(units), centre)
    if min(part.smallest for part in parts) < 2:
        return kind.undefined(f"an outer fold holds fewer than two {unit}", centre)
    if np.ptp(inner) == 0:
        return kind.undefined("the same loss for all cases: their spread tells nothing", centre)
    # Subjects whose cases balance each other must not make the limits narrower than those of cases.
    effect = max(1.0, float(np.mean([part.effect for part in parts])))
    naive = float(inner.std(ddof=1)) * math.sqrt(effect / count)
    se, note = _limited(float(np.mean([part.squared_error for part in parts])), naive, folds)
    return kind.around(centre, normal_ends(centre, se, level), bounds, note)


def _limited(squared: float, naive: float, folds: int) -> tuple[float, str]:
    """Standard error from the mean squared error, kept within its limits, which is said."""
    wanted = math.sqrt(max(squared, 0.0) * (folds - 1) / folds)
    se = min(max(wanted, naive), math.sqrt(folds) * naive)
    return se, "" if se == wanted else f"SE {'raised' if se > wanted else 'lowered'} to the limit {se:.3g}"


@dataclass(frozen=True)
class _Comparison:
    """One division: its pairs' losses, mean outer loss, mean of a - b, design effect, units of a fold."""

    inner: np.ndarray
    outer_mean: float
    squared_error: float
    effect: float
    smallest: int


def _compare(losses: PairLosses) -> _Comparison:
    folds = range(len(losses.outer))
    outer = [np.asarray(values, np.float64) for values in losses.outer]
    subjects = losses.subjects or [np.arange(len(values)) for values in outer]
    _check(losses, [len(values) for values in subjects])
    a, b, pairs = [], [], []
    for i in folds:
        inside = np.concatenate([losses.inner[i, j] for j in folds if j != i]).astype(np.float64)
        a.append((inside.mean() - outer[i].mean()) ** 2)
        b.append(_variance_of_mean(outer[i], subjects[i]))
        pairs.append(inside)
    together = np.concatenate(outer)
    # Folds hold different subjects, but numbers of a fold's own may repeat.
    names = np.concatenate(
        [np.unique(names, return_inverse=True)[1] + i * 2**32 for i, names in enumerate(subjects)]
    )
    single = together.var(ddof=1) / len(together) if len(together) > 1 else 0.0
    effect = _variance_of_mean(together, names) / single if single > 0 else 1.0
    smallest = min(len(np.unique(values)) for values in subjects)
    squared = float(np.mean(np.subtract(a, b)))
    return _Comparison(np.concatenate(pairs), float(together.mean()), squared, effect, smallest)


def _check(losses: PairLosses, sizes: Sequence[int]) -> None:
    for i, size in enumerate(sizes):
        if len(losses.outer[i]) != size:
            raise ValueError(f"fold {i}: {len(losses.outer[i])} losses, {size} subjects")
        for j, other in enumerate(sizes):
            if i != j and len(losses.inner.get((i, j), ())) != other:
                raise ValueError(f"inner[{i}, {j}] must hold the {other} losses on fold {j}")


def _variance_of_mean(values: np.ndarray, subjects: np.ndarray) -> float:
    """Variance of a mean over cases that are independent between subjects only; 0 for one subject."""
    if len(np.unique(subjects)) < 2:
        return 0.0
    return cluster_variance(values - values.mean(), subjects) / len(values) ** 2
