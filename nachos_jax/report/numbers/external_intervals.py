"""Intervals over external subjects that stand beside those of the mean prediction, models held fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from nachos_jax.metrics.calibration import recalibration
from nachos_jax.metrics.contract import statistic
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.statistics.bootstrap import Cases, Resampling, Statistic, bootstrap, percentile
from nachos_jax.statistics.intervals import SHARE, UNBOUNDED, Bounds

Outcome = tuple[np.ndarray, np.ndarray]
Drawn = tuple[np.ndarray, np.ndarray]
"""Of n cases: subjects [n], and strata [n] within which they are drawn."""


def of_models(
    evidence: Evidence,
    estimates: Estimates,
    name: str,
    models: Mapping[str, Outcome],
    rows: np.ndarray | slice = slice(None),
) -> dict[str, dict[str, Any]]:
    """The interval of a metric of each model that predicted numbers, and as "mean" that of their mean.

    All models meet the same replicates, so that the interval of the mean knows how they agree. `rows`
    are those of some external cases alone.
    """
    assert evidence.external is not None
    subjects, bounds = evidence.external.cases.subjects[rows], evidence.metrics.METRICS[name].bounds
    measured: dict[str, Statistic] = {}
    for title, (truth, made) in models.items():
        if np.isfinite(made).all():
            measured[title] = statistic(evidence.metrics, name, truth[rows], made[rows])
    if not measured:
        return {}
    drawn = subjects, evidence.section.strata(next(iter(models.values()))[0][rows])

    def mean(part: slice | np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.mean([one(part, weights) for one in measured.values()], axis=0)

    every = {**measured, "mean": mean}
    return {title: over_subjects(evidence, estimates, one, drawn, bounds) for title, one in every.items()}


def prevalence(
    evidence: Evidence, estimates: Estimates, truth: np.ndarray, subjects: np.ndarray
) -> list[dict[str, Any] | None]:
    """For each class or label (the target, of numbers) the interval of its share (of its mean); None of none.

    Subjects are drawn among all, so that their share may vary.
    """
    columns = np.eye(len(evidence.classes))[truth] if truth.ndim == 1 and truth.dtype.kind in "iu" else truth
    columns = np.asarray(columns, np.float64).reshape(len(truth), -1)
    found: list[dict[str, Any] | None] = []
    bounds = SHARE if counted(truth) else UNBOUNDED
    for values in columns.T:
        known = np.flatnonzero(np.isfinite(values))
        if not len(known):
            found.append(None)
            continue
        drawn = subjects[known], np.zeros(len(known), np.int64)
        found.append(over_subjects(evidence, estimates, _mean_of(values[known]), drawn, bounds))
    return found


def counted(truth: np.ndarray) -> bool:
    """True where cases are counted, by class numbers [N] or labels of 0 and 1, and no number is averaged."""
    if truth.dtype.kind in "iu" and truth.ndim == 1:
        return True
    return bool(np.isin(truth[np.isfinite(truth)], (0.0, 1.0)).all())


def slopes(evidence: Evidence, outcomes: Sequence[Outcome | None]) -> list[list[dict[str, Any]]] | None:
    """Slope of recalibration of each class against the others, a list an outcome; None of no classes."""
    if any(one is None or one[0].dtype.kind not in "iu" or one[1].ndim != 2 for one in outcomes):
        return None
    return [
        [
            asdict(recalibration(truth == place, made[:, place]).slope)
            for place in range(len(evidence.classes))
        ]
        for truth, made in filter(None, outcomes)
    ]


def over_subjects(
    evidence: Evidence, estimates: Estimates, measured: Statistic, drawn: Drawn, bounds: Bounds
) -> dict[str, Any]:
    """Percentiles of a statistic over replicates of the subjects."""
    subjects = np.unique(drawn[0], return_inverse=True)[1]
    cases = Cases(drawn[1], np.zeros(len(subjects), np.int64), subjects)
    wanted = Resampling(estimates.resampling.replicates, estimates.resampling.seed)
    found = replace(bootstrap(measured, cases, wanted), note="")
    return asdict(percentile(found, evidence.settings.level, bounds))


def _mean_of(values: np.ndarray) -> Statistic:
    def mean(part: slice | np.ndarray, weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return (weights @ values[part]) / weights.sum(axis=1)

    return mean
