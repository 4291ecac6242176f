"""The finished searches of a run: trials with their scores and curves, as each study saw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nachos_jax.core.types import HParams
from nachos_jax.records.schema import Curve
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.reading.shown import shown


@dataclass(frozen=True)
class Searched:
    """A trial of a finished study.

    Attributes:
        number: its place in the study.
        hparams: its active hyperparameters.
        score: mean over inner folds, higher is better; None unless the status is "done".
        status: "done"; otherwise why it has no score: "failed", or "stopped" by a policy.
        by_fold: selection metric of each inner fold.
        curves: what each inner fold saw; nothing of fits whose files were lost.
    """

    number: int
    hparams: HParams
    score: float | None
    status: str
    by_fold: Mapping[int, float | None]
    curves: Mapping[int, Curve]

    @property
    def epochs(self) -> int:
        """Epochs that the inner folds of this study watched, over its fits."""
        return sum(len(curve.loss) for curve in self.curves.values())


@dataclass(frozen=True)
class Search:
    """A finished study.

    Attributes:
        run: name of its run.
        study: name for people, like "fold 0".
        trials: by number.
        at_last_epoch: trials were scored at their last epoch, not at the best.
        selected: number of the selected trial.
    """

    run: str
    study: str
    trials: tuple[Searched, ...]
    at_last_epoch: bool
    selected: int

    @property
    def scored(self) -> tuple[Searched, ...]:
        """The trials that have a score."""
        return tuple(trial for trial in self.trials if trial.score is not None)


def of(evidence: Evidence, run: str = "") -> list[Search]:
    """The finished studies of a run, in the order of its outer folds."""
    records, found = {fit.fit: fit for fit in evidence.fits}, []
    for study, outcome in evidence.outcomes.items():
        trials = []
        for trial, score, ids in zip(outcome.trials, outcome.scores, outcome.fits, strict=True):
            curves: dict[int, Curve] = {}
            for record in (records[name] for name in ids if name in records):
                for fold, curve in record.curves.items():
                    longer = fold not in curves or len(curve.loss) > len(curves[fold].loss)
                    # With pair reuse a fit watches two folds: the other one's curve is not this study's.
                    if fold != study and longer:
                        curves[fold] = curve
            value = score.score if score.status == "done" else None
            hparams = shown(trial.hparams, evidence)
            trials.append(Searched(trial.number, hparams, value, score.status, score.by_fold, curves))
        name = "search" if study is None else f"fold {study}"
        found.append(Search(run, name, tuple(trials), evidence.flat, outcome.selected))
    return found
