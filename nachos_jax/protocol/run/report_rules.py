"""What the report is to show: it must be there, and be read, before days of training, not after."""

from __future__ import annotations

from nachos_jax.config.fields import FIELDS
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.run import unit_rules
from nachos_jax.tasks import registry as tasks

CLASSES, LABELS = "classes", "labels"
"""Outcomes of tasks whose report makes decisions: about one class, and about each label."""


def check(run: RunConfig, cohort: Cohort, begun: bool = False) -> None:
    """Refuses what the report could not show; a run that has begun keeps fields that nothing reads.

    Raises:
        UsageError: a column or class that is not there, units that cannot be, a field that nothing reads, or
            a metric of another class than the one that is looked for.
    """
    table, wanted = cohort.table, run.report
    for group in wanted.subgroups:
        if group.column not in table.columns:
            raise UsageError(
                f"config.report.subgroups names column {group.column!r}, but source {run.data.source!r} "
                f"gives {', '.join(map(repr, table.columns)) or 'no further columns'}: use a CSV table or "
                "arrays that hold it, or leave it out."
            )
        group.of(table.columns[group.column].tolist())
    unit_rules.check(run, cohort)
    names = cohort.targets.names
    if not begun:
        _idle(run, names)
    if wanted.positive and wanted.positive not in names:
        raise UsageError(
            f"config.report.positive = {wanted.positive!r}: must be a class: {', '.join(names)}."
        )
    if not begun:
        _of_other_class(run, names)


def _idle(run: RunConfig, names: tuple[str, ...]) -> None:
    """Refuses what decisions need, of tasks whose report makes none."""
    outcome, wanted = tasks.of(run.task).outcome, run.report
    if wanted.positive and outcome != CLASSES:
        raise UsageError(
            f"config.report.positive = {wanted.positive!r} does nothing (config.task.name = {run.task!r}): "
            "only a classification decides about one class; set it to ''."
        )
    usual, why = FIELDS["report.threshold"].default, ""
    if outcome not in (CLASSES, LABELS):
        why = f"(config.task.name = {run.task!r}): only classes and labels are decided by a threshold;"
    elif outcome == LABELS and run.protocol == "flat":
        why = "beside config.protocol = 'flat', which has no inner folds to choose thresholds by;"
    elif outcome == CLASSES and len(names) > 2 and not wanted.positive:
        why = f"of {len(names)} classes: name the one that decisions are about in config.report.positive, or"
    if wanted.threshold != usual and why:
        raise UsageError(
            f"config.report.threshold = {wanted.threshold!r} does nothing {why} set it back to {usual!r}."
        )


def _of_other_class(run: RunConfig, names: tuple[str, ...]) -> None:
    """Refuses the average precision of a class that is not looked for; see `metrics.classification`."""
    if run.search.metric != "average_precision" or len(names) != 2 or run.report.positive != names[0]:
        return
    raise UsageError(
        f"config.search.metric = 'average_precision' is of class {names[1]!r}, the second of two, and "
        f"config.report.positive = {names[0]!r} is the first: list it last, config.data.classes = "
        f"{names[::-1]!r} (in Python: `classes`), or select by 'auc', which is the same for both."
    )
