"""summary.json: every number of the report, derived from records alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics.classification import (
    METRICS,
    Value,
    confusion,
    evaluate,
    per_class_of_counts,
    predict,
)
from nachos_jax.metrics.folds import summary as over_folds
from nachos_jax.report import sentence
from nachos_jax.report.evidence import Evidence

SCHEMA = 1
REPORTED = ("accuracy", "balanced_accuracy", "macro_f1", "auc", "log_loss")


def summarise(evidence: Evidence) -> dict[str, Any]:
    """The summary of a run, finished or not, as plain JSON values."""
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "progress": _progress(evidence),
        "data": _data(evidence),
        "headline": evidence.headline,
        "metrics": {name: _metric(evidence, name) for name in _reported(evidence)},
        "confusion": _confusion(evidence),
        "outer_folds": [_outer_fold(evidence, fold) for fold in evidence.tests],
        "trials": _trials(evidence),
        "spent": _spent(evidence),
    }
    summary["training_share"] = _training_share(evidence)
    return {
        "sentence": sentence.estimate(summary),
        "caveats": sentence.caveats(summary, evidence.run.get("warnings", ())),
        **summary,
    }


def _reported(evidence: Evidence) -> list[str]:
    first = [evidence.headline] if evidence.headline not in REPORTED else []
    return first + list(REPORTED)


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


def _metric(evidence: Evidence, name: str) -> dict[str, Any]:
    metric = METRICS[name]
    values: dict[int, Value] = {
        fold: evaluate(name, labels, probabilities, evidence.classes)
        for fold, (labels, probabilities) in evidence.predictions.items()
    }
    return {
        "label": metric.label,
        "higher_is_better": metric.higher_is_better,
        "unit": "outer folds",
        "folds": {str(fold): asdict(value) for fold, value in values.items()},
        **asdict(over_folds([value.value for value in values.values()], evidence.count)),
    }


def _confusion(evidence: Evidence) -> dict[str, Any]:
    """Out-of-fold counts of all tested folds, and what they say of each class."""
    counts = np.zeros((len(evidence.classes),) * 2, np.int64)
    left_out = 0
    for labels, probabilities in evidence.predictions.values():
        finite = np.isfinite(probabilities).all(axis=1)
        counts += confusion(labels[finite], predict(probabilities[finite]), len(evidence.classes))
        left_out += int((~finite).sum())
    return {
        "rows": "true class",
        "columns": "predicted class",
        "classes": list(evidence.classes),
        "counts": counts.tolist(),
        "predictions": int(counts.sum()),
        "without_numbers": left_out,
        "per_class": {
            name: asdict(value) for name, value in per_class_of_counts(counts, evidence.classes).items()
        },
    }


def _outer_fold(evidence: Evidence, fold: int) -> dict[str, Any]:
    test, chosen = evidence.tests[fold], evidence.selected(fold)
    score = None if chosen is None else evidence.score(fold, chosen.number)
    return {
        "outer_fold": fold,
        "repeat": evidence.repeat(fold) + 1,
        "cases": len(test.cases),
        "subjects": len({evidence.by_case[case].subject for case in test.cases}),
        "training_cases": len(evidence.cases) - len(test.cases),
        "selected": None if chosen is None else chosen.number,
        "origin": None if chosen is None else chosen.origin,
        "inner_score": None if score is None else score.score,
        "hparams": None if chosen is None else dict(chosen.hparams),
        "epochs": None if chosen is None else evidence.outcomes[fold].epochs,
        "refit": test.fit,
    }


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


def _spent(evidence: Evidence) -> dict[str, Any]:
    """Fits by their records, time by the sessions.

    Pair reuse is counted over finished studies and their refits, whose fits are all known: a run
    without it trains one fit for every study, trial and inner fold.
    """
    searched = [ids for outcome in evidence.outcomes.values() for ids in outcome.fits]
    refits = {test.fit for test in evidence.tests.values()}

    def total(key: str) -> float:
        return sum(session.get(key) or 0 for session in evidence.sessions)

    # The processes of a launch run side by side: it took as long as the longest of them.
    seconds: dict[Any, float] = {}
    for number, session in enumerate(evidence.sessions):
        launch = session.get("launch", number)
        seconds[launch] = max(seconds.get(launch, 0.0), session.get("seconds") or 0.0)

    return {
        "fits_trained": len(evidence.fits),
        "fits_diverged": sum(fit.status == "diverged" for fit in evidence.fits),
        "fits_of_finished_studies": len({fit for ids in searched for fit in ids} | refits),
        "fits_without_pair_reuse": sum(map(len, searched)) + len(refits),
        "epochs": sum(fit.epochs for fit in evidence.fits),
        "occupancy": total("busy_lane_epochs") / total("lane_epochs") if total("lane_epochs") else None,
        "seconds": sum(seconds.values()),
        "compile_seconds": total("compile_seconds"),
        "tuning_seconds": total("tuning_seconds"),
        "train_seconds": total("train_seconds"),
        "compilations": int(total("compilations")),
        "sessions": len(seconds),
        "processes": len(evidence.sessions),
        "devices": sorted({str(_plain(s["devices"])) for s in evidence.sessions if s.get("devices")}),
    }


def _plain(devices: Any) -> str:
    """Devices of a session as text, whether recorded as a text, a list or a count by kind."""
    if isinstance(devices, dict):
        return ", ".join(f"{n} x {kind}" for kind, n in sorted(devices.items()))
    return ", ".join(map(str, devices)) if isinstance(devices, (list, tuple)) else str(devices)
