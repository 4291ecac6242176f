"""A study: the search of one outer fold, or of all cases. What it needs trained, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.types import EpochLimit, Fit, Trial, TrialScore
from nachos_jax.protocol.design.selection import ranked, select
from nachos_jax.records.schema import FitRecord, Outcome
from nachos_jax.search import registry as searchers


@dataclass(frozen=True)
class Study:
    """The search of one outer fold, or of all cases."""

    outer: int | None  # outer fold t, or None for a search on all cases
    inner: tuple[int, ...]  # inner folds v
    cases: str  # hash of the case table with its folds
    run: RunConfig  # the configuration
    title: str  # what it is called in messages
    keep_last: bool  # trials are scored at their last epoch and not at the best

    def left_out(self, inner: int) -> tuple[int, ...]:
        """{t, v}, sorted; {v} without an outer fold. (t, v) and (v, t) are one set: one fit serves both."""
        return tuple(sorted({inner} if self.outer is None else {self.outer, inner}))

    def fit(self, trial: Trial, left_out: tuple[int, ...], limit: EpochLimit) -> Fit:
        """A fit of this run."""
        return Fit(dict(trial.hparams), left_out, self.run.seed, limit, self.cases)

    def search_fit(self, trial: Trial, inner: int, limit: EpochLimit, alone: bool = False) -> Fit:
        """The fit of an inner fold.

        A trial that was drawn is one of every study, so its fit is asked about both folds that it leaves out
        and serves two studies. If it is to end with what is asked of the inner fold (`alone`), the other one
        is watched beside, and the study that asks about that goes on from there. A trial that a model
        proposed is shared by chance only: its fit is asked about the inner fold, and no other is watched.
        """
        fit = self.fit(trial, self.left_out(inner), limit)
        proposed = searchers.looks_at_scores(trial.origin)
        if self.outer is None or not (alone or proposed):
            return fit
        return replace(fit, asked=(inner,), beside=() if proposed else (self.outer,))

    def search_fits(self, trial: Trial) -> dict[int, Fit]:
        """The fit of each inner fold."""
        return {v: self.search_fit(trial, v, self.run.limit) for v in self.inner}

    def refit(self, trial: Trial, epochs: int) -> Fit:
        """The fit on all cases but the outer fold's, for exactly n* epochs."""
        left_out = () if self.outer is None else (self.outer,)
        return self.fit(trial, left_out, EpochLimit(epochs))

    def together(self, outcome: Outcome) -> list[int]:
        """Numbers of the trials that make the final mask: the selected one, then the best of the others."""
        others = [number for number in ranked(outcome.scores) if number != outcome.selected]
        return [outcome.selected, *others][: self.run.ensemble]

    def refits(self, outcome: Outcome) -> list[Fit]:
        """The refits of those trials, each for its own n* epochs, that of the selected one first."""
        return [
            self.refit(outcome.trials[number], outcome.scores[number].epochs or outcome.epochs)
            for number in self.together(outcome)
        ]

    def judges(self, outcome: Outcome) -> list[Fit]:
        """Fits of the selected trial whose masks of inner folds tell what the final mask is to keep.

        Each leaves out the outer fold, and the inner one that alone it is asked about, and runs n* epochs.
        Nothing where no study chooses that.
        """
        if not self.run.largest_component:
            return []
        trial, limit = outcome.trials[outcome.selected], EpochLimit(outcome.epochs)
        fits = ((self.fit(trial, self.left_out(v), limit), v) for v in self.inner)
        return [fit if self.outer is None else replace(fit, asked=(v,)) for fit, v in fits]

    def conclude(
        self, trials: Sequence[Trial], scores: Sequence[TrialScore], fits: Sequence[tuple[str, ...]]
    ) -> Outcome | None:
        """Selects h* and n*; None when every trial has failed.

        Args:
            trials: all trials, by number.
            scores: their scores.
            fits: ids of their search fits, the furthest on each inner fold.
        """
        selected = select(scores, self.run.search.rule)
        if selected is None:
            return None
        epochs = scores[selected].epochs
        assert epochs is not None
        return Outcome(
            study=self.outer,
            metric=self.run.search.metric,
            rule=self.run.search.rule,
            trials=tuple(trials),
            scores=tuple(scores),
            fits=tuple(fits),
            selected=selected,
            epochs=epochs,
        )

    def holds(self, trial: Trial, record: FitRecord) -> bool:
        """Whether the record is of a search fit of this trial, trained as far as a policy may ask."""
        inner = next((v for v in self.inner if self.left_out(v) == record.left_out), None)
        if inner is None:
            return False
        limit = self.run.limit
        may = (EpochLimit(record.limit, p, limit.min_delta) for p in range(limit.patience or 0, 0, -1))
        fits = (self.search_fit(trial, inner, one, alone=True) for one in may)
        return any(record.fit in (fit.id, of_all(fit).id) for fit in fits)


def of_all(fit: Fit) -> Fit:
    """The same fit asked about every fold that it leaves out, as earlier versions trained it."""
    return replace(fit, asked=None)


@dataclass(frozen=True)
class Ending:
    """What follows the search of a study."""

    fits: Callable[[Study, Outcome], list[Fit]]  # to train at the end: a refit, or networks to deploy
    finish: Callable[[Study, Outcome, list[FitRecord]], None]  # commits, also of fits that diverged
    finished: Callable[[Study], bool]  # whether the result is on disk, and nothing that it came from is lost
