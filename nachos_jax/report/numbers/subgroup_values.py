"""The headline metric in parts of the cases: sites, and the columns that the config names."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.config.subgroups import Subgroups
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.statistics.bootstrap import Resampling, percentile


def subgroups(evidence: Evidence, estimates: Estimates) -> list[dict[str, Any]]:
    """One row a group of every column, groups of a column in their own order.

    Values are those of the out-of-fold predictions of the group's cases, all outer folds together, because
    a group is often too small for values of single folds; the intervals resample the group's subjects.
    """
    found = []
    for column, groups in _columns(evidence).items():
        of_case = dict(zip((row.case for row in evidence.cases), groups, strict=True))
        mine = np.array([of_case[name] for name in estimates.names.tolist()], str)
        for group in _order(evidence, column, groups):
            found.append({"column": column, "group": group, **_values(evidence, estimates, mine == group)})
    return found


def _columns(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """Groups of all cases by column; one group alone divides nothing."""
    columns = {"site": tuple(row.site for row in evidence.cases), **evidence.groups}
    return {name: tuple(groups) for name, groups in columns.items() if len(set(groups)) > 1}


def _order(evidence: Evidence, column: str, groups: tuple[str, ...]) -> list[str]:
    known = {group.column: group for group in evidence.settings.subgroups}
    return known.get(column, Subgroups(column)).order(groups)


def _values(evidence: Evidence, estimates: Estimates, inside: np.ndarray) -> dict[str, Any]:
    names, subjects = estimates.names[inside], estimates.cases.subjects[inside]
    whole = Resampling(estimates.resampling.replicates, estimates.resampling.seed, target="pooled")
    metrics = {}
    for name in dict.fromkeys((evidence.headline, *evidence.section.also)):
        value = estimates.of_rows(name, inside)
        row: dict[str, Any] = {**asdict(value), "interval": None}
        if value.value is not None:
            drawn = estimates.drawn(name, inside, whole)
            bounds = evidence.metrics.METRICS[name].bounds
            row["interval"] = asdict(percentile(drawn, evidence.settings.level, bounds))
        metrics[name] = row
    return {
        "cases": len(set(names.tolist())),
        "subjects": len(set(subjects.tolist())),
        "counts": evidence.section.group(estimates.truth[inside], names, evidence.classes),
        "metrics": metrics,
    }
