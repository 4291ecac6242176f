"""Where the trials of a study stand: who leads, and what the others may gain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nachos_jax.search.policies.gain import WEIGHT, expected_gain, squares
from nachos_jax.search.policies.policy import Known

TRAINING = 2.0
"""The variance of a lead on one fold, in variances that its cases explain: what training adds is no more
than the cases do (Bouthillier et al. 2021)."""


@dataclass(frozen=True)
class Standing:
    """The scores of all trials that have not failed, those that were given up too: they tell how much folds
    differ.

    Attributes:
        known: what the study knows.
        scores: of shape (trials, folds), by the rows of `trials`; NaN where not known.
        trials: numbers of the trials.
        seen: number of folds known of each trial.
        leader: the best mean among those that are alive and have been on the most folds.
        rivals: all others that are alive and have folds left.
    """

    known: Known
    scores: np.ndarray
    trials: list[int]
    seen: dict[int, int]
    leader: int
    rivals: list[int]

    @staticmethod
    def of(known: Known) -> Standing | None:
        """None when no trial is alive."""
        alive = known.alive()
        if not alive:
            return None
        trials = [trial for trial in known.trials if not known.failed(trial)]
        by_fold = [known.scores(trial) for trial in trials]
        scores = np.array([[found.get(fold, math.nan) for fold in known.folds] for found in by_fold])
        seen = dict(zip(trials, np.isfinite(scores).sum(1).tolist(), strict=True))
        front = [trial for trial in alive if seen[trial] == max(seen[trial] for trial in alive)]
        relative = scores - scores[trials.index(front[0])]  # so that the metric's zero does not round
        leader = max(front, key=lambda trial: np.nansum(relative[trials.index(trial)]))
        rivals = [trial for trial in alive if trial != leader and seen[trial] < len(known.folds)]
        return Standing(known, scores, trials, seen, leader, rivals)

    def first(self, trials: list[int]) -> list[int]:
        """Trials by their score on the first fold, best first."""
        return sorted(trials, key=lambda trial: -self.scores[self._row(trial), 0])

    def gains(self) -> np.ndarray | None:
        """What each rival may be expected to gain; None when nothing tells how much folds differ."""
        pooled = self._pooled
        if pooled is None:
            return None
        leads = self._leads([self._row(trial) for trial in self.rivals])
        own, freedom = squares(leads)
        variance = (WEIGHT * pooled + own) / (WEIGHT + freedom)
        return expected_gain(leads, variance, np.full(len(leads), self._freedom()), len(self.known.folds))

    def error(self) -> float:
        """Standard error of the leader's mean over all inner folds.

        Few folds tell little of how much it scatters. It is at least what sets it apart from others, which
        is half the variance of leads, so it is drawn to that.
        """
        pooled = self._pooled or 0.0
        own, freedom = squares(self.scores[[self._row(self.leader)]])
        variance = (WEIGHT * pooled / 2 + own[0]) / (WEIGHT + freedom[0])
        return math.sqrt(variance / len(self.known.folds))

    def _freedom(self) -> float:
        """Of the variance of leads: it counts folds, not trials, as all trials share the same folds."""
        folds = max(self.seen.values())
        return float(folds if self._cases is None else folds + WEIGHT)

    @cached_property
    def _pooled(self) -> float | None:
        """The variance of a lead from fold to fold, over all trials; at least what its cases explain."""
        own, freedom = squares(
            self._leads([row for row, trial in enumerate(self.trials) if trial != self.leader])
        )
        cases = self._cases
        if not freedom.sum():
            return None if cases is None else TRAINING * cases
        return max(own.sum() / freedom.sum(), cases or 0.0)

    @cached_property
    def _cases(self) -> float | None:
        """The variance of a lead that the cases of the first fold explain, over rivals."""
        fold = self.known.folds[0]
        errors = [self.known.noise(self.leader, rival, fold) for rival in self.rivals]
        told = [error for error in errors if error is not None]
        return float(np.mean(np.square(told))) if told else None

    def _leads(self, rows: list[int]) -> np.ndarray:
        return self.scores[self._row(self.leader)] - self.scores[rows]

    def _row(self, trial: int) -> int:
        return self.trials.index(trial)
