"""Which searched hyperparameters the scores hang on, as far as the trials of a run can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nachos_jax.core.types import HParamValue

FEWEST = 8
"""Scored trials below which nothing is said."""
TREES, REPEATS = 50, 10


def importance(
    names: Sequence[str], trials: Sequence[tuple[int | None, Mapping[str, HParamValue | None], float]]
) -> dict[str, float | None]:
    """Permutation importance of each hyperparameter in a random forest of the trials' scores.

    Breiman (2001), section 10: how much of the forest's R^2 is lost when the values of one hyperparameter
    are shuffled among the trials. Scores are taken less their study's mean, so that easy outer folds do not
    count. It describes these trials, not the hyperparameters as such: few trials, correlated values and a
    search that looked at scores all distort it, and trials of several outer folds are not independent.

    Args:
        names: the searched hyperparameters.
        trials: study, hyperparameters and score of every trial that has one.

    Returns:
        Importance by name, 0 where shuffling loses nothing; None for all with fewer than 8 trials.
    """
    if len(trials) < FEWEST or not names:
        return dict.fromkeys(names)
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    values = np.stack([_column([hparams.get(name) for _, hparams, _ in trials]) for name in names], axis=1)
    scores = np.array([score for *_, score in trials], np.float64)
    studies = np.array([-1 if study is None else study for study, *_ in trials])
    for study in np.unique(studies):
        scores[studies == study] -= scores[studies == study].mean()
    if np.ptp(scores) == 0:
        return dict.fromkeys(names, 0.0)
    forest = RandomForestRegressor(TREES, random_state=0).fit(values, scores)
    found = permutation_importance(forest, values, scores, n_repeats=REPEATS, random_state=0)
    return {name: max(0.0, float(x)) for name, x in zip(names, found["importances_mean"], strict=True)}


def _column(values: Sequence[HParamValue | None]) -> np.ndarray:
    """[T] float64: numbers as they are (forests do not see scales), choices numbered, inactive ones -1e9."""
    if any(isinstance(value, str) for value in values):
        known = sorted({str(value) for value in values if value is not None})
        return np.array([-1e9 if value is None else known.index(str(value)) for value in values], np.float64)
    return np.array([-1e9 if value is None else float(value) for value in values], np.float64)
