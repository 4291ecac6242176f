"""The contract of all policies: how far the trials of a study are trained, and which of them are given up.

A policy is a course of stages. Each stage asks for fits, and the next one is thought of when all of them have
ended. So what is decided follows from records alone, whatever the order in which they came in, and a run that
was killed decides the same again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nachos_jax.core.curves import best_epoch
from nachos_jax.core.types import EpochLimit
from nachos_jax.records.schema import Curve


@dataclass(frozen=True)
class Asked:
    """A trial on an inner fold, and how far its fit is to be trained.

    Attributes:
        trial: its number.
        fold: the inner fold.
        limit: see above.
        alone: whether the fit ends with what is asked of this fold. Otherwise it goes on until the outer
            fold, which another study may ask about, has what would be asked of that.
    """

    trial: int
    fold: int
    limit: EpochLimit
    alone: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Stage:
    """What has to be known before a policy can go on.

    Attributes:
        asked: fits; those that are known already cost nothing.
        stopped: trials that are given up from here on, and why.
    """

    asked: Sequence[Asked] = ()
    stopped: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cohort:
    """Trials that were proposed together: numbers in order, and how many cohorts came before."""

    index: int
    trials: tuple[int, ...]


Noise = Callable[[int, int, int], float | None]
"""(trial, trial, inner fold) -> standard error of the difference of their scores there, from the fold's cases
resampled by subject; None where no predictions are kept."""


def unknown(first: int, second: int, fold: int) -> None:  # noqa: ARG001
    """The noise where no predictions are kept."""


@dataclass
class Known:
    """What a study knows of its search fits.

    A fit that has ended counts when its stage is over. So a run that was killed, which is told all at once,
    sees at each stage what it saw before.

    Attributes:
        folds: inner folds in the order in which they are to be taken (see `tournament.order`).
        limit: of a search fit that no policy cuts short.
        noise: see `Noise`.
        trials: all trials that have been proposed, in order.
        stopped: trials that were given up, and why.
    """

    folds: tuple[int, ...]
    limit: EpochLimit
    noise: Noise = unknown
    trials: list[int] = field(default_factory=list)
    stopped: dict[int, str] = field(default_factory=dict)
    _told: dict[Asked, Curve] = field(default_factory=dict)
    _training: dict[Asked, Sequence[float | None]] = field(default_factory=dict)
    _seen: dict[tuple[int, int], dict[EpochLimit, Curve]] = field(default_factory=dict)

    def tell(self, asked: Asked, curve: Curve, training: Sequence[float | None] = ()) -> None:
        """What a fit that was asked for has said of its inner fold, and its training loss where it is known.

        A fit that another fold watches too is trained for longer than the curve. What came after the end of
        the curve depends on that fold, so it is left out.
        """
        self._told[asked], self._training[asked] = curve, training[: len(curve.loss)]

    def knows(self, asked: Asked) -> bool:
        """Whether this very fit has ended."""
        return asked in self._told

    def counts(self, asked: Asked) -> bool:
        """Whether this very fit counts: its stage is over."""
        return asked.limit in self._seen.get((asked.trial, asked.fold), {})

    def look(self, asked: Sequence[Asked]) -> None:
        """Fits that have ended count from here on: those of a stage, when all of them have."""
        for fit in asked:
            self._seen.setdefault((fit.trial, fit.fold), {})[fit.limit] = self._told[fit]

    def furthest(self, trial: int, fold: int) -> tuple[EpochLimit, Curve] | None:
        """The fit of a trial that was trained furthest, among those that count; None before the first."""
        seen = self._seen.get((trial, fold))
        return max(seen.items(), key=lambda pair: reach(pair[0])) if seen else None

    def curve(self, trial: int, fold: int, limit: EpochLimit | None = None) -> Curve | None:
        """Of the furthest fit of a trial on a fold, or of the one with this limit; None when not known."""
        if limit is not None:
            return self._seen.get((trial, fold), {}).get(limit)
        found = self.furthest(trial, fold)
        return found[1] if found else None

    def training(self, trial: int, fold: int) -> Sequence[float | None]:
        """Training loss of the furthest fit of a trial on a fold, as long as its curve; () if not known."""
        found = self.furthest(trial, fold)
        return self._training[Asked(trial, fold, found[0])] if found else ()

    def score(self, trial: int, fold: int, limit: EpochLimit | None = None) -> float | None:
        """Selection metric at the best epoch of the furthest fit, or of the one with this limit.

        None when it is not known, met NaN, or has an undefined metric.
        """
        curve = self.curve(trial, fold, limit)
        if curve is None or curve.end == "nan":
            return None
        value = curve.score[best_epoch(curve.loss) - 1]
        return value if value is not None and math.isfinite(value) else None

    def scores(self, trial: int) -> dict[int, float]:
        """Scores of a trial by inner fold, of those that are known, in the order of the folds."""
        found = {fold: self.score(trial, fold) for fold in self.folds}
        return {fold: score for fold, score in found.items() if score is not None}

    def failed(self, trial: int) -> bool:
        """Whether one of the trial's fits has ended without a score: it can no longer be selected."""
        return any((trial, fold) in self._seen and self.score(trial, fold) is None for fold in self.folds)

    def alive(self) -> list[int]:
        """Trials that were neither given up nor failed, in order."""
        return [trial for trial in self.trials if trial not in self.stopped and not self.failed(trial)]

    def complete(self, trial: int) -> bool:
        """Whether the trial has a score on all inner folds."""
        return len(self.scores(trial)) == len(self.folds)

    def rungs(self, trial: int) -> dict[int, float]:
        """Mean scores by epoch limit, over the folds seen under each; empty where all had the whole one."""
        found: dict[int, list[float]] = {}
        for fold in self.folds:
            for limit in self._seen.get((trial, fold), {}):
                score = self.score(trial, fold, limit)
                if score is not None:
                    found.setdefault(limit.epochs, []).append(score)
        if set(found) <= {self.limit.epochs}:
            return {}
        return {epochs: math.fsum(scores) / len(scores) for epochs, scores in sorted(found.items())}

    def completed(self, trial: int) -> list[Asked]:
        """The search fits of a trial that nothing cuts short."""
        return [Asked(trial, fold, self.limit) for fold in self.folds]


class Policy(Protocol):
    """Says how far the trials of one study are trained."""

    def sizes(self, rounds: Sequence[int]) -> list[int]:
        """Numbers of trials that are proposed together, given those that the searcher would choose."""
        ...

    def opening(self, known: Known, cohort: Cohort) -> Sequence[Asked]:
        """What a cohort asks for first, whatever the others have come to; it may be trained ahead."""
        ...

    def course(self, known: Known, cohort: Cohort) -> Iterator[Stage]:
        """The stages of a cohort after its opening.

        Args:
            known: what the study knows when a stage is thought of; `known.trials` holds this cohort and all
                before it, which have been through their stages.
            cohort: the trials to decide on; earlier ones that are alive may be given up too.

        Yields:
            Stages. A trial that is neither given up nor failed at the end has a score on all inner folds.
        """
        ...

    def completion(self, known: Known, trial: int) -> Sequence[Asked]:
        """What the trial that would be selected still asks for when all cohorts are through.

        It is asked again until all that it asks for counts. By default the trial is trained as if there had
        been no policy.
        """
        return known.completed(trial)


def reach(limit: EpochLimit) -> tuple[int, int]:
    """Orders the limits of one fit: what is further lets it train at least as long."""
    return limit.patience or limit.epochs, limit.epochs
