"""The external cohort in numbers: each model's test, the mean of their predictions, and the shift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics.contract import statistic
from nachos_jax.report.numbers import external_intervals, external_shift
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
    averages = evidence.section.averaged or len(models) < 2
    of_all = together if averages else None
    return {
        "sites": sorted(set(cases.sites.tolist())),
        "cases": len(cases.names),
        "subjects": len(set(cases.subjects.tolist())),
        "counts": evidence.section.group(cases.targets, cases.names, evidence.classes),
        "tested_by": [{"model": test.model, "fits": list(test.fits)} for test in tests],
        "predicted_by": sum(bool(np.isfinite(_outcome(evidence, test.arrays)[1]).all()) for test in tests),
        "averaged": averages,
        "named_after": cases.after,
        "metrics": {
            name: _metric(evidence, estimates, name, models, of_all, metrics[name]) for name in shown
        },
        "deployed": [
            {name: asdict(_value(evidence, name, _outcome(evidence, test.arrays))) for name in shown}
            for test in found.deployed
        ],
        "in_deploy": found.in_deploy,
        "by_site": _by_site(evidence, estimates, of_all, models),
        "shift": external_shift.shift(evidence, estimates, found, together),
    }


def averaged(evidence: Evidence, found: External) -> Outcome | None:
    """Truth and the mean prediction of all models of outer folds that predicted numbers; None without.

    The flat protocol has no such models, and the deployed model stands for them, of several the one that
    lies in deploy/.
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
        "label": evidence.metrics.METRICS[name].title,
        **{key: value for key, value in inside.items() if key == "decimals"},
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
        several = "what several models predict has no mean, or no model has predicted numbers"
        return {"value": None, "note": several, "interval": None}
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


def _by_site(
    evidence: Evidence, estimates: Estimates, together: Outcome | None, models: Mapping[int, Outcome]
) -> list[dict[str, Any]]:
    """The headline site by site, of the mean prediction or else the mean over models; [] of one site."""
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
                **(
                    _with_interval(evidence, estimates, evidence.headline, together, rows)
                    if together is not None
                    else _mean_with_interval(evidence, estimates, evidence.headline, models, rows)
                ),
            }
        )
    return found


def _mean_with_interval(
    evidence: Evidence, estimates: Estimates, name: str, models: Mapping[int, Outcome], rows: np.ndarray
) -> dict[str, Any]:
    """The mean over models of a metric of some cases, with its interval over their subjects."""
    values = [_value(evidence, name, outcome, rows) for outcome in models.values()]
    numbers = [value.value for value in values if value.value is not None]
    note = next((value.note for value in values if value.note), "")
    if not numbers:
        return {"value": None, "note": note or "no model has predicted numbers", "interval": None}
    every = {str(fold): outcome for fold, outcome in models.items()}
    interval = external_intervals.of_models(evidence, estimates, name, every, rows).get("mean")
    return {"value": float(np.mean(numbers)), "note": note, "interval": interval}
