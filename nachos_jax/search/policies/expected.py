"""The score that a trial would have had on all inner folds: what searchers hear of trials given up early."""

from __future__ import annotations

import math

import numpy as np

from nachos_jax.core.curves import best_epoch
from nachos_jax.search.policies.gain import WEIGHT, squares
from nachos_jax.search.policies.policy import Known


def expected(known: Known, trial: int) -> tuple[float | None, float]:
    """Expected mean score of a trial over all inner folds, and its standard error.

    The trial is compared with the best one that is known on all folds, on the folds that it has seen and as
    far as it was trained there: the leader's mean and the mean difference are added. m of the M folds seen
    leave a variance of s^2/m (1 - m/M) (Cochran 1977, eq. 2.12), where s^2 is drawn to that of all trials.

    Returns:
        (None, 0.0) where nothing can be compared.
    """
    whole = [other for other in known.trials if known.complete(other) and other not in known.stopped]
    if not whole:
        return None, 0.0
    leader = max(whole, key=lambda other: math.fsum(known.scores(other).values()))
    mean = math.fsum(known.scores(leader).values()) / len(known.folds)
    rows = {other: _differences(known, other, leader) for other in known.trials if other != leader}
    own = rows.get(trial)
    if own is None or not np.isfinite(own).any():
        return None, 0.0
    around, freedom = squares(np.array(list(rows.values())))
    place = list(rows).index(trial)
    pooled = around.sum() / freedom.sum() if freedom.sum() else 0.0
    variance = (WEIGHT * pooled + around[place]) / (WEIGHT + freedom[place])
    seen = int(np.isfinite(own).sum())
    error = math.sqrt(variance / seen * (1 - seen / len(known.folds)))
    return mean + float(np.nanmean(own)), error


def _differences(known: Known, trial: int, leader: int) -> np.ndarray:
    """[M] the trial's scores less the leader's, both as far as the trial was trained; NaN where not known."""
    found = []
    for fold in known.folds:
        far, score, top = known.furthest(trial, fold), known.score(trial, fold), known.curve(leader, fold)
        if far is None or score is None or top is None:
            found.append(math.nan)
            continue
        cut = top.loss[: far[0].epochs]  # under the same rung, but not ended by a patience of its own
        value = top.score[best_epoch(cut) - 1]
        found.append(math.nan if value is None else score - value)
    return np.array(found)
