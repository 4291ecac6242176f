"""Which searched hyperparameters the scores hang on, as far as the trials of a run can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nachos_jax.report.figures.search import Trial, Value

FEWEST = 8
"""Scored trials below which nothing is said."""
TREES, REPEATS = 50, 10


def importance(names: Sequence[str], trials: Sequence[Trial]) -> dict[str, float | None]:
    """Permutation importance of each hyperparameter in a random forest of the trials' scores.

    Breiman (2001), section 10: how much of the forest's R^2 is lost when the values of one hyperparameter
    are shuffled among the trials; 0 where nothing is. Scores are taken less their study's mean, so that easy
    outer folds do not count. It describes these trials, not the hyperparameters as such: few trials,
    correlated values and a search that looked at scores all distort it, and trials of several outer folds
    are not independent. None for all with fewer than 8 scored trials.
    """
    scored = [trial for trial in trials if trial.score is not None]
    if len(scored) < FEWEST or not names:
        return dict.fromkeys(names)
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    values = np.stack([_column([trial.values.get(name) for trial in scored]) for name in names], axis=1)
    scores = np.array([trial.score for trial in scored], np.float64)
    studies = np.array([trial.study for trial in scored])
    for study in np.unique(studies):
        scores[studies == study] -= scores[studies == study].mean()
    if np.ptp(scores) == 0:
        return dict.fromkeys(names, 0.0)
    forest = RandomForestRegressor(TREES, random_state=0).fit(values, scores)
    found = permutation_importance(forest, values, scores, n_repeats=REPEATS, random_state=0)
    return {name: max(0.0, float(x)) for name, x in zip(names, found["importances_mean"], strict=True)}


def _column(values: Sequence[Value]) -> np.ndarray:
    """[T] float64: numbers as they are (forests do not see scales), choices numbered, inactive ones -1e9."""
    known = sorted({value for value in values if isinstance(value, str)})
    numbers = [known.index(value) if isinstance(value, str) else value for value in values]
    return np.array([-1e9 if value is None else value for value in numbers], np.float64)
