"""The search of one study: the fits that its policy asks for, and the scores that their records give."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from nachos_jax.core.types import Fit, Trial, TrialScore
from nachos_jax.protocol.design.selection import score_trial, select
from nachos_jax.protocol.design.study import Study, of_all
from nachos_jax.protocol.study.losses import Losses
from nachos_jax.records.schema import Curve, FitRecord, Outcome
from nachos_jax.search.policies import registry as policies
from nachos_jax.search.policies import tournament
from nachos_jax.search.policies.expected import expected
from nachos_jax.search.policies.play import Play
from nachos_jax.search.policies.policy import Asked, Known, Noise
from nachos_jax.search.searcher import Heard

Furthest = Callable[[int, int], FitRecord | None]
"""(trial, inner fold) -> the furthest of its fits; None before the first."""


class Searching:
    """Where the search of a study stands; a function of the records of its fits.

    Args:
        study: the study.
        records: of all fits that have ended, by id; it grows while the study is conducted.
        noise: makes, from the furthest fit of a trial on a fold, the noise that its policy asks for.
        older: whether the run may hold fits of a version that asked every fit about all that it leaves out.
        losses: what the policy is told of a fit's training loss.
        last_alone: see `nachos_jax.search.policies.play.Play`.
    """

    def __init__(
        self,
        study: Study,
        records: Mapping[str, FitRecord],
        noise: Callable[[Furthest], Noise],
        older: bool = False,
        losses: Losses = lambda record: record.training_loss,
        last_alone: bool = False,
    ):
        self._study, self._records, self._older, self._losses = study, records, older, losses
        order = tournament.order(study.outer, study.inner)
        known = Known(order, study.run.limit, noise(self._record))
        policy = policies.build(study.run.search.policy)
        self._play = Play(policy, known, self._choose, self._listen, last_alone)
        self._trials: dict[int, Trial] = {}
        self._scores: dict[int, TrialScore] = {}
        self._changes = 0  # of what the policy knows, when scores were last thought of
        self._shown: dict[int, dict[int, Curve]] = {}
        self.best = -math.inf  # the best score of a trial so far, for people: no stage is waited for
        self._fits: dict[Asked, Fit] = {}
        self._heard: dict[int, dict[int, Heard]] = {}  # by how many cohorts had been decided on, and by trial

    @property
    def over(self) -> bool:
        """Whether a trial can be selected, or none is left."""
        return self._play.over

    @property
    def through(self) -> int:
        """How many cohorts have been decided on."""
        return self._play.through

    def enter(self, trials: Sequence[Trial]) -> None:
        """The next trials that were proposed together."""
        self._trials |= {trial.number: trial for trial in trials}
        self._play.enter([trial.number for trial in trials])

    def end(self) -> None:
        """No other trials will follow."""
        self._play.end()

    def wanted(self) -> list[Fit]:
        """The fits that are to be trained now, after all records that are there have been taken in."""
        while True:
            fits = {asked: self._fit(asked) for asked in self._play.wanted()}
            ended = {asked: fit.id for asked, fit in fits.items() if fit.id in self._records}
            if not ended:
                return list(fits.values())
            for asked, fit in ended.items():
                record = self._records[fit]
                curve = record.curves[asked.fold]
                self._play.known.tell(asked, curve, self._losses(record))
                self._show(asked, curve)

    def score(self, number: int) -> TrialScore | None:
        """What is known of a trial that has been decided on; None before."""
        known, trial = self._play.known, self._trials.get(number)
        if trial is None or number not in known.trials:
            return None
        if self._changes != self._play.changes:
            self._scores, self._changes = {}, self._play.changes
        if number not in self._scores:
            self._scores[number] = self._score(number)
        score = self._scores[number]
        return None if score.status == "stopped" and number not in known.stopped else score

    def heard(self, number: int, decided: int) -> Heard:
        """What a searcher is told of a trial once so many cohorts were decided on, whatever came since."""
        found = self._heard.get(decided, {}).get(number)
        return found or Heard(self._trials[number])

    def _listen(self) -> None:
        known = self._play.known
        self._heard[self._play.through] = {number: self._hear(number) for number in known.trials}

    def _hear(self, number: int) -> Heard:
        trial, score, known = self._trials[number], self.score(number), self._play.known
        if score is None or score.status == "failed":
            return Heard(trial, failed=score is not None)
        rungs = known.rungs(number)
        whole = known.limit.epochs in rungs
        if score.status == "done":
            return Heard(trial, score.score, rungs=rungs, whole=whole)
        value, error = expected(known, number)
        return Heard(trial, value, error, rungs=rungs, whole=whole)

    @property
    def first(self) -> int:
        """How many fits a trial asks for before anything is decided on it."""
        return self._play.first

    def outcome(self) -> Outcome | None:
        """h* and n* of a search that is over; None when every trial has failed."""
        scores = [self._score(number) for number in sorted(self._trials)]
        fits = [
            tuple(record.fit for record in self._furthest(number).values()) for number in sorted(self._trials)
        ]
        trials = [self._trials[number] for number in sorted(self._trials)]
        return self._study.conclude(trials, scores, fits)

    def _show(self, asked: Asked, curve: Curve) -> None:
        curves = self._shown.setdefault(asked.trial, {})
        curves[asked.fold] = curve
        if len(curves) == len(self._study.inner):
            score = score_trial(curves, 0, last=self._study.keep_last).score
            self.best = max(self.best, -math.inf if score is None else score)

    def _fit(self, asked: Asked) -> Fit:
        if asked not in self._fits:
            fit = self._study.search_fit(self._trials[asked.trial], asked.fold, asked.limit, asked.alone)
            # Only there: elsewhere a fit of this id is that of another study, which has drawn this trial.
            as_then = self._older and not fit.beside and of_all(fit).id in self._records
            self._fits[asked] = of_all(fit) if as_then else fit
        return self._fits[asked]

    def _record(self, number: int, fold: int) -> FitRecord | None:
        far = self._play.known.furthest(number, fold)
        return None if far is None else self._records[self._fit(Asked(number, fold, far[0])).id]

    def _furthest(self, number: int) -> dict[int, FitRecord]:
        """The furthest of a trial's fits on each inner fold that it has been trained on."""
        found = {fold: self._record(number, fold) for fold in self._study.inner}
        return {fold: record for fold, record in found.items() if record is not None}

    def _score(self, number: int) -> TrialScore:
        records = self._furthest(number)
        curves = {fold: record.curves[fold] for fold, record in records.items()}
        parameters = max((record.parameters for record in records.values()), default=0)
        stopped = number in self._play.known.stopped or len(curves) < len(self._study.inner)
        return score_trial(curves, parameters, last=self._study.keep_last, stopped=stopped)

    def _choose(self, known: Known) -> int | None:
        scores = [self._score(number) for number in known.trials]
        place = select(scores, self._study.run.search.rule)
        return None if place is None else known.trials[place]
