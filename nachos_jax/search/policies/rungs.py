"""Rungs: epoch counts at which the trials of a cohort are compared and most of them are given up."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from nachos_jax.core.types import EpochLimit
from nachos_jax.search.policies.policy import Asked, Known, Stage

ETA = 3
"""One in so many goes on, for so many times as many epochs, as in Hyperband (Li et al. 2018, 2.6)."""


def below(limit: EpochLimit, number: int) -> list[EpochLimit]:
    """Limits of so many rungs below the whole one, lowest first; fewer when there are too few epochs."""
    epochs = sorted({max(1, limit.epochs // ETA**step) for step in range(1, number + 1)})
    return [replace(limit, epochs=count) for count in epochs if count < limit.epochs]


def ask(trials: Sequence[int], folds: Sequence[int], limit: EpochLimit) -> list[Asked]:
    """All of these trials on all of these folds."""
    return [Asked(trial, fold, limit) for trial in trials for fold in folds]


def climb(
    known: Known, trials: Sequence[int], folds: Sequence[int], rungs: Sequence[EpochLimit], least: int = 1
) -> Iterator[Stage]:
    """The stages after the lowest rung: from one to the next, and to the end, with the best of each.

    Args:
        known: what the study knows.
        trials: that are on the lowest rung.
        folds: on which they are trained and compared, by their mean.
        rungs: lowest first.
        least: trials that go on at least.
    """
    for place, (limit, following) in enumerate(pairwise([*rungs, known.limit]), 1):
        alive = set(known.alive())
        running = [trial for trial in trials if trial in alive]
        keep = best(known, running, folds, limit, max(least, len(trials) // ETA**place))
        told = f"not among the best {len(keep)} of {len(running)} after {limit.epochs} epochs"
        yield Stage(ask(keep, folds, following), {trial: told for trial in running if trial not in keep})


def best(
    known: Known, trials: Sequence[int], folds: Sequence[int], limit: EpochLimit, number: int
) -> list[int]:
    """So many of these trials, by their mean score over folds under a limit; ties go to the lower number."""

    def mean(trial: int) -> float:
        scores = [known.score(trial, fold, limit) for fold in folds]
        return math.fsum(score for score in scores if score is not None) / len(folds)

    return sorted(sorted(trials), key=mean, reverse=True)[:number]
