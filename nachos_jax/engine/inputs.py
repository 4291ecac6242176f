"""From a fit to the numbers that a lane is told, on the host in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.core import rng
from nachos_jax.core.hparams import Hyperparameter, with_absent
from nachos_jax.core.types import Fit, HParamValue
from nachos_jax.data.sums import TrainingStatistics
from nachos_jax.data.table import Cohort
from nachos_jax.engine.bases import Bases
from nachos_jax.engine.lane import LaneInput
from nachos_jax.engine.windows import Windows
from nachos_jax.splits.folds import Folds
from nachos_jax.tasks.task import Task

PREDICT_BATCH = 256
"""Most held cases that are predicted together."""


def held_room(folds: Folds) -> int:
    """Room for the held cases of any fit: the two largest folds of a repeat, in whole prediction batches."""
    sizes = [int(folds.cases(fold).sum()) for fold in folds.numbers()]
    pairs = [sum(sorted(sizes[i : i + folds.count])[-2:]) for i in range(0, len(sizes), folds.count)]
    room = max(pairs)
    return room if room <= PREDICT_BATCH else -(-room // PREDICT_BATCH) * PREDICT_BATCH


@dataclass(frozen=True)
class InputMaker:
    """Makes the LaneInput of any fit of one cohort."""

    task: Task  # what is predicted
    cohort: Cohort  # the cases
    folds: Folds  # their folds
    windows: Windows  # the rows in which they lie on a device
    sums: TrainingStatistics  # of the inputs of the cohort
    held_size: int  # E: see `held_room`
    table: Sequence[Hyperparameter]  # the hyperparameters of the run
    bases: Bases | None = None  # of training sets; None where fits train in steps

    def held(self, folds: Sequence[int]) -> tuple[np.ndarray, np.int32]:
        """Rows [E] int32 of the cases of some folds, fold after fold, and how many there are."""
        parts = [np.flatnonzero(self.folds.cases(fold)) for fold in folds]
        held, room = np.concatenate([*parts, np.empty(0, np.int64)]), np.zeros(self.held_size, np.int32)
        room[: len(held)] = self.windows.rows[held]
        return room, np.int32(len(held))

    def places(self, folds: Sequence[int]) -> dict[int, slice]:
        """Where the cases of each fold lie among those of `held`."""
        ends = np.cumsum([0, *(int(self.folds.cases(fold).sum()) for fold in folds)]).tolist()
        return {fold: slice(*ends[k : k + 2]) for k, fold in enumerate(folds)}

    def make(self, fit: Fit, batch_size: int) -> LaneInput:
        """The input of a fit before its first epoch."""
        training = self.folds.training(fit.left_out)
        mean, sd = self.sums.mean_sd(training)
        fill = self.sums.fill(training)
        held, n_held = self.held(fit.watched)
        return LaneInput(
            streams=rng.streams(fit),
            epoch=np.int32(0),
            training=self.windows.spread(training),
            steps=np.int32(self.windows.steps(training, batch_size)),
            mean=mean,
            sd=sd,
            task=self.task.told(self.cohort.targets, training, fit.hparams, self.sums),
            held=held,
            n_held=n_held,
            traced=traced(fit, self.table),
            fill=fill,
            solved=None if self.bases is None else self.bases.of(training, mean, sd, fill),
        )

    def idle(self) -> LaneInput:
        """The input of a lane without a fit: it trains and predicts nothing."""
        channels, targets = self.cohort.shape[-1] + self.cohort.joined, self.cohort.targets
        none = np.zeros(len(targets), bool)
        told = self.task.told(targets, none, {}, self.sums)
        return LaneInput(
            streams=np.zeros((len(rng.Purpose), 2), np.uint32),
            epoch=np.int32(0),
            training=np.zeros(len(self.windows.cases), bool),
            steps=np.int32(0),
            mean=np.zeros(channels, np.float32),
            sd=np.ones(channels, np.float32),
            task={name: np.zeros_like(value) for name, value in told.items()},
            held=np.zeros(self.held_size, np.int32),
            n_held=np.int32(0),
            traced=dict.fromkeys(traced_names(self.table), np.float32(0.0)),
            fill=self.sums.fill(none),
            solved=None if self.bases is None else self.bases.idle(),
        )


def traced_names(table: Sequence[Hyperparameter]) -> tuple[str, ...]:
    """Names of what rides the lane axis: every row that is not static, and whether decay is decoupled."""
    return (*(row.name for row in table if not row.static), "decoupled")


def traced(fit: Fit, table: Sequence[Hyperparameter]) -> dict[str, np.float32]:
    """Hyperparameters that ride the lane axis, float32 scalars; inactive ones are 0.

    A choice rides as its place in the row's choices, True as 1.
    """
    known = with_absent(fit.hparams, table)
    values = {row.name: as_number(row, known.get(row.name)) for row in table if not row.static}
    return {**values, "decoupled": np.float32(fit.hparams.get("optimizer") == "adamw")}


def as_number(row: Hyperparameter, value: HParamValue | None) -> np.float32:
    """How a value rides the lane axis: a choice as its place, True as 1, one that is inactive as 0."""
    if value is None:
        return np.float32(0.0)
    return np.float32(row.choices.index(value) if row.kind == "choice" else float(value))
