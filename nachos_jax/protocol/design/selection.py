"""The rules that turn curves into a choice: score, select, epochs. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nachos_jax.core.curves import best_epoch
from nachos_jax.core.types import TrialScore
from nachos_jax.records.schema import Curve


def score_trial(
    curves: Mapping[int, Curve], parameters: int, last: bool = False, stopped: bool = False
) -> TrialScore:
    """Scores a trial from the curve of each inner fold v, that of the fit that left v out.

    score = mean over v of the selection metric at best_epoch (first epoch, counted from 1, with the lowest
    loss on v; with `last` the last one, as the best would have been chosen on the same fold); spread = its
    standard deviation; n* = mean best epoch, rounded, at least 1. A trial with a NaN loss or an undefined
    metric in any inner fold has failed. One that was `stopped` before it was trained in full is not scored.
    """
    whole = {fold: curve.loss for fold, curve in curves.items() if curve.end != "nan"}
    best = {fold: len(loss) if last else best_epoch(loss) for fold, loss in whole.items()}
    by_fold = {fold: curves[fold].score[best[fold] - 1] if fold in best else None for fold in curves}
    scores = [score for score in by_fold.values() if score is not None and math.isfinite(score)]
    if not curves or len(scores) < len(curves):
        return TrialScore(None, None, None, parameters, "failed", by_fold)
    if stopped:
        return TrialScore(None, None, None, parameters, "stopped", by_fold)
    mean = math.fsum(scores) / len(scores)  # exact, so that equal means tie whatever the order of folds
    return TrialScore(mean, spread(scores), mean_epochs(list(best.values())), parameters, "done", by_fold)


def spread(scores: Sequence[float]) -> float:
    """Standard deviation with ddof 1; 0.0 of one value."""
    if len(scores) < 2:
        return 0.0
    mean = math.fsum(scores) / len(scores)
    return math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1))


def mean_epochs(best: Sequence[int]) -> int:
    """n*: the mean best epoch rounded (half to even, as the NACHOS code does), at least 1."""
    return max(1, round(sum(best) / len(best)))


def select(scores: Sequence[TrialScore], rule: str = "best") -> int | None:
    """Number of the selected trial, or None when all have failed.

    Args:
        scores: scores of all trials of a study, by number.
        rule: "best": highest score; ties go to lower spread, then fewer parameters, then lower number.
            "one-se": among trials within one standard error (of the best one's inner folds) of the best,
            the one with fewest parameters, then fewest epochs, then the order of "best"
            (Breiman et al. 1984; Hastie, Tibshirani and Friedman 2009, 7.10).
    """
    order = ranked(scores)
    if not order:
        return None
    if rule == "best":
        return order[0]
    top = scores[order[0]]
    floor = _number(top.score) - _number(top.spread) / math.sqrt(max(len(top.by_fold), 1))
    near = [number for number in order if _number(scores[number].score) >= floor]
    return min(near, key=lambda n: (scores[n].parameters, scores[n].epochs, _rank(scores[n], n)))


def ranked(scores: Sequence[TrialScore]) -> list[int]:
    """Numbers of the trials that were trained in full, the best first by the order of rule "best"."""
    done = [number for number, score in enumerate(scores) if score.status == "done"]
    return sorted(done, key=lambda number: _rank(scores[number], number))


def _rank(score: TrialScore, number: int) -> tuple[float, float, int, int]:
    return (-_number(score.score), _number(score.spread), score.parameters, number)


def _number(value: float | None) -> float:
    assert value is not None  # a trial that is done has a score and a spread
    return value
