"""summary.json: every number of the report, derived from records alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics.classification import METRICS, SHOWN, confusion, per_class_of_counts, predict
from nachos_jax.report.numbers import decided
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.spent import spent
from nachos_jax.report.numbers.subgroup_values import subgroups
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words import sentence

SCHEMA = 2


def summarise(evidence: Evidence, estimates: Estimates | None = None) -> dict[str, Any]:
    """The summary of a run, finished or not, as plain JSON values."""
    estimates = estimates or Estimates(evidence)
    labels, probabilities = estimates.labels, estimates.probabilities
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "progress": _progress(evidence),
        "data": _data(evidence),
        "protocol": "flat" if evidence.flat else "nested",
        "headline": evidence.headline,
        "shown": _shown(evidence),
        "level": evidence.settings.level,
        "replicates": evidence.settings.replicates,
        "metrics": {name: estimates.metric(name) for name in _ordered(evidence)},
        "confusion": _confusion(evidence),
        "subgroups": subgroups(evidence, estimates),
        "decisions": decided.thresholds(evidence),
        "calibration": decided.calibrated(evidence, labels, probabilities),
        "temperature": decided.temperatures(evidence),
        "outer_folds": [_outer_fold(evidence, fold) for fold in evidence.tests],
        "trials": _trials(evidence),
        "spent": spent(evidence),
    }
    summary["training_share"] = _training_share(evidence)
    return {
        "sentence": sentence.estimate(summary),
        "caveats": sentence.caveats(summary, evidence.run.get("warnings", ())),
        **summary,
    }


def _shown(evidence: Evidence) -> list[str]:
    """Metrics of the tables, the headline first."""
    return list(dict.fromkeys((evidence.headline, *SHOWN)))


def _ordered(evidence: Evidence) -> list[str]:
    """All metrics, those of the tables first."""
    return list(dict.fromkeys((*_shown(evidence), *METRICS)))


def _progress(evidence: Evidence) -> dict[str, Any]:
    planned = range(evidence.planned)
    return {
        "outer_folds_planned": evidence.planned,
        "outer_folds_tested": len(evidence.tests),
        "outer_folds_missing": [fold for fold in planned if fold not in evidence.tests],
        "folds_a_repeat": evidence.count,
        "repeats": evidence.repeats,
        "scheme": evidence.run["folds"]["scheme"],
        "cases_tested": len({case for test in evidence.tests.values() for case in test.cases}),
        "subjects_tested": len(
            {evidence.by_case[case].subject for test in evidence.tests.values() for case in test.cases}
        ),
        "repeats_tested": len({evidence.repeat(fold) for fold in evidence.tests}),
    }


def _data(evidence: Evidence) -> dict[str, Any]:
    run = evidence.run
    return {
        "cases": run["n_cases"],
        "subjects": run["n_subjects"],
        "sites": run["n_sites"],
        "subjects_waived": run["waived"],
        "classes": list(evidence.classes),
        "counts": dict(run["counts"]),
        "hash": run["cases"],
    }


def _confusion(evidence: Evidence) -> dict[str, Any]:
    """Out-of-fold counts, all together and as mean and SE over outer folds; what they say of each class."""
    by_fold, left_out = [], 0
    for labels, probabilities in evidence.predictions.values():
        finite = np.isfinite(probabilities).all(axis=1)
        by_fold.append(confusion(labels[finite], predict(probabilities[finite]), len(evidence.classes)))
        left_out += int((~finite).sum())
    nothing = np.zeros((0, *(len(evidence.classes),) * 2), np.int64)
    stack = np.stack(by_fold) if by_fold else nothing
    counts = stack.sum(axis=0)
    stack = stack[stack.sum(axis=(1, 2)) > 0]  # a refit that met NaN predicted nothing
    folds = len(stack)
    se = stack.std(axis=0, ddof=1) / np.sqrt(min(folds, evidence.count)) if folds > 1 else None
    return {
        "rows": "true class",
        "columns": "predicted class",
        "classes": list(evidence.classes),
        "counts": counts.tolist(),
        "mean": stack.mean(axis=0).tolist() if folds else None,
        "se": None if se is None else se.tolist(),
        **_shares(stack, evidence.count),
        "predictions": int(counts.sum()),
        "without_numbers": left_out,
        "per_class": {
            name: asdict(value) for name, value in per_class_of_counts(counts, evidence.classes).items()
        },
    }


def _shares(stack: np.ndarray, folds: int) -> dict[str, Any]:
    """Mean and SE over outer folds of the shares of each row; None where a class has no case to share."""
    rows = stack.sum(axis=2, keepdims=True)
    shares = np.where(rows > 0, stack / np.maximum(rows, 1), np.nan)
    mean, se = np.full(stack.shape[1:], np.nan), np.full(stack.shape[1:], np.nan)
    for i, j in np.ndindex(mean.shape):
        known = shares[:, i, j][np.isfinite(shares[:, i, j])]
        if len(known):
            mean[i, j] = known.mean()
        if len(known) > 1:
            se[i, j] = known.std(ddof=1) / np.sqrt(min(len(known), folds))
    plain = {"share_mean": mean, "share_se": se}
    if not len(stack):
        return dict.fromkeys(plain)
    return {
        key: [[x if np.isfinite(x) else None for x in row] for row in values.tolist()]
        for key, values in plain.items()
    }


def _outer_fold(evidence: Evidence, fold: int) -> dict[str, Any]:
    study = None if evidence.flat else fold
    test, chosen = evidence.tests[fold], evidence.selected(study)
    score = None if chosen is None else evidence.score(study, chosen.number)
    return {
        "outer_fold": fold,
        "repeat": evidence.repeat(fold) + 1,
        "cases": len(test.cases),
        "subjects": len({evidence.by_case[case].subject for case in test.cases}),
        "training_cases": len(evidence.cases) - len(test.cases),
        "selected": None if chosen is None else chosen.number,
        "origin": None if chosen is None else chosen.origin,
        "inner_score": None if score is None else _as_measured(evidence, score.score),
        "hparams": None if chosen is None else dict(chosen.hparams),
        "epochs": None if chosen is None else evidence.outcomes[study].epochs,
        "refit": test.fit,
    }


def _as_measured(evidence: Evidence, score: float | None) -> float | None:
    """A trial's score with the sign of its metric: the search turned losses round."""
    known = METRICS.get(evidence.run["config"].get("search", {}).get("metric", ""))
    return -score if score is not None and known is not None and not known.higher_is_better else score


def _trials(evidence: Evidence) -> dict[str, int]:
    scores = [score for outcome in evidence.outcomes.values() for score in outcome.scores]
    return {
        "asked": sum(map(len, evidence.trials.values())),
        "scored": len(scores),
        "failed": sum(score.status == "failed" for score in scores),
        "studies_finished": len(evidence.outcomes),
    }


def _training_share(evidence: Evidence) -> list[float] | None:
    """Smallest and largest share of the cases that a refit was trained on."""
    sizes = [len(test.cases) for test in evidence.tests.values()]
    n = len(evidence.cases)
    return [1 - max(sizes) / n, 1 - min(sizes) / n] if sizes else None
