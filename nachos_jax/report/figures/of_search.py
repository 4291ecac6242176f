"""Figures of search and training, from records to drawings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.core.types import HParamValue
from nachos_jax.report.figures import bars
from nachos_jax.report.figures.agreement import agreement
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.folds import Mark, strip
from nachos_jax.report.figures.importance import importance
from nachos_jax.report.figures.learning import FitCurve, curves, learning
from nachos_jax.report.figures.search import SearchAxis, TrialLine, parallel
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words import tables
from nachos_jax.report.words.format import in_sentence, number


def drawn(evidence: Evidence, summary: Mapping[str, Any]) -> list[Figure | None]:
    """Trials, losses, learning curves, search, importance, agreement and time; None for what is empty."""
    axes = searched(evidence)
    return [
        _trials(evidence, summary),
        curves(
            _losses(evidence), f"Training loss of the {'fits' if evidence.flat else 'refits'} over epochs"
        ),
        learning(_fits(evidence), _selected(evidence), _epochs(evidence)),
        parallel(axes, _lines(evidence), score_label(summary)),
        bars.importance(_importance(evidence, axes), "loss of R\N{SUPERSCRIPT TWO} when shuffled"),
        agreement(axes, _chosen(evidence)),
        bars.spent(_seconds(summary)),
    ]


def searched(evidence: Evidence) -> list[SearchAxis]:
    """The hyperparameters that differ between trials, with the scale that the space gives them."""
    space = dict(_flat(evidence.run["config"].get("search", {}).get("space", {})))
    axes = []
    for name in tables.hyperparameters(evidence):
        values = [t.hparams[name] for study in evidence.trials.values() for t in study if name in t.hparams]
        if len(set(map(str, values))) < 2:
            continue
        text = str(space.get(name, ""))
        if text.startswith("choice") or any(isinstance(value, (str, bool)) for value in values):
            axes.append(SearchAxis(name, "choice", tuple(sorted(set(values), key=_by_value))))
        else:
            axes.append(SearchAxis(name, "log" if text.startswith("log") else "linear"))
    return axes


def _by_value(value: HParamValue) -> tuple[int, float, str]:
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")


def _flat(space: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in space.items():
        inside = isinstance(value, Mapping)
        found += _flat(value, f"{prefix}{key}.") if inside else [(f"{prefix}{key}", value)]
    return found


def study_label(study: int | None) -> str:
    """Name of a study for people."""
    return "search" if study is None else f"fold {study}"


def _trials(evidence: Evidence, summary: Mapping[str, Any]) -> Figure | None:
    rows = {
        study_label(study): [
            _mark(number_, score.score, outcome.selected) for number_, score in enumerate(outcome.scores)
        ]
        for study, outcome in evidence.outcomes.items()
    }
    return strip(rows, score_label(summary), "Scores of all trials of every study", name="trials")


def _mark(trial: int, score: float | None, selected: int) -> Mark:
    told = "failed" if score is None else number(score)
    return Mark(score, f"trial {trial}: {told}{', selected' if trial == selected else ''}", trial == selected)


def score_label(summary: Mapping[str, Any]) -> str:
    """What the inner folds scored trials by; losses are turned round so that higher is better."""
    metric = summary["metrics"][summary["headline"]]
    label = in_sentence(metric["label"])
    mean = "" if label.startswith("mean ") else "mean "
    folds = "folds" if summary["protocol"] == "flat" else "inner folds"
    return f"{'' if metric['higher_is_better'] else 'minus '}{mean}{label} of the {folds}"


def _losses(evidence: Evidence) -> dict[str, Any]:
    return {f"fold {fold}": test.training_loss for fold, test in evidence.tests.items()}


def _fits(evidence: Evidence) -> list[FitCurve]:
    """Validation losses of every search fit, as each study saw them."""
    records, found = {fit.fit: fit for fit in evidence.fits}, []
    for study, outcome in evidence.outcomes.items():
        for trial, ids in enumerate(outcome.fits):
            for name in ids:
                record = records.get(name)  # None when its file was lost
                for fold, curve in record.curves.items() if record else ():
                    if fold != study:
                        found.append(FitCurve(study, trial, fold, curve.loss))
    return found


def _selected(evidence: Evidence) -> dict[int | None, int]:
    return {study: outcome.selected for study, outcome in evidence.outcomes.items()}


def _epochs(evidence: Evidence) -> dict[int | None, float | None]:
    return {study: outcome.epochs for study, outcome in evidence.outcomes.items()}


def _lines(evidence: Evidence) -> list[TrialLine]:
    return [
        TrialLine(
            outer_fold=study,
            trial=trial.number,
            values=dict(trial.hparams),
            score=outcome.scores[trial.number].score,
            selected=trial.number == outcome.selected,
        )
        for study, outcome in evidence.outcomes.items()
        for trial in outcome.trials
    ]


def _importance(evidence: Evidence, axes: list[SearchAxis]) -> dict[str, float | None]:
    scored = [
        (study, trial.hparams, score.score)
        for study, outcome in evidence.outcomes.items()
        for trial, score in zip(outcome.trials, outcome.scores, strict=True)
        if score.score is not None
    ]
    return importance([axis.name for axis in axes], scored)


def _chosen(evidence: Evidence) -> dict[str, Mapping[str, HParamValue]]:
    found = {study: evidence.selected(study) for study in evidence.outcomes}
    return {study_label(s): trial.hparams for s, trial in found.items() if trial is not None}


def _seconds(summary: Mapping[str, Any]) -> dict[str, float | None]:
    spent = summary["spent"]
    told = {
        "training": spent["train_seconds"],
        "compilation": spent["compile_seconds"],
        "timing of lowerings": spent["tuning_seconds"],
    }
    rest = spent["process_seconds"] - sum(told.values())
    return {**told, "everything else": max(0.0, rest)} if spent["process_seconds"] else {}
