"""Figures of search and training, from records to drawings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.config.field import flat
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.learning import Fit, curves, learning
from nachos_jax.report.figures.numbers import defined, teller
from nachos_jax.report.figures.rows import bars
from nachos_jax.report.figures.search import Trial, agreement, parallel, strip
from nachos_jax.report.numbers.importance import importance
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words import tables
from nachos_jax.report.words.format import duration, in_sentence, percent


def drawn(evidence: Evidence, summary: Mapping[str, Any]) -> list[Figure | None]:
    """Trials, losses, learning curves, search, importance, agreement and time; None for what is empty.

    Trials that the policy stopped have no score on all inner folds, and are in none of them.
    """
    axes, label = _searched(evidence), _score_label(summary)
    trials = [
        Trial(study, trial.number, trial.hparams, score.score, trial.number == outcome.selected)
        for study, outcome in evidence.outcomes.items()
        for trial, score in zip(outcome.trials, outcome.scores, strict=True)
        if score.status != "stopped"
    ]
    scored = [(trial.outer_fold, trial.values, trial.score) for trial in trials if trial.score is not None]
    losses = {f"fold {fold}": test.training_loss for fold, test in evidence.tests.items()}
    return [
        strip(trials, label),
        curves(losses, f"Training loss of the {'fits' if evidence.flat else 'refits'} over epochs"),
        learning(_fits(evidence)),
        parallel(axes, trials, label),
        mattered(importance(list(axes), scored)),
        agreement(axes, trials),
        time_spent(summary["spent"]),
    ]


def mattered(values: Mapping[str, float | None]) -> Figure | None:
    """How much each hyperparameter mattered for the score; None where it is not known."""
    told, found = teller(values.values()), map(defined, values.values())
    texts = ["not known" if value is None else told(value) for value in found]
    what, title = "loss of R\N{SUPERSCRIPT TWO} when shuffled", f"Importance of {len(values)} hyperparameters"
    return bars("importance", what, title, values, texts)


def time_spent(spent: Mapping[str, float]) -> Figure | None:
    """Time by what it was spent on, with its share of the whole."""
    names = {"train": "training", "compile": "compilation", "tuning": "timing of lowerings"}
    told = {name: spent[f"{key}_seconds"] for key, name in names.items()}
    told["everything else"] = max(0.0, spent["process_seconds"] - sum(told.values()))
    whole = sum(told.values())
    texts = [f"{duration(value)}, {percent(value / whole)}" for value in told.values() if whole]
    return bars("spent", "seconds", "Time by what it was spent on", told, texts) if whole else None


def _searched(evidence: Evidence) -> dict[str, str]:
    """The hyperparameters that differ between trials, with the scale that the space gives them."""
    space, axes = flat(evidence.run["config"].get("search", {}).get("space", {})), {}
    for name in tables.hyperparameters(evidence):
        values = [t.hparams[name] for study in evidence.trials.values() for t in study if name in t.hparams]
        choice = any(isinstance(value, (str, bool)) for value in values)
        if len(set(map(str, values))) > 1:
            axes[name] = "choice" if choice else str(space.get(name, "")).partition("(")[0]
    return axes


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
        Fit(study, trial, fold, curve.loss, trial == outcome.selected, outcome.epochs)
        for study, outcome in evidence.outcomes.items()
        for trial, ids in enumerate(outcome.fits)
        for name in ids
        for fold, curve in records.get(name, {}).items()
        if fold != study
    ]
