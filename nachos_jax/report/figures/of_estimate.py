"""Figures of the estimate, of any task: the outer folds and the subgroups, from records to drawings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.folds import Interval, folds
from nachos_jax.report.figures.scales import Bounds
from nachos_jax.report.figures.subgroups import Subgroup, forest
from nachos_jax.report.reading.evidence import Evidence


def drawn(evidence: Evidence, summary: Mapping[str, Any]) -> list[Figure | None]:
    """Folds and subgroups; nothing before the first test."""
    if not summary["outer_folds"]:
        return []
    ends = _bounds(evidence.metrics.METRICS[summary["headline"]].bounds)
    return [_folds(summary, ends), _forest(summary, ends)]


def _bounds(bounds: tuple[float, float]) -> Bounds:
    """Smallest and largest value of a metric, None for an infinite one."""
    low, high = (float(end) if np.isfinite(end) else None for end in bounds)
    return low, high


def _folds(summary: Mapping[str, Any], bounds: Bounds) -> Figure | None:
    name = summary["headline"]
    metric = summary["metrics"][name]
    values = {f"fold {fold}": value["value"] for fold, value in metric["folds"].items()}
    flat = summary["protocol"] == "flat"
    intervals = [_interval(found, found["estimate"] if flat else None) for found in metric["intervals"]]
    return folds(values, metric["label"], metric["mean"], intervals, bounds)


def _interval(found: Mapping[str, Any], estimate: float | None) -> Interval:
    label = f"{found['label']}, {100 * found['level']:.4g} %, {found['unit']}"
    return Interval(
        label, found["low"], found["high"], found["note"] if found["low"] is None else "", estimate
    )


def _forest(summary: Mapping[str, Any], bounds: Bounds) -> Figure | None:
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
    return forest(rows, overall, metric["label"], bounds)
