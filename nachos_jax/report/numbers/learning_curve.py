"""The estimate against the number of subjects: runs over parts of one cohort, and where their curve leads.

m(n) = a - b n^-c, an inverse power law (Figueroa et al., 2012, "Predicting sample size required for
classification performance", equation 1), fitted by weighted least squares with 1/SE of each run. Its interval
comes from drawing every run's value anew from a normal distribution with its SE, corrected as in
`nachos_jax.statistics.intervals.corrected_t`: SD/sqrt(K) is too small, as folds share training cases. Runs
share cases too, which the draws do not know: each is by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nachos_jax.config.fields import BY_UNIT
from nachos_jax.core.errors import UsageError
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.units import led_by
from nachos_jax.report.reading import evidence as records
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import places

FEWEST, AHEAD, DRAWS = 3, 2.0, 500
"""Runs that a law is fitted to; how far it is drawn on, as a multiple of the most subjects; draws."""
STEEPNESS = (0.1, 1.5)
LEVEL = 0.95


@dataclass(frozen=True)
class Point:
    """The estimate of one run.

    Attributes:
        run: its directory, as the user wrote it.
        subjects: it was trained on, mean over outer folds.
        value: mean of the headline metric over outer folds, by unit where the reports lead with units.
        se: its corrected SE over folds, sqrt(1/J + n_test/n_train) SD of J values; 0 without spread.
        low: of the first interval; None without one.
        high: likewise.
    """

    run: str
    subjects: float
    value: float
    se: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Law:
    """m(n) = a - sign b n^-c; the sign is that of a metric of which more is better."""

    a: float
    b: float
    c: float
    sign: float

    def at(self, subjects: np.ndarray) -> np.ndarray:
        """The metric at so many subjects."""
        return self.a - self.sign * self.b * np.asarray(subjects, float) ** -self.c


def curve(workdirs: Sequence[str]) -> dict[str, Any]:
    """The learning curve of runs, the whole cohort first, as plain JSON values.

    Raises:
        UsageError: runs of other tasks, classes or metrics, of cases that the first lacks, that have tested
            nothing, or whose reports lead by different things.
    """
    runs = [records.read(RunDirectory(workdir)) for workdir in workdirs]
    whole, name = runs[0], runs[0].headline
    for workdir, run in zip(workdirs[1:], runs[1:], strict=True):
        _check(workdirs[0], whole, workdir, run)
        _same_lead(workdirs[0], whole, workdir, run)
    points = sorted(
        (_point(workdir, run, name) for workdir, run in zip(workdirs, runs, strict=True)),
        key=lambda point: point.subjects,
    )
    metric, (_, unit) = whole.metrics.METRICS[name], led_by(whole)
    law = fitted(points, metric.higher_is_better, metric.bounds) if len(points) >= FEWEST else None
    return {
        "metric": name,
        "label": metric.title + (f" by {unit}" if unit else ""),
        **({"decimals": max(places(point.value, point.se) for point in points)} if metric.in_unit else {}),
        "points": [asdict(point) for point in points],
        "law": None if law is None else asdict(law),
        "ahead": None if law is None else _ahead(points, law, metric.higher_is_better, metric.bounds),
    }


def fitted(points: Sequence[Point], higher: bool, bounds: tuple[float, float]) -> Law:
    """The law through points, of which there are at least three; it never leaves the metric's range."""
    subjects, values, spread = _columns(points)
    return _fitted(subjects, values, spread, 1.0 if higher else -1.0, bounds)


def _fitted(
    subjects: np.ndarray, values: np.ndarray, spread: np.ndarray, sign: float, bounds: tuple[float, float]
) -> Law:
    """The best of a fine grid of steepnesses; a and b follow by weighted least squares with b from 0."""
    best, least = Law(float(np.average(values, weights=spread**-2)), 0.0, 1.0, sign), np.inf
    limit = bounds[1] if sign > 0 else bounds[0]
    for c in np.linspace(*STEEPNESS, 141):
        x = sign * subjects**-c
        design = np.stack([np.ones_like(x), -x], axis=1) / spread[:, None]
        (a, b), *_ = np.linalg.lstsq(design, values / spread, rcond=None)
        if (a - limit) * sign > 0:  # the end of the range is reached, never crossed
            a = limit
            b = np.sum((a - values) * x / spread**2) / np.sum((x / spread) ** 2)
        if b < 0:
            a, b = np.average(values, weights=spread**-2), 0.0
        loss = np.sum(((values - a + b * x) / spread) ** 2)
        if loss < least - 1e-12:
            best, least = Law(float(a), float(b), float(c), sign), loss
    return best


def _ahead(points: Sequence[Point], law: Law, higher: bool, bounds: tuple[float, float]) -> dict[str, Any]:
    subjects, values, spread = _columns(points)
    there = AHEAD * subjects.max()
    random, ends = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = np.clip(random.normal(values, spread), *bounds)
        ends.append(_fitted(subjects, drawn, spread, 1.0 if higher else -1.0, bounds).at(there))
    low, high = np.quantile(ends, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"subjects": there, "value": float(law.at(there)), "low": float(low), "high": float(high)}


def _columns(points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.asarray([(point.subjects, point.value, point.se) for point in points])
    known = rows[:, 2] > 0
    rows[~known, 2] = rows[known, 2].mean() if known.any() else 1.0
    return rows[:, 0], rows[:, 1], rows[:, 2]


def _point(workdir: str, run: Evidence, name: str) -> Point:
    led, _ = led_by(run)
    found = Estimates(led).metric(name)
    if found["mean"] is None:
        raise UsageError(f"{workdir}: {found['label']} is defined in no tested outer fold; finish the run.")
    first = found["intervals"][0]
    whole = len({row.subject for row in run.cases})
    tested = [len({row.subject for row in run.members(fold)}) for fold in run.tests]
    subjects = float(np.mean([whole - count for count in tested]))
    share = 1 / (run.count - 1) if led.ratio is None else led.ratio
    se = (found["sd"] or 0.0) * math.sqrt(1 / found["count"] + share)
    return Point(workdir, subjects, found["mean"], se, first["low"], first["high"])


def _check(first: str, whole: Evidence, workdir: str, run: Evidence) -> None:
    mine, theirs = ((one.task, one.classes, one.headline) for one in (whole, run))
    if mine != theirs:
        raise UsageError(
            f"{workdir} and {first} differ in task, classes or metric: no curve goes through both."
        )
    if run.flat or whole.flat:
        raise UsageError(f"{workdir} or {first} is a flat run: a learning curve is made of nested ones.")
    known = {(row.case, row.subject) for row in whole.cases}
    if len(run.cases) >= len(whole.cases) or any((row.case, row.subject) not in known for row in run.cases):
        raise UsageError(f"{workdir} is no run over a part of the cases of {first}: see config.data.subset.")


def _same_lead(first: str, whole: Evidence, workdir: str, run: Evidence) -> None:
    mine, theirs = (_lead(one) for one in (whole, run))
    if mine != theirs:
        raise UsageError(
            f"the reports of {first} and {workdir} lead with different scores ({mine}; {theirs}): run the "
            "command of one again with config.report.headline, unit and pool of the other, which trains "
            "nothing."
        )


def _lead(run: Evidence) -> str:
    settings = run.settings
    return f"by {settings.unit}, {settings.pool}" if settings.headline == BY_UNIT else "by case"
