"""Bootstrap bias-corrected cross-validation: for one loop that both chose the trial and scored it."""

from __future__ import annotations

import math

import numpy as np

from nachos_jax.statistics.bootstrap import (
    UNDEFINED_SHARE,
    USUAL,
    Cases,
    Function,
    Resampling,
    blocks,
    by_target,
)
from nachos_jax.statistics.intervals import (
    BOUNDS,
    FEWEST_SUBJECTS,
    UNBOUNDED,
    Interval,
    Kind,
    narrow,
    too_few,
)


def bbc(
    metric: str | Function,
    cases: Cases,
    probabilities: np.ndarray,
    options: Resampling = USUAL,
    level: float = 0.95,
    higher_is_better: bool = True,
    selection: str | Function | None = None,
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
        metric: see `bootstrap.weighted`.
        cases: the N cases.
        probabilities: [T, N, C] out-of-fold predictions of each trial.
        options: how to resample.
        level: nominal coverage.
        higher_is_better: False when the selection metric is a loss.
        selection: the metric that the trial is selected by; default `metric`.

    Raises:
        ValueError: no cases or trials, or arrays of different lengths.
    """
    cases, probabilities = _by_fold(cases, np.asarray(probabilities, np.float64))
    count = len(np.unique(cases.subjects))
    kind = Kind("bbc", "Bootstrap bias-corrected cross-validation", "subjects", count, level)
    if count < FEWEST_SUBJECTS:
        return kind.undefined(too_few(count))
    metrics = metric, metric if selection is None else selection
    sign = 1.0 if higher_is_better else -1.0
    found = [
        _outside(metrics, cases, probabilities, drawn, sign, options) for drawn in blocks(cases, options)
    ]
    scores, partial = np.concatenate([one for one, _ in found]), sum(count for _, count in found)
    values = scores[np.isfinite(scores)]
    lost = len(scores) - len(values)
    told = f"{lost} of {len(scores)} replicates undefined"
    if lost > UNDEFINED_SHARE * len(scores):
        return kind.undefined(told)
    estimate = float(values.mean())
    if np.ptp(values) == 0:
        return kind.undefined("the same value in all replicates", estimate)
    pooled = "over pooled out-of-fold predictions" if options.target == "pooled" else ""
    left = f"a fold undefined and left out in {partial} of {len(scores)} replicates" * bool(partial)
    note = "; ".join(text for text in (pooled, told * bool(lost), left, narrow(count)) if text)
    ends = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    bounds = BOUNDS.get(metric, UNBOUNDED) if isinstance(metric, str) else UNBOUNDED
    return kind.around(estimate, ends, bounds, note)


def _by_fold(cases: Cases, probabilities: np.ndarray) -> tuple[Cases, np.ndarray]:
    """Cases and their [T, N, C] predictions in the order of the folds, which become slices.

    Raises:
        ValueError: no cases or trials, or arrays of different lengths.
    """
    sizes = {len(values) for values in vars(cases).values()}
    if probabilities.ndim != 3 or sizes != {probabilities.shape[1]} or not probabilities[:, :, 0].size:
        raise ValueError(f"{probabilities.shape} probabilities for {sorted(sizes)} cases: (T, N, C) expected")
    order = np.argsort(cases.folds, kind="stable")
    return Cases(*(np.asarray(values)[order] for values in vars(cases).values())), probabilities[:, order]


def _outside(
    metrics: tuple[str | Function, str | Function],
    cases: Cases,
    probabilities: np.ndarray,
    drawn: np.ndarray,
    sign: float,
    options: Resampling,
) -> tuple[np.ndarray, int]:
    """[B] score of each replicate's best trial on the cases that were not drawn; drawn is [B, N] counts.

    `metrics` are the one that scores and the one that selects. Also: in how many replicates a fold was
    undefined and left out of the score.
    """
    metric, selection = metrics
    inside = np.stack([by_target(selection, cases, p, drawn, options.target)[0] for p in probabilities])
    best = np.argmax(np.where(np.isfinite(inside), sign * inside, -math.inf), axis=0)
    scores, partial = np.full(len(drawn), np.nan), 0
    for trial in np.unique(best):
        rows = np.flatnonzero((best == trial) & np.isfinite(inside[trial]))
        left = (drawn[rows] == 0).astype(np.float64)
        scores[rows], count = by_target(metric, cases, probabilities[trial], left, options.target)
        partial += count
    return scores, partial
