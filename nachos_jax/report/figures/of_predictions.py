"""Figures of the out-of-fold predictions of any task, from records to drawings, then those of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nachos_jax.report.figures.classification import of_classes
from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.folds import Interval, folds
from nachos_jax.report.figures.subgroups import Subgroup, forest
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.statistics.intervals import BOUNDS


def drawn(evidence: Evidence, estimates: Estimates, summary: Mapping[str, Any]) -> list[Figure | None]:
    """Folds, subgroups and the figures of classes; None for what is empty."""
    if not len(estimates.cases.labels):
        return []
    return [_folds(summary), _forest(summary), *of_classes.drawn(evidence, estimates, summary)]


def _bounds(name: str) -> tuple[float | None, float | None]:
    low, high = BOUNDS.get(name, (None, None))
    return (
        None if low is None or not np.isfinite(low) else low,
        None if high is None or not np.isfinite(high) else high,
    )


def _folds(summary: Mapping[str, Any]) -> Figure | None:
    name = summary["headline"]
    metric = summary["metrics"][name]
    values = {f"fold {fold}": value["value"] for fold, value in metric["folds"].items()}
    flat = summary["protocol"] == "flat"
    intervals = [_interval(found, found["estimate"] if flat else None) for found in metric["intervals"]]
    return folds(values, metric["label"], metric["mean"], intervals, _bounds(name))


def _interval(found: Mapping[str, Any], estimate: float | None) -> Interval:
    label = f"{found['label']}, {100 * found['level']:.4g} %, {found['unit']}"
    return Interval(
        label, found["low"], found["high"], found["note"] if found["low"] is None else "", estimate
    )


def _forest(summary: Mapping[str, Any]) -> Figure | None:
    name = summary["headline"]
    metric, progress = summary["metrics"][name], summary["progress"]
    rows = []
    for group in summary["subgroups"]:
        value = group["metrics"][name]
        interval = value["interval"] or {"low": None, "high": None, "note": value["note"]}
        reason = value["note"] if value["value"] is None else "no interval" * (interval["low"] is None)
        ends = (interval["low"], interval["high"])
        rows.append(
            Subgroup(
                group["group"],
                group["cases"],
                group["subjects"],
                value["value"],
                *ends,
                reason,
                group["column"],
            )
        )
    tested, subjects = progress["cases_tested"], progress["subjects_tested"]
    label = "all cases" if tested == summary["data"]["cases"] else "all tested cases"
    first = metric["intervals"][0] if metric["intervals"] else {"low": None, "high": None}
    overall = Subgroup(label, tested, subjects, metric["estimate"], first["low"], first["high"])
    return forest(rows, overall, metric["label"], _bounds(name))
