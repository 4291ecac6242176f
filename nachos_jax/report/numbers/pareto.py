"""Score against cost: which trials of a study no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nachos_jax.report.reading.evidence import Evidence


class Weighed(NamedTuple):
    """A trial of a finished study that has a score."""

    study: str
    trial: int
    parameters: int
    score: float
    selected: bool
    front: bool


def weighed(evidence: Evidence) -> list[Weighed]:
    """All trials with a score and parameters, study by study; [] where all have the same number of these.

    Each study has a front of its own, as scores of different outer folds are of different cases.
    """
    found, differ = [], False
    for study, outcome in evidence.outcomes.items():
        name = "search" if study is None else f"fold {study}"
        scored = [
            (trial.number, score.parameters, score.score)
            for trial, score in zip(outcome.trials, outcome.scores, strict=True)
            if score.status == "done" and score.score is not None and score.parameters
        ]
        costs, values = [cost for _, cost, _ in scored], [value for *_, value in scored]
        differ = differ or len(set(costs)) > 1
        found += [
            Weighed(name, number, cost, value, number == outcome.selected, kept)
            for (number, cost, value), kept in zip(scored, front(costs, values), strict=True)
        ]
    return found if differ else []


def front(costs: Sequence[float], scores: Sequence[float]) -> list[bool]:
    """Whether no other trial costs at most as much, scores at least as high, and is better in one of both."""
    best: dict[float, float] = {}
    for cost, score in zip(costs, scores, strict=True):
        best[cost] = max(score, best.get(cost, score))
    reached, kept = float("-inf"), {}
    for cost in sorted(best):
        kept[cost] = best[cost] > reached
        reached = max(reached, best[cost])
    return [kept[cost] and score == best[cost] for cost, score in zip(costs, scores, strict=True)]
