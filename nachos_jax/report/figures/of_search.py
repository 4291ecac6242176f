"""Figures of search and training, from records to drawings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.config.field import flat
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.learning import Fit, curves, learning
from nachos_jax.report.figures.lessons import best_so_far, mattered, ranks
from nachos_jax.report.figures.pareto import pareto
from nachos_jax.report.figures.rows import bars
from nachos_jax.report.figures.search import Trial, agreement, parallel, strip
from nachos_jax.report.numbers.pareto import weighed
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.reading.shown import shown
from nachos_jax.report.words import tables
from nachos_jax.report.words.format import duration, percent
from nachos_jax.report.words.phrases import score_label


def drawn(evidence: Evidence, summary: Mapping[str, Any], learnt: Mapping[str, Any]) -> list[Figure | None]:
    """Trials, losses, curves, search, what it teaches, agreement and time; None for what is empty.

    Trials that the policy stopped have no score on all inner folds, and are in none of them.

    Args:
        evidence: the records.
        summary: summary.json.
        learnt: the `lessons` of its finished studies.
    """
    axes, label = _searched(evidence), score_label(evidence)
    trials = [
        Trial(
            study, trial.number, shown(trial.hparams, evidence), score.score, trial.number == outcome.selected
        )
        for study, outcome in evidence.outcomes.items()
        for trial, score in zip(outcome.trials, outcome.scores, strict=True)
        if score.status != "stopped"
    ]
    losses = {f"fold {fold}": test.training_loss for fold, test in evidence.tests.items()}
    return [
        strip(trials, label),
        curves(losses, f"Training loss of the {'fits' if evidence.flat else 'refits'} over epochs"),
        learning(_fits(evidence)),
        parallel(axes, trials, label),
        mattered(learnt["importance"]),
        ranks(learnt["ranks"]),
        best_so_far(learnt["best_so_far"], label),
        agreement(axes, trials),
        pareto(weighed(evidence), label),
        time_spent(summary["spent"]),
    ]


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
        trials = (shown(t.hparams, evidence) for study in evidence.trials.values() for t in study)
        values = [hparams[name] for hparams in trials if name in hparams]
        choice = any(isinstance(value, (str, bool)) for value in values)
        if len(set(map(str, values))) > 1:
            axes[name] = "choice" if choice else str(space.get(name, "")).partition("(")[0]
    return axes


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
