"""Drives studies to their ends: ask for trials, train what is missing, select, refit, finish.

Everything that is left to do follows from the records, so resuming is the same call again.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit, Trial
from nachos_jax.protocol.crew.crew import Crew
from nachos_jax.protocol.design.study import Ending, Study
from nachos_jax.protocol.run import begun, solvers
from nachos_jax.protocol.run.opening import Run
from nachos_jax.protocol.run.progress import Progress, Status
from nachos_jax.protocol.study import cohorts, losses, noise
from nachos_jax.protocol.study.searching import Searching
from nachos_jax.records.schema import FitRecord, Outcome
from nachos_jax.runtime import beside, stopping
from nachos_jax.search import registry as searchers
from nachos_jax.search.background import Background
from nachos_jax.search.searcher import Proposal, Searcher, SearchSetting

log = logging.getLogger("nachos_jax")


@dataclass
class _Desk:
    """What is known of one study while it is conducted."""

    study: Study
    searcher: Searcher
    search: Searching
    trials: dict[int, Trial]
    outcome: Outcome | None
    closed: bool
    entered: int = 0  # cohorts whose trials are all on record
    asking: bool = False
    exhausted: bool = False  # the space holds no other trial


class Conductor:
    """Conducts studies that share their lanes but never a score.

    Args:
        run: the opened run.
        studies: the studies to conduct.
        crew: who trains.
        ending: what follows each search.
        progress: where progress is shown.
        searcher: who proposes the trials of a study by its outer fold; None for what the config names.
    """

    def __init__(
        self,
        run: Run,
        studies: Sequence[Study],
        crew: Crew,
        ending: Ending,
        progress: Progress,
        searcher: Callable[[int | None], Searcher] | None = None,
    ):
        self._searcher = searcher or self._built
        self._run, self._crew, self._ending, self._progress = run, crew, ending, progress
        self._losses = losses.beside(run)
        self._records = {record.fit: record for record in run.store.fits()}
        self._other_solver = solvers.other(run.store, self._records.values())
        self._submitted: set[str] = set()
        self._at_work: dict[tuple[str, tuple[int, ...]], str] = {}  # fits, by stream and folds watched
        self._cohorts = cohorts.of(run.config.search)
        self._desks = {study.outer: self._desk(study) for study in studies}
        self._background = Background()
        self._problems: list[str] = []
        self._ended_epochs = 0  # of fits that the crew has ended
        self._news = True  # records or proposals have come in since studies were last advanced

    def conduct(self) -> None:
        """Tells who is there, then runs until every study is finished.

        Raises:
            UsageError: fits are missing beside those that another solver has left (`solvers.check`), or a
                study could not be finished, for a reason that its message gives; all others were, and their
                results are on disk.
        """
        for text in self._run.census:
            log.info("%s", text)
        start = time.monotonic()
        if any(desk.outcome is None and not desk.closed for desk in self._desks.values()):
            beside.later(functools.partial(searchers.prepare, self._run.config.search.searcher))
        with contextlib.ExitStack() as closers:  # each runs, whatever another one meets
            closers.callback(self._progress.close)
            closers.push(lambda kind, *_: self._crew.close(time.monotonic() - start, failed=bool(kind)))
            closers.callback(self._background.close)
            self._progress.watch(lambda: self._crew.ledger.doing)
            with stopping.deferred(), stopping.looking(self._crew.look):
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
        trials = {trial.number: trial for trial in store.trials(study.outer)}
        outcome = store.outcome(study.outer)
        for trial in outcome.trials if outcome else ():
            if trials.get(trial.number) != trial:
                store.commit_trial(trial)
                trials[trial.number] = trial
        between = functools.partial(noise.between, self._run)
        older, alone = begun.before_fits_were_asked(store), begun.before_all_came_back(store)
        search = Searching(study, self._records, between, older, self._losses, alone)
        searcher, closed = self._searcher(study.outer), self._ending.finished(study)
        return _Desk(study, searcher, search, trials, outcome, closed)

    def _built(self, outer: int | None) -> Searcher:
        """The searcher that the config names."""
        config = self._run.config
        return searchers.build(config.search.searcher, SearchSetting.of(config, outer))

    def _advance(self, desk: _Desk) -> None:
        if desk.closed:
            return
        self._enter(desk)
        self._submit(desk.search.wanted())
        if desk.search.over:
            self._conclude(desk)
        elif not desk.asking and not desk.exhausted and self._cohorts.due(desk.entered, desk.search.through):
            self._ask(desk)

    def _enter(self, desk: _Desk) -> None:
        """Lets the cohorts in whose trials are all on record."""
        while desk.entered < len(self._cohorts.ends):
            numbers = self._cohorts.numbers(desk.entered)
            trials = [desk.trials[number] for number in numbers if number in desk.trials]
            if len(trials) < len(numbers) and not desk.exhausted:
                return
            desk.search.enter(trials)
            desk.entered = len(self._cohorts.ends) if desk.exhausted else desk.entered + 1
        desk.search.end()

    def _ask(self, desk: _Desk) -> None:
        desk.asking, searcher, numbers = True, desk.searcher, self._cohorts.numbers(desk.entered)
        decided = self._cohorts.decided(desk.entered)
        history = [desk.search.heard(number, decided) for number in range(numbers.start)]
        self._background.submit(desk.study.outer, lambda: searcher.ask(len(numbers), history))

    def _collect(self) -> None:
        """Commits proposals that have come in; trials committed before a kill are kept as they are."""
        for outer, proposals in self._background.ready():
            desk = self._desks[outer]
            self._take(desk, self._cohorts.numbers(desk.entered), proposals)
            desk.asking, self._news = False, True

    def _take(self, desk: _Desk, asked: range, proposals: Sequence[Proposal]) -> None:
        for number, proposal in zip(asked, proposals, strict=False):
            if number in desk.trials:
                continue
            trial = Trial(desk.study.outer, number, dict(proposal.hparams), proposal.origin)
            self._run.store.commit_trial(trial)
            desk.trials[number] = trial
        desk.exhausted = len(proposals) < len(asked)

    def _conclude(self, desk: _Desk) -> None:
        outcome = desk.search.outcome()
        if outcome is None:
            self._give_up(desk, "every trial met NaN, infinity or an undefined metric")
        elif desk.outcome is None:
            self._run.store.commit_outcome(outcome)
            desk.outcome = outcome
        elif desk.outcome != outcome:
            store = self._run.store
            raise UsageError(
                f"{store.outcome_path(desk.study.outer)} does not follow from the records of the trials and "
                f"fits: delete this file and run the same `nachos {store.command}` again."
            )
        if outcome is not None:
            self._end(desk, outcome)

    def _end(self, desk: _Desk, outcome: Outcome) -> None:
        last = self._ending.fits(desk.study, outcome)
        if all(fit.id in self._records for fit in last):
            self._ending.finish(desk.study, outcome, [self._records[fit.id] for fit in last])
            desk.closed = True
        else:
            self._submit(last)

    def _give_up(self, desk: _Desk, why: str) -> None:
        cure = "lower the learning rates in config.search.space or config.training and use a new --workdir"
        self._problems.append(f"{desk.study.title} could not be finished: {why}; {cure}.")
        desk.closed = True

    # --- fits -----------------------------------------------------------------------------------------

    def _submit(self, fits: Sequence[Fit]) -> None:
        """Has fits trained; one that another may begin, or may answer, waits until that one has ended."""
        new: dict[str, Fit] = {}
        for fit in fits:
            known = fit.id in self._submitted or fit.id in self._records
            if not known and (fit.stream, fit.watched) not in self._at_work:
                new[fit.id], self._at_work[fit.stream, fit.watched] = fit, fit.id
        solvers.check(self._run.store, self._other_solver, new.values())
        self._submitted.update(new)
        self._crew.submit(list(new.values()))

    def _take_in(self, records: Sequence[FitRecord]) -> None:
        for record in records:
            self._records[record.fit] = record
            self._ended_epochs += record.epochs
            self._news = True
        ended = {record.fit for record in records}
        self._at_work = {lane: fit for lane, fit in self._at_work.items() if fit not in ended}

    # --- what is shown ----------------------------------------------------------------------------------

    def _show(self) -> None:
        best = max((desk.search.best for desk in self._desks.values()), default=-math.inf)
        (busy, lanes), (epochs, rate) = self._crew.lanes, self._crew.pace
        fits = len(self._records)
        planned = max(self._planned(), fits)
        left = max(0.0, (planned - fits) * self._usual_epochs() - max(0, epochs - self._ended_epochs))
        self._crew.ledger.standing(fits_ended=fits, fits_planned=planned, epochs_left=round(left))
        shown = best if math.isfinite(best) else None
        self._progress.show(Status(fits, planned, busy, lanes, shown, epochs, rate, left))

    def _usual_epochs(self) -> float:
        """Epochs of a fit: the mean of those that have ended, or as many as it may take."""
        ended = [record.epochs for record in self._records.values()]
        return sum(ended) / len(ended) if ended else self._run.config.limit.epochs

    def _planned(self) -> int:
        """Fits known now, plus the first of trials that are still to be proposed, and a refit a study."""
        known, ahead = set(self._records) | self._submitted, 0
        for desk in self._desks.values():
            if desk.outcome is None and not desk.closed:
                ahead += 1 + (self._run.config.search.trials - len(desk.trials)) * desk.search.first
        return len(known) + ahead
