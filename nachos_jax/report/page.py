"""The report of a run: three files of numbers and one page, all rebuilt from records."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nachos_jax.metrics.classification import METRICS
from nachos_jax.records.store import RunDirectory, dump
from nachos_jax.report import evidence as records
from nachos_jax.report import figures, tables
from nachos_jax.report.evidence import Evidence
from nachos_jax.report.format import MISSING, data_rows, duration, fold_table, made_rows, number, percent
from nachos_jax.report.summary import summarise


def write(workdir: str | os.PathLike) -> Path:
    """Writes summary.json, predictions.csv, trials.csv and report/index.html into a run directory.

    The bytes depend on the records alone. A run that has tested no outer fold yet gets a page that
    says so.

    Args:
        workdir: the run directory of a `nachos evaluate`, finished or not.

    Returns:
        The path of the page.

    Raises:
        UsageError: the directory holds no run, or one of its records is damaged.
    """
    directory = RunDirectory(workdir)
    evidence = records.read(directory)
    summary = summarise(evidence)
    directory.write_text("summary.json", dump(summary).decode())
    directory.write_table("predictions.csv", *tables.predictions(evidence))
    directory.write_table("trials.csv", *tables.trials(evidence))
    return directory.write_text("report/index.html", render(evidence, summary))


def render(evidence: Evidence, summary: Mapping[str, Any]) -> str:
    """The page as HTML text: self-contained, no script, no network.

    Args:
        evidence: the records.
        summary: what `summary.summarise` makes of them.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent, duration=duration)
    return environment.get_template("page.html.j2").render(
        summary=summary,
        headline=summary["metrics"][summary["headline"]],
        folds=fold_table(summary),
        choices=_choices(summary, tables.hyperparameters(evidence), evidence),
        confusion=_confusion(summary),
        figures=_figures(evidence, summary),
        data=data_rows(summary),
        made=made_rows(evidence),
    )


def _choices(summary: Mapping[str, Any], names: list[str], evidence: Evidence) -> dict[str, Any]:
    """Chosen hyperparameters: a row each for those that were searched, the fixed ones apart."""
    folds = [fold for fold in summary["outer_folds"] if fold["hparams"] is not None]
    tried: dict[str, set[str]] = {name: set() for name in names}
    for study in evidence.trials.values():
        for trial in study:
            for name in names:
                tried[name].add(number(trial.hparams.get(name)))
    searched = [_choice(name, folds) for name in names if len(tried[name]) > 1]
    fixed = [(name, next(iter(tried[name]))) for name in names if len(tried[name]) == 1]
    return {"folds": [fold["outer_fold"] for fold in folds], "searched": searched, "fixed": fixed}


def _choice(name: str, folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One hyperparameter over outer folds; the most frequent choice, if of two or more, is marked.

    Folds in which it is inactive neither agree nor disagree.
    """
    values = [fold["hparams"].get(name) for fold in folds]
    cells = [number(value) for value in values]
    active = [cell for cell, value in zip(cells, values, strict=True) if value is not None]
    favourite, votes = Counter(active).most_common(1)[0] if active else ("", 0)
    marked = [votes > 1 and cell == favourite for cell in cells]
    agree = f"{votes} of {len(active)}" if votes > 1 else MISSING
    return {"name": name, "cells": list(zip(cells, marked, strict=True)), "agree": agree}


def _confusion(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of the confusion matrix: counts with their share of the row, and what they say of the class."""
    found, rows = summary["confusion"], []
    for name, counts in zip(found["classes"], found["counts"], strict=True):
        total = sum(counts)
        cells = [(n, n / total if total else None) for n in counts]
        rows.append({"name": name, "cells": cells, "total": total, "values": found["per_class"][name]})
    return {**found, "table": rows}


def _figures(evidence: Evidence, summary: Mapping[str, Any]) -> dict[str, Any]:
    from markupsafe import Markup

    metric = summary["metrics"][summary["headline"]]
    tests = {
        f"fold {fold}": [figures.Mark(value["value"], f"outer fold {fold}: {number(value['value'])}", True)]
        for fold, value in metric["folds"].items()
    }
    trials = {
        f"fold {fold}": [
            _trial_mark(evidence, fold, score.score, i) for i, score in enumerate(outcome.scores)
        ]
        for fold, outcome in evidence.outcomes.items()
    }
    losses = {f"fold {fold}": test.training_loss for fold, test in evidence.tests.items()}
    drawn = {
        "tests": figures.strip(
            tests, metric["label"], f"{metric['label']} of every outer fold", metric["mean"]
        ),
        "trials": figures.strip(trials, score_label(summary), "Scores of all trials of every study"),
        "losses": figures.curves(losses, "Training loss of the refits over epochs"),
    }
    # Every text in the figures has been escaped where it was drawn.
    return {name: None if svg is None else Markup(svg) for name, svg in drawn.items()}


def _trial_mark(evidence: Evidence, fold: int, score: float | None, trial: int) -> figures.Mark:
    chosen = evidence.outcomes[fold].selected == trial
    told = "failed" if score is None else number(score)
    return figures.Mark(score, f"trial {trial}: {told}{', selected' if chosen else ''}", chosen)


def score_label(summary: Mapping[str, Any]) -> str:
    """What the inner folds scored trials by; losses are turned round so that higher is better."""
    metric = METRICS[summary["headline"]]
    label = metric.label.lower() if not metric.label.isupper() else metric.label
    return (
        f"mean {label} of the inner folds"
        if metric.higher_is_better
        else f"minus mean {label} of inner folds"
    )
