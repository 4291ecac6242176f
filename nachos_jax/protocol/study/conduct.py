"""Drives studies to their ends: ask for trials, train what is missing, select, refit, finish.

Everything that is left to do follows from the records, so resuming is the same call again.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit, Trial, TrialScore
from nachos_jax.data import census
from nachos_jax.protocol.crew.crew import Crew
from nachos_jax.protocol.design.study import Ending, Study
from nachos_jax.protocol.run.opening import Run
from nachos_jax.protocol.run.progress import Progress, Status
from nachos_jax.protocol.study.rounds import Round, due
from nachos_jax.records.schema import FitRecord, Outcome
from nachos_jax.runtime import stopping
from nachos_jax.search import registry as searchers
from nachos_jax.search.background import Background
from nachos_jax.search.searcher import Proposal, Searcher, SearchSetting, heard_of

log = logging.getLogger("nachos_jax")


@dataclass
class _Desk:
    """What is known of one study while it is conducted."""

    study: Study
    searcher: Searcher
    trials: dict[int, Trial]
    outcome: Outcome | None
    closed: bool
    fits: dict[int, dict[int, Fit]] = field(default_factory=dict)
    scores: dict[int, TrialScore] = field(default_factory=dict)
    asking: Round | None = None
    exhausted: bool = False


class Conductor:
    """Conducts studies that share their lanes but never a score.

    Args:
        run: the opened run.
        studies: the studies to conduct.
        crew: who trains.
        ending: what follows each search.
        progress: where progress is shown.
    """

    def __init__(self, run: Run, studies: Sequence[Study], crew: Crew, ending: Ending, progress: Progress):
        self._run, self._crew, self._ending, self._progress = run, crew, ending, progress
        self._records = {record.fit: record for record in run.store.fits()}
        self._submitted: set[str] = set()
        self._desks = {study.outer: self._desk(study) for study in studies}
        self._background = Background()
        self._problems: list[str] = []
        self._ended_epochs = 0  # of fits that the crew has ended
        self._news = True  # records or proposals have come in since studies were last advanced

    def conduct(self) -> None:
        """Tells who is there, then runs until every study is finished.

        Raises:
            UsageError: a study could not be finished, for a reason that its message gives; all others
                were, and their results are on disk.
        """
        for text in census.lines(self._run.cohort):
            log.info("%s", text)
        start = time.monotonic()
        with contextlib.ExitStack() as closers:  # each runs, whatever another one meets
            closers.callback(self._progress.close)
            closers.push(lambda kind, *_: self._crew.close(time.monotonic() - start, failed=bool(kind)))
            closers.callback(self._background.close)
            self._progress.watch(lambda: self._crew.ledger.doing)
            with stopping.deferred():
                self._crew.prepare()
                self._conduct()
        if self._problems:
            raise UsageError("\n".join(self._problems))

    def _conduct(self) -> None:
        while True:
            if self._news:
                self._news = False
                for desk in self._desks.values():
                    self._advance(desk)
            if self._crew.working:
                self._take_in(self._crew.step())
                self._show()
            elif self._background.busy:
                self._crew.rest()
            elif all(desk.closed for desk in self._desks.values()):
                return
            elif not self._news:
                raise RuntimeError("a study is open, yet nothing is left to train or to propose")
            self._collect()

    # --- one study --------------------------------------------------------------------------------

    def _desk(self, study: Study) -> _Desk:
        store = self._run.store
        setting = SearchSetting.of(self._run.config, study.outer)
        searcher = searchers.build(self._run.config.search.searcher, setting)
        trials = {trial.number: trial for trial in store.trials(study.outer)}
        outcome = store.outcome(study.outer)
        for trial in outcome.trials if outcome else ():
            if trials.get(trial.number) != trial:
                store.commit_trial(trial)
        return _Desk(study, searcher, trials, outcome, self._ending.finished(study))

    def _advance(self, desk: _Desk) -> None:
        if desk.closed:
            return
        if desk.outcome is not None:
            self._end(desk, desk.outcome)
        else:
            self._search(desk)

    def _search(self, desk: _Desk) -> None:
        for trial in desk.trials.values():
            if trial.number in desk.scores:
                continue
            if trial.number not in desk.fits:
                desk.fits[trial.number] = desk.study.search_fits(trial)
            fits = desk.fits[trial.number]
            score = desk.study.score(fits, self._records)
            if score is None:
                self._submit(list(fits.values()))
            else:
                desk.scores[trial.number] = score
        wanted = self._run.config.search.trials if not desk.exhausted else len(desk.trials)
        if len(desk.scores) == len(desk.trials) == wanted:
            self._conclude(desk)
        elif desk.asking is None and not desk.exhausted:
            desk.asking = due(self._run.config.search, _without_gap(desk.trials), _without_gap(desk.scores))
            if desk.asking is not None:
                self._ask(desk, desk.asking)

    def _ask(self, desk: _Desk, due_round: Round) -> None:
        history = [
            heard_of(desk.trials[number], desk.scores.get(number) if number < due_round.seen else None)
            for number in range(due_round.start)
        ]
        searcher, size = desk.searcher, due_round.size
        self._background.submit(desk.study.outer, lambda: searcher.ask(size, history))

    def _collect(self) -> None:
        """Commits proposals that have come in; trials committed before a kill are kept as they are."""
        for outer, proposals in self._background.ready():
            desk = self._desks[outer]
            assert desk.asking is not None
            self._take(desk, desk.asking, proposals)
            desk.asking, self._news = None, True

    def _take(self, desk: _Desk, asked: Round, proposals: Sequence[Proposal]) -> None:
        for number, proposal in enumerate(proposals, asked.start):
            if number in desk.trials:
                continue
            trial = Trial(desk.study.outer, number, dict(proposal.hparams), proposal.origin)
            self._run.store.commit_trial(trial)
            desk.trials[number] = trial
        desk.exhausted = len(proposals) < asked.size

    def _conclude(self, desk: _Desk) -> None:
        numbers = sorted(desk.trials)
        trials, scores = [desk.trials[n] for n in numbers], [desk.scores[n] for n in numbers]
        outcome = desk.study.conclude(trials, scores)
        if outcome is None:
            self._give_up(desk, "every trial met NaN, infinity or an undefined metric")
            return
        self._run.store.commit_outcome(outcome)
        desk.outcome = outcome
        self._end(desk, outcome)

    def _end(self, desk: _Desk, outcome: Outcome) -> None:
        last = self._ending.fits(desk.study, outcome)
        fits = [*desk.study.searched(outcome), *last]  # the record of a search fit may have been lost since
        if all(fit.id in self._records for fit in fits):
            self._ending.finish(desk.study, outcome, [self._records[fit.id] for fit in last])
            desk.closed = True
        else:
            self._submit(fits)

    def _give_up(self, desk: _Desk, why: str) -> None:
        cure = "lower the learning rates in config.search.space or config.training and use a new --workdir"
        self._problems.append(f"{desk.study.title} could not be finished: {why}; {cure}.")
        desk.closed = True

    # --- fits -----------------------------------------------------------------------------------------

    def _submit(self, fits: Sequence[Fit]) -> None:
        new = {fit.id: fit for fit in fits if fit.id not in self._submitted and fit.id not in self._records}
        self._submitted.update(new)
        self._crew.submit(list(new.values()))

    def _take_in(self, records: Sequence[FitRecord]) -> None:
        for record in records:
            self._records[record.fit] = record
            self._ended_epochs += record.epochs
            self._news = True

    # --- what is shown ----------------------------------------------------------------------------------

    def _show(self) -> None:
        scores = [
            s.score for desk in self._desks.values() for s in desk.scores.values() if s.score is not None
        ]
        (busy, lanes), (epochs, rate) = self._crew.lanes, self._crew.pace
        fits = len(self._records)
        planned = max(self._planned(), fits)
        left = max(0.0, (planned - fits) * self._usual_epochs() - max(0, epochs - self._ended_epochs))
        self._crew.ledger.standing(fits_ended=fits, fits_planned=planned, epochs_left=round(left))
        best = max(scores, default=None)
        self._progress.show(Status(fits, planned, busy, lanes, best, epochs, rate, left))

    def _usual_epochs(self) -> float:
        """Epochs of a fit: the mean of those that have ended, or as many as it may take."""
        ended = [record.epochs for record in self._records.values()]
        return sum(ended) / len(ended) if ended else self._run.config.limit.epochs

    def _planned(self) -> int:
        """Fits known now, plus those of trials that are still to be proposed."""
        known, ahead = set(self._records) | self._submitted, 0
        for desk in self._desks.values():
            if desk.outcome is None and not desk.closed:
                ahead += 1 + (self._run.config.search.trials - len(desk.trials)) * len(desk.study.inner)
        return len(known) + ahead


def _without_gap(numbers: Container[int]) -> int:
    """How many numbers from 0 on are there before the first that is not."""
    return next(number for number in itertools.count() if number not in numbers)
