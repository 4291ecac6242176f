"""Units above the case: which column names them, and what must hold of them before anything trains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from nachos_jax.config.fields import BY_SUBJECT, BY_UNIT
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.table import CaseTable, Cohort
from nachos_jax.data.targets import Targets
from nachos_jax.metrics import pooling
from nachos_jax.splits.folds import Folds
from nachos_jax.tasks import registry as tasks

KINDS = {"classification": "classes", "multilabel": "labels", "regression": "number"}
"""Tasks whose predictions can be pooled."""


def of(table: CaseTable, name: str) -> np.ndarray | None:
    """[N] the unit of each case; None where config.report.unit names none."""
    if not name:
        return None
    return table.subjects if name == BY_SUBJECT else table.columns[name]


def check(run: RunConfig, cohort: Cohort) -> None:
    """Refuses units that the report could not show.

    Raises:
        UsageError: a task without pooling, a column that is not there or has gaps, units that are single
            cases, that lie in several subjects, or hold several of more than two classes.
    """
    name, pool, table = run.report.unit, run.report.pool, cohort.table
    field = f"config.report.unit = {name!r}"
    if not name:
        if pool != "mean":
            raise UsageError(
                f"config.report.pool = {pool!r} does nothing without config.report.unit: name the column of "
                "the units there, or set pool back to 'mean'."
            )
        if run.report.headline == BY_UNIT:
            raise UsageError(
                f"config.report.headline = {BY_UNIT!r} needs config.report.unit: name the column of the "
                "units there, or set headline back to 'case'."
            )
        return
    _task(run, field)
    if name == BY_SUBJECT and table.waived:
        raise UsageError(f"{field}: each case is said to be a subject of its own; set it to ''.")
    if name != BY_SUBJECT and name not in table.columns:
        known = ", ".join(map(repr, (*table.columns, BY_SUBJECT)))
        raise UsageError(f"{field}: the source gives {known}; name one of them, or set it to ''.")
    units = of(table, name)
    assert units is not None
    gaps = np.flatnonzero(units == "")
    if len(gaps):
        raise UsageError(
            f"{field}: {len(gaps):,} case(s) have none (the first is {table.names[gaps[0]]}); fill the "
            "column."
        )
    _who(field, units, table)
    if KINDS[run.task] == "classes" and len(cohort.targets.names) > 2:
        mixed = pooling.mixed(units.tolist(), cohort.targets.values)
        if mixed:
            raise UsageError(
                f"{field}: {len(mixed):,} unit(s) hold cases of several classes (the first is {mixed[0]!r}), "
                "so no class is theirs: name a column within which the class is the same."
            )


def undefined(run: RunConfig, cohort: Cohort, folds: Folds, begun: bool = False) -> list[str]:
    """Sentences on outer folds whose units define no headline, as those that all have the event.

    Raises:
        UsageError: that is so of every fold, and the report of a run that has not begun is to lead with it.
    """
    found = list(_undefined(run, cohort, folds)) if run.report.unit else []
    metric, unit = run.search.metric, run.report.unit
    if len(found) == len(folds.numbers()) and run.report.headline == BY_UNIT and not begun:
        raise UsageError(
            f"config.report.headline = {BY_UNIT!r}: {metric} by {unit} is undefined on every fold "
            f"({found[0][1]}): set it back to 'case', name other units in config.report.unit, or "
            "select by another metric."
        )
    return [
        f"Fold {fold}: {metric} by {unit} is undefined ({why}) and has no part in the mean."
        for fold, why in found
    ]


def _undefined(run: RunConfig, cohort: Cohort, folds: Folds) -> Iterator[tuple[int, str]]:
    """The folds on whose units the metric of the report is undefined, and why."""
    units, names = of(cohort.table, run.report.unit), cohort.targets.names
    assert units is not None
    event = names.index(run.report.positive) if run.report.positive else 1
    rule, power = pooling.Rule(KINDS[run.task], event), pooling.POWERS.get(run.report.pool, 1.0)
    for fold in folds.numbers():
        targets = _pooled(cohort.targets.of(folds.cases(fold)), units[folds.cases(fold)], rule, power)
        if why := tasks.of(run.task).undefined(run.search.metric, targets):
            yield fold, why


def _pooled(targets: Targets, units: np.ndarray, rule: pooling.Rule, power: float) -> Targets:
    """The truth of units, as the report pools it."""
    rows = [rows for _, rows in pooling.members(units.tolist())]
    values = np.stack([rule.truth(targets.values[chosen], power) for chosen in rows])
    return replace(targets.of(np.asarray([chosen[0] for chosen in rows])), values=values)


def _task(run: RunConfig, field: str) -> None:
    if run.task not in KINDS:
        raise UsageError(f"{field}: predictions of the task {run.task!r} cannot be pooled; set it to ''.")
    if run.protocol == "flat":
        raise UsageError(
            f"{field}: the flat protocol corrects values by case; set it to '', or use the nested protocol."
        )
    if run.report.pool == "learned" and run.task == "regression":
        raise UsageError("config.report.pool = 'learned': numbers are pooled by 'mean' or 'max'.")


def _who(field: str, units: np.ndarray, table: CaseTable) -> None:
    pairs = set(zip(units.tolist(), table.subjects.tolist(), strict=True))
    names = Counter(unit for unit, _ in pairs)
    if len(pairs) > len(names):
        twice = min(name for name, count in names.items() if count > 1)
        raise UsageError(
            f"{field}: unit {twice!r} has cases of several subjects, which lie in different folds; make the "
            "names of units unique, e.g. with the subject's id in front."
        )
    if len(names) == len(units):
        raise UsageError(f"{field}: every case is a unit of its own; set it to ''.")
