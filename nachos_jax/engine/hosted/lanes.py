"""Fits of estimators behind the face of lanes: each is one epoch, whatever its limit, in a process of a crew.

The processes stand for lanes: the pool fills them, and a fit that has ended makes room for the next.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from safetensors.numpy import save

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit
from nachos_jax.data.measured import Measured, MeasuredDense
from nachos_jax.engine import watch
from nachos_jax.engine.bucket_lanes import FitResult
from nachos_jax.engine.fit_queue import FitQueue
from nachos_jax.engine.hosted.crew import Processes
from nachos_jax.engine.hosted.fitting import Order
from nachos_jax.engine.inputs import InputMaker
from nachos_jax.records.schema import Curve, FitRecord
from nachos_jax.runtime import cores
from nachos_jax.tasks.dense import NORMALISATION
from nachos_jax.tasks.normalisation import TRAINING, of_cases
from nachos_jax.tasks.task import Task

WAIT = 0.5
"""Seconds that an epoch waits for a fit at most, so that signals and other buckets are not kept waiting."""


@dataclass(frozen=True)
class HostedProgram:
    """What stands for a compiled program: so many processes, and nothing compiled."""

    lanes: int
    compile_seconds = 0.0
    counted = SimpleNamespace(traces=0)


class HostedLanes(FitQueue):
    """Fits estimators of one architecture in processes; see `nachos_jax.engine.bucket_lanes.BucketLanes`.

    Args:
        maker: of the cohort.
        metric: that watched folds are scored by.
        seen: S, what a task keeps of a held case.
        processes: how many; 0 = as many as this process may use cores.
    """

    begun = False  # nothing of it lies on the devices
    unsaved = False  # nothing was to be saved

    def __init__(self, maker: InputMaker, metric: str, seen: int, processes: int = 0):
        super().__init__()
        self.program = HostedProgram(processes or cores.available())
        self._maker, self._metric, self._seen = maker, metric, seen
        self._fitted: dict[int, Fit] = {}  # by the number of the order
        self._number = 0
        self._crew: Processes | None = None
        self.ran = 0  # fits that ended in the last epoch

    @property
    def places(self) -> int:
        """Processes."""
        return self.program.lanes

    @property
    def busy(self) -> int:
        """Processes with a fit."""
        return len(self._fitted)

    def epoch(self) -> list[FitResult]:
        """Gives free processes the next fits, waits a little, and returns the fits that ended."""
        if self._crew is None:
            cohort = self._maker.cohort
            inputs = cohort.store.rows(np.arange(len(cohort.table), dtype=np.int32))
            images = inputs.values if isinstance(inputs, Measured) else inputs
            self._crew = Processes(self.program.lanes, images, cohort.targets.values)
        while self._pending and self._crew.free:
            self._send(self._crew, self._pending.popleft())
        ended = self._crew.ended(WAIT)
        self.ran = len(ended)
        return [self._result(self._fitted.pop(number), found) for number, found in ended]

    def save(self) -> None:
        """Nothing: a fit that is lost is short."""

    def settle(self) -> None:
        """Nothing is being saved."""

    def look_again(self) -> None:
        """Nothing is saved by others."""

    def rest(self) -> None:
        """Nothing: a process that waits takes no time, and one that begins takes a second or two."""

    def close(self) -> None:
        """Ends the processes."""
        if self._crew is not None:
            self._crew.close()
            self._crew = None

    def _send(self, crew: Processes, fit: Fit) -> None:
        maker, training = self._maker, self._maker.folds.training(fit.left_out)
        mean, sd = maker.sums.mean_sd(training)
        order = Order(
            training=np.flatnonzero(training),
            asked=np.concatenate([np.flatnonzero(training), *self._held(fit)]),
            mean=mean,
            sd=sd,
            fill=maker.sums.fill(training),
            weights=maker.task.case_weights(maker.cohort.targets, training, fit.hparams),
            limits=self._limits(fit),
        )
        self._number += 1
        self._fitted[self._number] = fit
        crew.send(self._number, what(maker.task, fit, self._seen), order)

    def _limits(self, fit: Fit) -> np.ndarray | None:
        store = self._maker.cohort.store
        return limits(fit, store.stats) if isinstance(store, MeasuredDense) else None

    def _held(self, fit: Fit) -> list[np.ndarray]:
        return [np.flatnonzero(self._maker.folds.cases(fold)) for fold in fit.held]

    def _result(self, fit: Fit, found: np.ndarray | str) -> FitResult:
        """The record of a fit: one epoch, after which nothing would change."""
        if isinstance(found, str):
            raise UsageError(
                f"{fit.hparams['architecture']} could not be fitted: {found}; mend that, and the same "
                "command goes on."
            )
        maker = self._maker
        parts = np.split(found, np.cumsum([int(maker.folds.training(fit.left_out).sum())]))
        trained, held = parts[0], parts[1]
        targets = maker.cohort.targets
        loss, _ = maker.task.watched(self._metric, trained, targets.of(maker.folds.training(fit.left_out)))
        places = maker.places(fit.held)
        progress = watch.begin(replace(fit, beside=()))
        told = {
            fold: maker.task.watched(self._metric, held[places[fold]], targets.of(maker.folds.cases(fold)))
            for fold in progress.watchers
        }
        curves = watch.after_epoch(progress, loss, told).watchers
        closed = {fold: Curve(c.loss, c.score, c.end or "patience") for fold, c in curves.items()}
        record = FitRecord(
            fit=fit.id,
            left_out=fit.left_out,
            hparams=dict(fit.hparams),
            limit=fit.limit.epochs,
            status="done" if math.isfinite(loss) else "diverged",
            epochs=1,
            parameters=0,
            training_loss=(loss if math.isfinite(loss) else None,),
            curves=closed,
        )
        return FitResult(record, self._payload(closed, held, places))

    def _payload(
        self, curves: dict[int, Curve], held: np.ndarray, places: dict[int, slice]
    ) -> dict[str, bytes]:
        """What was seen: of each watched fold, or of a refit all that it predicts. There are no weights."""
        if not curves:
            kind = self._maker.task.kind
            return {f"{kind}.safetensors": save({kind: np.ascontiguousarray(held)})}
        arrays = {str(f): np.ascontiguousarray(held[places[f]]) for f, c in curves.items() if c.end != "nan"}
        return {"inner.safetensors": save(arrays)} if arrays else {}


def limits(fit: Fit, stats: np.ndarray) -> np.ndarray | None:
    """[N, 4, C] by which each case is normalised, from its statistics; None: by the training cases."""
    choice = fit.hparams.get(NORMALISATION.name, TRAINING)
    return None if choice == TRAINING else of_cases(stats, str(choice))


def what(task: Task, fit: Fit, seen: int) -> dict[str, Any]:
    """What a process is to fit, see `nachos_jax.engine.hosted.crew.Processes.send`."""
    return {
        "architecture": fit.hparams["architecture"],
        "hparams": dict(fit.hparams),
        "seed": seed(fit),
        "outcome": task.outcome,
        "count": seen,
    }


def seed(fit: Fit) -> int:
    """What an estimator draws from: a function of (seed, folds left out, hyperparameters)."""
    return int.from_bytes(hashlib.sha256(f"{fit.stream}/ESTIMATOR".encode()).digest()[:4], "big") >> 1


def opened(maker: InputMaker, metric: str, architecture: str, processes: int) -> Any:
    """Lanes of an architecture of scikit-learn."""
    names = maker.cohort.targets.names
    return HostedLanes(
        maker, metric, maker.task.device(names, {"architecture": architecture}).seen, processes
    )
