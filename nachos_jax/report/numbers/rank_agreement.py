"""From which epoch on can the ranking of trials be trusted? Kendall's tau with their final ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.records.schema import Curve
from nachos_jax.report.reading.searches import Search, Searched
from nachos_jax.statistics.ranks import kendall

TRUSTED = 0.8
"""Tau from which a ranking is called trusted: then nine in ten pairs of trials are in their final order."""
MOST = 100
"""Epochs at which rankings are compared; of longer searches so many, evenly spread."""


def rank_agreement(searches: Sequence[Search]) -> dict[str, Any]:
    """Kendall's tau between the scores after each epoch and at the end, of each study and their mean.

    The score of a trial after e epochs is the mean over inner folds of the selection metric at the best epoch
    among the first e. A fit that stopped early keeps its value. Trials without a final score are left out.

    Returns:
        Plain JSON values: `epochs` [E]; by study `tau`, `z` and `p` [E], None where undefined; the `mean` of
        tau over studies; `trusted_from`, the first epoch from which that mean stays at least at `level`, None
        if it never does; `note`, why there is nothing, or "".
    """
    longest = max((len(c.loss) for s in searches for t in s.scored for c in t.curves.values()), default=0)
    epochs = np.unique(np.linspace(1, longest, min(MOST, longest)).round().astype(int)).tolist()
    studies: list[dict[str, Any]] = [{"run": s.run, "study": s.study, **_study(s, epochs)} for s in searches]
    mean = [_mean([study["tau"][place] for study in studies]) for place in range(len(epochs))]
    notes = "; ".join(dict.fromkeys(filter(None, (study.pop("note") for study in studies))))
    return {
        "level": TRUSTED,
        "epochs": epochs,
        "studies": studies,
        "mean": mean,
        "trusted_from": _trusted_from(epochs, mean),
        "note": "" if any(value is not None for value in mean) else notes or "no study has ended",
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _study(search: Search, epochs: Sequence[int]) -> dict[str, Any]:
    trials = [
        trial for trial in search.scored if trial.curves and trial.curves.keys() == trial.by_fold.keys()
    ]
    final = [trial.score for trial in trials if trial.score is not None]
    after = np.array([scores_after(trial, epochs, search.at_last_epoch) for trial in trials])
    found = []
    for column in after.T:
        there = np.isfinite(column)
        found.append(asdict(kendall(column[there].tolist(), np.array(final)[there].tolist())))
    told = {name: [one[name] for one in found] for name in ("tau", "z", "p")}
    return {"trials": len(trials), **told, "note": found[-1]["note"] if found else "no curve was recorded"}


def scores_after(trial: Searched, epochs: Sequence[int], at_last_epoch: bool = False) -> np.ndarray:
    """[E] score of a trial after so many epochs each; NaN where an inner fold has none."""
    return np.mean([_after(curve, epochs, at_last_epoch) for curve in trial.curves.values()], axis=0)


def _after(curve: Curve, epochs: Sequence[int], at_last_epoch: bool) -> np.ndarray:
    """[E] score at the first epoch with the lowest loss among the first e, or at the e-th."""
    loss = np.array([np.inf if value is None else value for value in curve.loss])
    score = np.array([np.nan if value is None else value for value in curve.score])
    places = np.arange(len(loss))
    if not at_last_epoch:
        lower = np.r_[True, loss[1:] < np.minimum.accumulate(loss)[:-1]]
        places = np.maximum.accumulate(np.where(lower, places, 0))
    return score[places[np.minimum(epochs, len(loss)) - 1]]


def _trusted_from(epochs: Sequence[int], mean: Sequence[float | None]) -> int | None:
    below = [i for i, value in enumerate(mean) if value is None or value < TRUSTED]
    first = below[-1] + 1 if below else 0
    return epochs[first] if first < len(epochs) else None
