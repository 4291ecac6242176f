"""Tables of the page that are more than a list of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nachos_jax.report.numbers.pareto import weighed
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.reading.shown import shown
from nachos_jax.report.words import lessons_text, tables
from nachos_jax.report.words.format import MISSING, number
from nachos_jax.report.words.phrases import score_decimals, score_label


def choices(evidence: Evidence, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Chosen hyperparameters: a row each for those that were searched, the fixed ones apart."""
    names = tables.hyperparameters(evidence)
    folds = [fold for fold in summary["outer_folds"] if fold["hparams"] is not None]
    folds = folds[:1] if evidence.flat else folds  # one search chose for all of them
    tried: dict[str, set[str]] = {name: set() for name in names}
    for study in evidence.trials.values():
        for trial in study:
            for name in names:
                tried[name].add(number(shown(trial.hparams, evidence).get(name)))
    searched = [_choice(name, folds) for name in names if len(tried[name]) > 1]
    fixed = [(name, next(iter(tried[name]))) for name in names if len(tried[name]) == 1]
    names_of_columns = ["chosen"] if evidence.flat else [fold["outer_fold"] for fold in folds]
    return {"folds": names_of_columns, "searched": searched, "fixed": fixed}


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


def fronts(evidence: Evidence) -> list[list[str]]:
    """A row a trial that no other of its study beats in score and in parameters, the cheapest first."""
    kept = [trial for trial in weighed(evidence) if trial.front]
    studies = list(dict.fromkeys(trial.study for trial in kept))
    kept.sort(key=lambda trial: (studies.index(trial.study), trial.parameters))
    return [
        [t.study, str(t.trial), f"{t.parameters:,}", number(t.score), "yes" if t.selected else ""]
        for t in kept
    ]


def learnt(evidence: Evidence, lessons: Mapping[str, Any]) -> dict[str, Any]:
    """Sentences on what the search teaches, and the rows of an analysis of variance if there is one."""
    importance = lessons["importance"]
    rows = lessons_text.analysis_rows(importance) if importance["method"] == "anova" else []
    return {
        "said": lessons_text.said(
            lessons, score_label(evidence), score_decimals(evidence, lessons["best_so_far"])
        ),
        "header": lessons_text.ANALYSIS,
        "analysis": rows,
    }
