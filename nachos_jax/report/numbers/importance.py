"""Which searched hyperparameters the scores hang on, as far as the trials of a run can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.core.types import HParamValue
from nachos_jax.report.numbers.design import Design, design, varied
from nachos_jax.report.reading.searches import Search
from nachos_jax.statistics.anova import main_effects

FEWEST = 8
"""Scored trials, of studies with several, below which nothing is said."""
Scored = tuple[int | None, Mapping[str, HParamValue | None], float]
"""Study, hyperparameters and score of a trial."""
TREES, REPEATS = 50, 10


def mattering(searches: Sequence[Search]) -> dict[str, Any]:
    """Which hyperparameters the scores hang on: analysis of variance of a design, else a forest.

    Where the trials form a design that all studies share, each study is a block of it with one score a trial;
    of one study alone, each inner fold is. Values of a block are compared with each other only, so that easy
    folds do not count; but folds share training cases, so p is too small.

    Returns:
        Plain JSON values: `method` "anova" or "forest"; `design`, its kind or "free"; `blocks`, what they
        are; `trials`, scored ones used (a forest uses none that is alone in its study); `rows` by name: of an
        analysis `f`, `df`, `residual_df`, `p`, `p_bonferroni`, `eta_squared` and `note`, of a forest
        `importance`, None with fewer than 8 trials.
    """
    names = varied(searches)
    found = design(searches, names)
    if found is not None:
        return _analysis(searches, found, names)
    scored = _comparable(
        [(i, t.hparams, t.score) for i, s in enumerate(searches) for t in s.scored if t.score is not None]
    )
    told = importance(names, scored)
    return {
        "method": "forest",
        "design": "free",
        "blocks": "studies",
        "trials": len(scored),
        "rows": {name: {"importance": value} for name, value in told.items()},
    }


def _analysis(searches: Sequence[Search], found: Design, names: Sequence[str]) -> dict[str, Any]:
    """The analysis of variance of a design."""
    used = [(s, t) for s in searches for t in s.scored if t.number in found.levels]
    if len(searches) > 1:
        cells = [((s.run, s.study), t.number, t.score) for s, t in used]
    else:
        cells = [(fold, t.number, value) for _, t in used for fold, value in t.by_fold.items()]
    factors = {name: [found.levels[number][name] for _, number, _ in cells] for name in names}
    blocks, _, values = zip(*cells, strict=True) if cells else ((), (), ())
    tests = main_effects(values, factors, blocks) if cells else {}
    return {
        "method": "anova",
        "design": found.kind,
        "blocks": "studies" if len(searches) > 1 else "inner folds",
        "trials": len(used),
        "rows": {name: asdict(test) for name, test in tests.items()},
    }


def prepare() -> None:
    """Imports scikit-learn."""
    from sklearn import ensemble, inspection

    del ensemble, inspection


def importance(names: Sequence[str], trials: Sequence[Scored]) -> dict[str, float | None]:
    """Permutation importance of each hyperparameter in a random forest of the trials' scores.

    Breiman (2001), section 10: how much of the forest's R^2 is lost when the values of one hyperparameter
    are shuffled among the trials. Scores are taken less their study's mean, so that easy outer folds do not
    count; a trial that is alone in its study is left out, as it would be 0 whatever its score. It describes
    these trials, not the hyperparameters as such: few trials, correlated values and a search that looked at
    scores all distort it, and trials of several outer folds are not independent.

    Args:
        names: the searched hyperparameters.
        trials: study, hyperparameters and score of every trial that has one.

    Returns:
        Importance by name, 0 where shuffling loses nothing; None for all with fewer than 8 trials that count.
    """
    trials = _comparable(trials)
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


def _comparable(trials: Sequence[Scored]) -> list[Scored]:
    """The trials whose study has another one to compare them with."""
    count = Counter(study for study, *_ in trials)
    return [trial for trial in trials if count[trial[0]] > 1]


def _column(values: Sequence[HParamValue | None]) -> np.ndarray:
    """[T] float64: numbers as they are (forests do not see scales), choices numbered, inactive ones -1e9."""
    if any(isinstance(value, str) for value in values):
        known = sorted({str(value) for value in values if value is not None})
        return np.array([-1e9 if value is None else known.index(str(value)) for value in values], np.float64)
    return np.array([-1e9 if value is None else float(value) for value in values], np.float64)
