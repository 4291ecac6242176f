"""Where each fit of a run shows in TensorBoard: below its study and trial, once for every study it served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nachos_jax.core.types import HParams, Trial, TrialScore, digest
from nachos_jax.records.schema import FitRecord, Outcome
from nachos_jax.records.store import RunDirectory, study_name


@dataclass(frozen=True)
class TrackedTrial:
    """A trial of a study.

    Attributes:
        folder: like "fold_00/trial_0003".
        trial: what was asked for.
        score: how it was scored, None while its study goes on.
        selected: True for the trial h* of a finished study.
    """

    folder: str
    trial: Trial
    score: TrialScore | None
    selected: bool


@dataclass(frozen=True)
class TrackedFit:
    """A fit as one study sees it.

    Attributes:
        folder: like "fold_00/trial_0003/inner_02", "fold_00/refit", or "fits/ID" for a fit of no study.
        record: the fit.
        watched: the folds whose curves show there. With pair reuse a fit watches two, and each of its two
            studies sees the one that is its inner fold.
    """

    folder: str
    record: FitRecord
    watched: tuple[int, ...]


def tracked(store: RunDirectory) -> tuple[list[TrackedTrial], list[TrackedFit]]:
    """All trials and finished fits of one command of a run; the one study of the flat protocol is "flat".

    Args:
        store: of the estimation or of the deployment.
    """
    fits = list(store.fits())
    trials: list[TrackedTrial] = []
    places: list[TrackedFit] = []
    refits = {test.outer_fold: test.fit for test in store.tests()}
    for study in _studies(store):
        asked, outcome = store.trials(study), store.outcome(study)
        name = "flat" if study is None and store.command == "evaluate" else study_name(study)
        trials += _trials(name, asked, outcome)
        places += _searched(name, study, asked, outcome, fits)
        places += _refit(name, study, outcome, refits.get(study) if study is not None else None, fits)
    placed = {place.record.fit for place in places}
    others = [TrackedFit(f"fits/{f.fit}", f, tuple(f.curves)) for f in fits if f.fit not in placed]
    return trials, places + others


def _studies(store: RunDirectory) -> list[int | None]:
    run = store.run() or {}
    if store.command == "deploy" or run["config"].get("protocol") == "flat":
        return [None]
    return list(range(int(run["folds"]["count"]) * int(run["folds"].get("repeats", 1))))


def _trials(name: str, asked: Sequence[Trial], outcome: Outcome | None) -> Iterator[TrackedTrial]:
    for trial in asked:
        scored = outcome is not None and trial.number < len(outcome.scores)
        score = outcome.scores[trial.number] if outcome is not None and scored else None
        selected = outcome is not None and outcome.selected == trial.number
        yield TrackedTrial(_trial_folder(name, trial), trial, score, selected)


def _searched(
    name: str, study: int | None, asked: Sequence[Trial], outcome: Outcome | None, fits: Sequence[FitRecord]
) -> Iterator[TrackedFit]:
    """The search fits of a study: those that left its outer fold and one inner fold out."""
    known = {fit for ids in outcome.fits for fit in ids} if outcome else set()
    found: dict[tuple[str, int], FitRecord] = {}
    for record in fits:
        inner = _inner_fold(study, record)
        if inner is not None:
            key = _key(record.hparams), inner
            found[key] = max(found.get(key, record), record, key=lambda f: (f.fit in known, f.epochs, f.fit))
    by_hparams: dict[str, list[int]] = {}
    for hparams, inner in sorted(found):
        by_hparams.setdefault(hparams, []).append(inner)
    for trial in asked:
        for inner in by_hparams.get(_key(trial.hparams), ()):
            folder = f"{_trial_folder(name, trial)}/inner_{inner:02d}"
            yield TrackedFit(folder, found[_key(trial.hparams), inner], (inner,))


def _refit(
    name: str, study: int | None, outcome: Outcome | None, tested: str | None, fits: Sequence[FitRecord]
) -> Iterator[TrackedFit]:
    """The fit on all folds but the outer one, on all folds for deployment."""
    if outcome is None:
        return
    chosen = _key(outcome.trials[outcome.selected].hparams)
    left_out = () if study is None else (study,)
    for record in fits:
        fits_in = record.left_out == left_out and _key(record.hparams) == chosen
        if record.fit == tested or (tested is None and fits_in and record.limit == outcome.epochs):
            yield TrackedFit(f"{name}/refit", record, tuple(record.curves))
            return


def _inner_fold(study: int | None, record: FitRecord) -> int | None:
    """The one fold besides the outer fold that a search fit left out; None for a fit of another kind."""
    if study is not None and study not in record.left_out:
        return None
    others = [fold for fold in record.left_out if fold != study]
    return others[0] if len(others) == 1 and others[0] in record.curves else None


def _trial_folder(name: str, trial: Trial) -> str:
    return f"{name}/trial_{trial.number:04d}"


def _key(hparams: HParams | Mapping[str, object]) -> str:
    return digest(dict(hparams))
