"""Bootstrap bias-corrected cross-validation: for one loop that both chose the trial and scored it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nachos_jax.statistics.bootstrap import (
    UNDEFINED_SHARE,
    USUAL,
    Cases,
    Part,
    Resampling,
    Statistic,
    blocks,
    by_target,
    evaluated,
    ordered,
)
from nachos_jax.statistics.intervals import (
    FEWEST_SUBJECTS,
    UNBOUNDED,
    Bounds,
    Interval,
    Kind,
    narrow,
    too_few,
)


def bbc(
    trials: Sequence[Statistic],
    cases: Cases,
    options: Resampling = USUAL,
    level: float = 0.95,
    higher_is_better: bool = True,
    selection: Sequence[Statistic] | None = None,
    bounds: Bounds = UNBOUNDED,
) -> Interval:
    """Estimate and interval of the best of T trials from their out-of-fold predictions, without more fits.

    R times: draw subjects with replacement; the trial that is best on the drawn cases is scored on those
    not drawn. The mean of the R scores is the estimate, their quantiles the interval (Tsamardinos, Greasidou
    and Borboudakis, 2018, Machine Learning 107, "BBC-CV"). Ties go to the lower
    trial number.

    Unit: subjects. Target: the performance of the trial that one flat K-fold search chooses, with fits at
    n (K - 1)/K cases. Assumes that trials were proposed without looking at scores and every trial predicted
    every case. About 37 % of the subjects are scored in a replicate, so the interval is wide; the fits are
    held fixed. Do not use it after adaptive search or early stopping on the scored folds without saying so:
    that optimism stays in the predictions and cannot be corrected here.

    Args:
        trials: T statistics of the cases, the score of each trial's out-of-fold predictions.
        cases: the N cases.
        options: how to resample.
        level: nominal coverage.
        higher_is_better: False when the selection metric is a loss.
        selection: T statistics that the trial is selected by; default `trials`.
        bounds: smallest and largest value of the score.

    Raises:
        ValueError: no cases or trials, or arrays of different lengths.
    """
    wanted = trials if selection is None else selection
    if not trials or len(wanted) != len(trials):
        raise ValueError(f"{len(trials)} trials to score and {len(wanted)} to select from: as many expected")
    cases, parts = ordered(cases, options.target)
    count = len(np.unique(cases.subjects))
    kind = Kind("bbc", "Bootstrap bias-corrected cross-validation", "subjects", count, level)
    if count < FEWEST_SUBJECTS:
        return kind.undefined(too_few(count))
    sign = 1.0 if higher_is_better else -1.0
    found = [_outside(trials, wanted, parts, drawn, sign) for drawn in blocks(cases, options)]
    scores, partial = np.concatenate([one for one, _ in found]), sum(count for _, count in found)
    values = scores[np.isfinite(scores)]
    lost = len(scores) - len(values)
    told = f"{lost} of {len(scores)} replicates undefined"
    if lost > UNDEFINED_SHARE * len(scores):
        return kind.undefined(told)
    estimate = float(values.mean())
    if np.ptp(values) == 0:
        return kind.undefined("the same value in all replicates", estimate)
    note = "; ".join(filter(None, (evaluated(options, partial), told * bool(lost), narrow(count))))
    ends = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return kind.around(estimate, ends, bounds, note)


def _outside(
    trials: Sequence[Statistic],
    selection: Sequence[Statistic],
    parts: Sequence[Part],
    drawn: np.ndarray,
    sign: float,
) -> tuple[np.ndarray, int]:
    """[B] score of each replicate's best trial on the cases that were not drawn; drawn is [B, N] counts.

    Also: in how many replicates a fold was undefined and left out of the score.
    """
    inside = np.stack([by_target(statistic, parts, drawn)[0] for statistic in selection])
    best = np.argmax(np.where(np.isfinite(inside), sign * inside, -math.inf), axis=0)
    scores, partial = np.full(len(drawn), np.nan), 0
    for trial in np.unique(best):
        rows = np.flatnonzero((best == trial) & np.isfinite(inside[trial]))
        left = (drawn[rows] == 0).astype(np.float64)
        scores[rows], count = by_target(trials[trial], parts, left)
        partial += count
    return scores, partial
