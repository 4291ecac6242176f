"""Units above the case: which column names them, and what must hold of them before anything trains."""

from __future__ import annotations

from collections import Counter

import numpy as np

from nachos_jax.config.fields import BY_SUBJECT, BY_UNIT
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.table import CaseTable, Cohort
from nachos_jax.metrics import pooling

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
