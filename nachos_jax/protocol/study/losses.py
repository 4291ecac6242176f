"""Training losses in the unit of the losses of inner folds, beside which a policy looks at them.

A network that predicts a number is trained in standard deviations of its training cases and watched in the
square of the number's own unit: compared as they are, years and months would be trained differently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nachos_jax.data.targets import Targets
from nachos_jax.models import registry as models
from nachos_jax.protocol.run import begun
from nachos_jax.protocol.run.opening import Run
from nachos_jax.records.schema import FitRecord
from nachos_jax.splits.folds import Folds
from nachos_jax.tasks import registry as tasks
from nachos_jax.tasks.task import Task

Losses = Callable[[FitRecord], Sequence[float | None]]
"""The training loss of a fit after each epoch, as a policy is told; empty where it says nothing to it."""


def beside(run: Run) -> Losses:
    """What the policies of a run are told; as they stand in the records where the run was begun with that."""
    if begun.before_losses_had_one_unit(run.store):
        return lambda record: record.training_loss
    task = tasks.of(run.config.task)
    return lambda record: in_watched_unit(record, task, run.cohort.targets, run.folds)


def in_watched_unit(
    record: FitRecord, task: Task, targets: Targets, folds: Folds
) -> tuple[float | None, ...]:
    """The training losses of a fit in the unit of its watched losses; empty where there is none for both.

    Args:
        record: of the fit.
        task: what it learns.
        targets: of all N cases.
        folds: of all N cases.
    """
    if models.hosted(str(record.hparams["architecture"])):
        return record.training_loss  # as it is watched
    unit = task.watched_unit(targets, folds.training(record.left_out), record.hparams)
    return () if unit is None else tuple(x if x is None else unit * x for x in record.training_loss)
