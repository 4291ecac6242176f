"""Figures of search and training, from records to drawings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.figures import bars
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.importance import importance
from nachos_jax.report.figures.learning import Fit, curves, learning
from nachos_jax.report.figures.search import SearchAxis, Trial, agreement, parallel, strip
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words import tables
from nachos_jax.report.words.format import in_sentence


def drawn(evidence: Evidence, summary: Mapping[str, Any]) -> list[Figure | None]:
    """Trials, losses, learning curves, search, importance, agreement and time; None for what is empty."""
    axes, label, outcomes = _searched(evidence), _score_label(summary), evidence.outcomes
    trials = [
        Trial(study, trial.number, trial.hparams, score.score, trial.number == outcome.selected)
        for study, outcome in outcomes.items()
        for trial, score in zip(outcome.trials, outcome.scores, strict=True)
    ]
    losses = {f"fold {fold}": test.training_loss for fold, test in evidence.tests.items()}
    selected = {study: outcome.selected for study, outcome in outcomes.items()}
    epochs = {study: outcome.epochs for study, outcome in outcomes.items()}
    mattered = importance([axis.name for axis in axes], trials)
    return [
        strip(trials, label),
        curves(losses, f"Training loss of the {'fits' if evidence.flat else 'refits'} over epochs"),
        learning(_fits(evidence), selected, epochs),
        parallel(axes, trials, label),
        bars.importance(mattered, "loss of R\N{SUPERSCRIPT TWO} when shuffled"),
        agreement(axes, trials),
        bars.spent(_seconds(summary)),
    ]


def _searched(evidence: Evidence) -> list[SearchAxis]:
    """The hyperparameters that differ between trials, with the scale that the space gives them."""
    space, axes = _flat(evidence.run["config"].get("search", {}).get("space", {})), []
    for name in tables.hyperparameters(evidence):
        values = [t.hparams[name] for study in evidence.trials.values() for t in study if name in t.hparams]
        kind = str(space.get(name, "")).partition("(")[0]
        if kind == "choice" or any(isinstance(value, (str, bool)) for value in values):
            kind = "choice"
        if len(set(map(str, values))) > 1:
            axes.append(SearchAxis(name, kind))
    return axes


def _flat(space: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in space.items():
        inside = isinstance(value, Mapping)
        found |= _flat(value, f"{prefix}{key}.") if inside else {f"{prefix}{key}": value}
    return found


def _score_label(summary: Mapping[str, Any]) -> str:
    """What the inner folds scored trials by; losses are turned round so that higher is better."""
    metric = summary["metrics"][summary["headline"]]
    label = in_sentence(metric["label"])
    mean = "" if label.startswith("mean ") else "mean "
    folds = "folds" if summary["protocol"] == "flat" else "inner folds"
    return f"{'' if metric['higher_is_better'] else 'minus '}{mean}{label} of the {folds}"


def _fits(evidence: Evidence) -> list[Fit]:
    """Validation losses of every search fit, as each study saw them; not of fits whose files were lost."""
    records = {fit.fit: fit.curves for fit in evidence.fits}
    return [
        Fit(study, trial, fold, curve.loss)
        for study, outcome in evidence.outcomes.items()
        for trial, ids in enumerate(outcome.fits)
        for name in ids
        for fold, curve in records.get(name, {}).items()
        if fold != study
    ]


def _seconds(summary: Mapping[str, Any]) -> dict[str, float]:
    spent = summary["spent"]
    told = {
        "training": spent["train_seconds"],
        "compilation": spent["compile_seconds"],
        "timing of lowerings": spent["tuning_seconds"],
    }
    rest = spent["process_seconds"] - sum(told.values())
    return {**told, "everything else": max(0.0, rest)} if spent["process_seconds"] else {}
