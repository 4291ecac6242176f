"""What a search had found after so many epochs: the best score so far of each study, and their mean."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.report.reading.searches import Search

MOST = 200
"""Points of the mean curve."""


def best_so_far(searches: Sequence[Search]) -> dict[str, Any]:
    """Best score so far against epochs spent, trial by trial.

    A study's epochs are those that its own inner folds watched, summed over its fits in the order of trial
    numbers: what it would cost alone. With pair reuse two studies share a fit, and both count it. Trials
    without a score cost epochs too.

    Returns:
        Plain JSON values: by study `trials`, `epochs` spent, `score` and `best` [T], None before the first
        score; `mean`: `epochs` and `best` [P] over all studies, from where all have a score; a study that has
        ended keeps its best.
    """
    studies = [_study(search) for search in searches]
    return {"studies": studies, "mean": mean_curve(studies)}


def _study(search: Search) -> dict[str, Any]:
    best: float | None = None
    bests = []
    for trial in search.trials:
        best = max((value for value in (best, trial.score) if value is not None), default=None)
        bests.append(best)
    return {
        "run": search.run,
        "study": search.study,
        "trials": [trial.number for trial in search.trials],
        "epochs": list(itertools.accumulate(trial.epochs for trial in search.trials)),
        "score": [trial.score for trial in search.trials],
        "best": bests,
    }


def in_groups(studies: Sequence[dict[str, Any]], groups: Mapping[str, str]) -> dict[str, Any]:
    """The mean curve of each group of runs, by the group of each run."""
    members: dict[str, list[dict[str, Any]]] = {group: [] for group in groups.values()}
    for study in studies:
        members[groups[study["run"]]].append(study)
    return {group: mean_curve(ones) for group, ones in members.items()}


def mean_curve(studies: Sequence[dict[str, Any]]) -> dict[str, list]:
    """The mean over studies of the best so far, at every epoch at which one of them changes."""
    steps = [
        [(epochs, best) for epochs, best in zip(s["epochs"], s["best"], strict=True) if best is not None]
        for s in studies
    ]
    if not steps or not all(steps):
        return {"epochs": [], "best": []}
    first = max(step[0][0] for step in steps)
    places = np.unique([epochs for step in steps for epochs, _ in step if epochs >= first])
    places = places[np.unique(np.linspace(0, len(places) - 1, min(MOST, len(places))).round().astype(int))]
    lines = []
    for step in steps:
        epochs, best = np.array(step).T
        lines.append(best[np.searchsorted(epochs, places, side="right") - 1])
    return {"epochs": places.astype(int).tolist(), "best": np.mean(lines, axis=0).tolist()}
