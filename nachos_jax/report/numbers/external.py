"""The external cohort in numbers: each model's test, the mean of their predictions, and the shift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics.contract import statistic
from nachos_jax.report.numbers import external_intervals
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.reading.external import External

Outcome = tuple[np.ndarray, np.ndarray]


def external(evidence: Evidence, estimates: Estimates, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """What summary.json says of the external cohort; None of a run without.

    Args:
        evidence: of the run.
        estimates: of the run.
        metrics: the entry "metrics" of the summary, the estimate inside.
    """
    found = evidence.external
    tests = (*found.folds.values(), *found.deployed) if found else ()
    if found is None or any(_outcome(evidence, test.arrays) is None for test in tests):
        return None  # a task that this report does not know
    cases, shown = found.cases, dict.fromkeys((evidence.headline, *evidence.metrics.SHOWN))
    together = averaged(evidence, found)
    models = {fold: _outcome(evidence, test.arrays) for fold, test in found.folds.items()}
    return {
        "sites": sorted(set(cases.sites.tolist())),
        "cases": len(cases.names),
        "subjects": len(set(cases.subjects.tolist())),
        "counts": evidence.section.group(cases.targets, cases.names, evidence.classes),
        "tested_by": [{"model": test.model, "fits": list(test.fits)} for test in tests],
        "predicted_by": sum(bool(np.isfinite(_outcome(evidence, test.arrays)[1]).all()) for test in tests),
        "metrics": {
            name: _metric(evidence, estimates, name, models, together, metrics[name]) for name in shown
        },
        "deployed": [
            {name: asdict(_value(evidence, name, _outcome(evidence, test.arrays))) for name in shown}
            for test in found.deployed
        ],
        "by_site": _by_site(evidence, estimates, together),
        "shift": _shift(evidence, estimates, found, together),
    }


def averaged(evidence: Evidence, found: External) -> Outcome | None:
    """Truth and the mean prediction of all models of outer folds that predicted numbers; None without.

    The flat protocol has no such models, and the deployed model stands for them.
    """
    tests = list(found.folds.values()) or list(found.deployed[:1])
    each = [_outcome(evidence, test.arrays) for test in tests]
    known = [(truth, made) for truth, made in each if np.isfinite(made).all()]
    return (known[0][0], np.mean([made for _, made in known], axis=0)) if known else None


def _outcome(evidence: Evidence, arrays: Mapping[str, np.ndarray]) -> Any:
    return evidence.section.outcome(arrays, len(evidence.classes))


def _value(evidence: Evidence, name: str, outcome: Outcome, rows: np.ndarray | slice = slice(None)) -> Any:
    return evidence.metrics.evaluate(name, outcome[0][rows], outcome[1][rows], evidence.classes)


def _metric(
    evidence: Evidence,
    estimates: Estimates,
    name: str,
    models: Mapping[int, Outcome],
    together: Outcome | None,
    inside: Mapping[str, Any],
) -> dict[str, Any]:
    values = {fold: _value(evidence, name, outcome) for fold, outcome in models.items()}
    numbers = [value.value for value in values.values() if value.value is not None]
    return {
        "label": evidence.metrics.METRICS[name].label,
        "models": {str(fold): asdict(value) for fold, value in values.items()},
        "mean": float(np.mean(numbers)) if numbers else None,
        "range": [min(numbers), max(numbers)] if numbers else None,
        "together": _with_interval(evidence, estimates, name, together),
        "intervals": external_intervals.of_models(
            evidence, estimates, name, {str(fold): outcome for fold, outcome in models.items()}
        ),
        "inside": inside["estimate"],
    }


def _with_interval(
    evidence: Evidence,
    estimates: Estimates,
    name: str,
    outcome: Outcome | None,
    rows: np.ndarray | slice = slice(None),
) -> dict[str, Any]:
    """A metric of the mean prediction with percentiles over replicates of the external subjects."""
    if outcome is None:
        return {"value": None, "note": "no model has predicted numbers", "interval": None}
    value, found = _value(evidence, name, outcome, rows), evidence.external
    told: dict[str, Any] = {**asdict(value), "interval": None}
    if value.value is not None and found is not None:
        truth, made = outcome[0][rows], outcome[1][rows]
        measured, bounds = (
            statistic(evidence.metrics, name, truth, made),
            evidence.metrics.METRICS[name].bounds,
        )
        drawn = found.cases.subjects[rows], evidence.section.strata(truth)
        told["interval"] = external_intervals.over_subjects(evidence, estimates, measured, drawn, bounds)
    return told


def _by_site(evidence: Evidence, estimates: Estimates, together: Outcome | None) -> list[dict[str, Any]]:
    """The headline of the mean prediction site by site; [] of one site."""
    assert evidence.external is not None
    cases = evidence.external.cases
    sites = sorted(set(cases.sites.tolist()))
    found = []
    for site in sites if len(sites) > 1 else ():
        rows = cases.sites == site
        found.append(
            {
                "site": site,
                "cases": int(rows.sum()),
                "subjects": len(set(cases.subjects[rows].tolist())),
                **_with_interval(evidence, estimates, evidence.headline, together, rows),
            }
        )
    return found


def _shift(
    evidence: Evidence, estimates: Estimates, found: External, together: Outcome | None
) -> dict[str, Any]:
    """What differs between inside and external: prevalence, calibration in the large, intensity."""
    names = list(evidence.classes)
    true = [_means(evidence, truth) for truth in (evidence.targets, found.cases.targets)]
    inside = (estimates.truth, estimates.predicted) if len(estimates.truth) else None
    large = [None if one is None else _in_the_large(evidence, one) for one in (inside, together)]
    slopes = external_intervals.slopes(evidence, (inside, together))
    who = np.array([row.subject for row in evidence.cases], str), found.cases.subjects
    shares = [
        external_intervals.prevalence(evidence, estimates, *side)
        for side in zip((evidence.targets, found.cases.targets), who, strict=True)
    ]
    return {
        "names": names,
        "observed": dict(zip(("inside", "external"), true, strict=True)),
        "calibration_in_the_large": dict(zip(("inside", "external"), large, strict=True)),
        "observed_intervals": dict(zip(("inside", "external"), shares, strict=True)),
        "calibration_slope": dict(zip(("inside", "external"), slopes, strict=True)) if slopes else None,
        "intensity": {side: dict(values) for side, values in found.cases.intensity.items()},
        "standardised_difference": _standardised(found),
    }


def _standardised(found: External) -> list[float | None]:
    """By channel the difference of the means of all pixels, in SDs of those inside; [] of no images."""
    if not found.cases.intensity:
        return []
    inside, there = found.cases.intensity["inside"], found.cases.intensity["external"]
    columns = zip(inside["mean"], inside["sd"], there["mean"], strict=True)
    return [None if own is None or mean is None or not sd else (mean - own) / sd for own, sd, mean in columns]


def _means(evidence: Evidence, truth: np.ndarray) -> list[float | None]:
    """Share of cases of each class or label (of those that know it), or the mean of the target."""
    columns = np.eye(len(evidence.classes))[truth] if truth.dtype.kind in "iu" and truth.ndim == 1 else truth
    columns = np.asarray(columns, np.float64).reshape(len(truth), -1)
    known = np.isfinite(columns)
    with np.errstate(invalid="ignore"):
        found = np.where(known, columns, 0.0).sum(axis=0) / known.sum(axis=0)
    return [value if np.isfinite(value) else None for value in found.tolist()]


def _in_the_large(evidence: Evidence, outcome: Outcome) -> list[float | None]:
    """Mean prediction minus what was observed, a value a class, label or target."""
    truth, made = outcome
    columns = made.reshape(len(made), -1)
    wanted = truth.reshape(len(truth), -1) if truth.dtype.kind == "f" else np.zeros_like(columns)
    known = np.isfinite(wanted) & np.isfinite(columns)
    with np.errstate(invalid="ignore"):
        means = np.where(known, columns, 0.0).sum(axis=0) / known.sum(axis=0)
    return [
        None if one is None or not np.isfinite(mean) else mean - one
        for mean, one in zip(means.tolist(), _means(evidence, truth), strict=True)
    ]
