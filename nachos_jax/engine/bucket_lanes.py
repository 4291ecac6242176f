"""The lanes of one bucket at work: refill, one epoch, what ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from safetensors.numpy import save

from nachos_jax.core.curves import best_epoch
from nachos_jax.core.types import Fit
from nachos_jax.engine import lane, pretrained, schedule, watch
from nachos_jax.engine.fit_queue import FitQueue
from nachos_jax.engine.inputs import InputMaker
from nachos_jax.engine.lane import LaneInput, LaneState
from nachos_jax.engine.paused import PausedLanes
from nachos_jax.engine.program import LaneProgram, empty_state, place
from nachos_jax.engine.resume import Resumable, Running, Saved, resumables, snapshot
from nachos_jax.engine.solving import SOLVER
from nachos_jax.engine.watch import FitProgress
from nachos_jax.records.checkpoint import LaneCheckpoint
from nachos_jax.records.schema import FitRecord
from nachos_jax.runtime import mesh as meshes

log = logging.getLogger("nachos_jax")


@dataclass(frozen=True)
class FitResult:
    """A finished fit: what to commit, and files to commit with it.

    A fit without watchers brings "weights.safetensors" and what was seen of the held cases [n, S], fold after
    fold ("logits.safetensors" of a classification); a search fit "inner.safetensors": what was seen of each
    watched fold [n, S] at its best epoch (with `keep_last` at its last), under the fold's number.
    """

    record: FitRecord
    payload: dict[str, bytes]


class BucketLanes(FitQueue):
    """L lanes that run the fits of one bucket, each taking the next fit when its own has ended.

    Arguments as of `nachos_jax.engine.pool.LanePool`; `saved` is what this and other processes have saved.
    """

    def __init__(
        self,
        program: LaneProgram,
        maker: InputMaker,
        metric: str,
        checkpoint: LaneCheckpoint | None,
        saved: Saved | None = None,
        keep_last: bool = False,
        paused: PausedLanes | None = None,
    ):
        super().__init__()
        self.program = program
        self._maker, self._metric, self._checkpoint, self._saved = maker, metric, checkpoint, saved
        self._keep_last, self._paused = keep_last, paused
        self.ran = 0  # lanes with a fit in the last epoch
        self._progress: list[FitProgress | None] = [None] * program.lanes
        self._idle = maker.idle()
        self._told: list[LaneInput] = [self._idle] * program.lanes
        # What was seen of the held cases [room, S], of each watched fold at its best epoch so far.
        self._best: list[np.ndarray | None] = [None] * program.lanes
        self._state: LaneState | None = None
        self._resumable: dict[str, Resumable] = {}  # fits taken over from lanes that ran out of memory
        self._unsolved: set[str] = set()  # fits that are told not to be solved
        self._placing: dict[str, Resumable] = {}  # fits whose rows are not in the state yet
        abstract = lane.abstract_state(program.spec)
        self._leaves = jax.tree.leaves(abstract)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(abstract.params))

    @property
    def places(self) -> int:
        """L."""
        return self.program.lanes

    @property
    def busy(self) -> int:
        """Lanes with a fit."""
        return sum(progress is not None for progress in self._progress)

    @property
    def begun(self) -> bool:
        """Whether the lanes' state lies on the devices: from the first epoch until the bucket rests."""
        return self._state is not None

    def epoch(self) -> list[FitResult]:
        """Refills free lanes, runs one epoch of all busy ones, and returns the fits that ended."""
        known = self._known()
        if known:
            self.ran = 0
            return known
        state, fresh = self._refill()
        told = place([self._tell(i) for i in range(self.program.lanes)], self.program.mesh)
        if fresh.any():
            state = self.program.start(state, told, jax.device_put(fresh, meshes.by_lane(self.program.mesh)))
            self._note_first(state, fresh)
        self._state, self._placing = state, {}
        state, output = self.program.epoch(state, told)
        losses, seen = np.asarray(output.training_loss), np.asarray(output.seen)
        before, self.ran = self._progress, self.busy
        after = [
            None if progress is None else self._observe(i, progress, float(losses[i]), seen[i])
            for i, progress in enumerate(before)
        ]
        self._tell_unsolved(state, after)
        self._pause(state, before, after)
        over = {i: progress for i, progress in enumerate(after) if progress and progress.ended}
        results = [self._result(i, progress, seen[i], state) for i, progress in over.items()]
        # Memory may have run out up to here, and then the epoch has not been: state and progress go together.
        self._state, self._progress = state, after
        for i, progress in over.items():
            self._free(i, progress.fit)
        return results

    def save(self) -> None:
        """Saves the running lanes in the background."""
        if self._checkpoint is None:
            return
        running = self._running(self._progress)
        if running and self._state is not None:
            arrays, progress = snapshot(self._state, running)
            self._checkpoint.save(arrays, progress)

    @property
    def unsaved(self) -> bool:
        """Whether the last save of the running lanes could not be written."""
        return self._checkpoint is not None and self._checkpoint.failed

    def settle(self) -> None:
        """Waits until it is known whether the last save lies on the disk."""
        if self._checkpoint is not None:
            self._checkpoint.settle()

    def surrender(self, kept: bool = False) -> tuple[dict[str, Resumable], list[Fit]]:
        """Lets go of all fits, running ones first, and of what can be read of their state.

        A fit whose state is lost goes on from the last checkpoint, or begins anew: its result is the same.

        Args:
            kept: save what can be read, too: it may be long before somebody goes on with it.
        """
        running = self._running(self._progress)
        begun = [lane for lane in running if lane.progress.epochs]
        found = self._resumable
        lost = any(leaf.is_deleted() for leaf in jax.tree.leaves(self._state))
        if self._state is not None and begun and not lost:
            found = {**found, **resumables(*snapshot(self._state, begun))}
            own = [lane for lane in begun if lane.progress.fit.id not in self._placing]
            if kept and own and self._checkpoint is not None:
                self._checkpoint.save(*snapshot(self._state, own))
        found = {**found, **self._placing}  # in the state their rows are still those of other fits
        self._state, self._placing = None, {}
        self.close()
        return found, [*(lane.progress.fit for lane in running), *self._pending]

    def _tell_unsolved(self, state: LaneState, after: list[FitProgress | None]) -> None:
        """Says once which fits of a network that is solved have not come to their minimum."""
        if self.program.spec.convex is None:
            return
        for i in np.flatnonzero(np.asarray(state.moments.going)):
            progress = after[i]
            if progress is not None and progress.fit.id not in self._unsolved:
                self._unsolved.add(progress.fit.id)
                log.warning(
                    "fit %s is not solved to the end: rounding or the number of steps ended it before; its "
                    "penalty is weak, so lower the upper end of the search of it (%s)",
                    progress.fit.id,
                    {name: value for name, value in progress.fit.hparams.items() if name == "linear.c"},
                )

    def _pause(
        self, state: LaneState, before: list[FitProgress | None], after: list[FitProgress | None]
    ) -> None:
        """Keeps the lanes that a longer fit may go on from."""
        if self._paused is None:
            return
        due = [
            lane
            for lane in self._running(after)
            if (earlier := before[lane.lane]) is not None and self._paused.due(earlier, lane.progress)
        ]
        if due:
            arrays, told = snapshot(state, due)
            for row, lane in enumerate(due):
                alone = {name: np.ascontiguousarray(array[row : row + 1]) for name, array in arrays.items()}
                self._paused.keep(lane.progress.fit, alone, told[row])

    def _running(self, progress: list[FitProgress | None]) -> list[Running]:
        held = [(i, p, self._best[i]) for i, p in enumerate(progress) if p is not None]
        return [Running(i, progress, best) for i, progress, best in held if best is not None]

    def adopt(self, resumable: dict[str, Resumable], fits: Iterable[Fit]) -> None:
        """Takes over what another has surrendered."""
        self._resumable |= resumable
        self.submit(fits)

    def look_again(self) -> None:
        """Looks for what other processes have saved since."""
        if self._saved is not None:
            self._saved.look()

    def rest(self) -> None:
        """Gives the lanes' memory back while the bucket has nothing to do."""
        self._state = None

    def close(self) -> None:
        """Waits for the last save."""
        if self._checkpoint is not None:
            self._checkpoint.close()

    def _known(self) -> list[FitResult]:
        """Those of the next fits that a paused lane has been trained as far as they ask for."""
        found: list[FitResult] = []
        for fit in list(self._pending)[: self.program.lanes - self.busy]:
            saved = self._paused.take(fit) if self._paused else None
            if saved is not None and saved.progress_of(fit).ended:
                self._pending.remove(fit)
                i = self._free_lane()
                self._best[i] = np.array(saved.best)
                found.append(self._result(i, saved.progress_of(fit), self._unseen(), None))
                self._free(i, fit)
        return found

    def _refill(self) -> tuple[LaneState, np.ndarray]:
        """Gives free lanes the next fits; returns the state, and which lanes are to start fresh."""
        placed: dict[int, Resumable] = {}
        fresh = np.zeros(self.program.lanes, bool)
        while self._pending and self.busy < self.program.lanes:
            i, fit = self._free_lane(), self._pending[0]
            self._told[i] = self._maker.make(fit, self.program.spec.batch_size)
            self._pending.popleft()  # only now: where memory is short for its input, the fit still waits
            saved = self._saved_state(fit)
            self._progress[i] = saved.progress_of(fit) if saved else watch.begin(fit)
            self._best[i] = np.array(saved.best) if saved else self._unseen()
            fresh[i] = saved is None
            if saved:
                placed[i] = self._placing[fit.id] = saved
        state, program = self._state, self.program
        if state is None:
            state = empty_state(program.spec, program.lanes, program.mesh)
        return self._with_rows(state, placed) if placed else state, fresh

    def _note_first(self, state: LaneState, fresh: np.ndarray) -> None:
        """Notes with which pretrained weights fits begin, as they stand in their lanes."""
        modules = self.program.spec.pretrained.get("params", {})
        of_file = LaneState({module: state.params[module] for module in modules}, {}, {})
        for i, progress in enumerate(self._progress):
            if modules and fresh[i] and progress is not None:
                first = pretrained.digest(self.program.lane_state(of_file, i).params)
                self._progress[i] = replace(progress, first=first)

    def _saved_state(self, fit: Fit) -> Resumable | None:
        adopted = self._resumable.pop(fit.id, None)
        if adopted is not None:
            return adopted
        saved = self._saved.take(fit.id) if self._saved else None
        saved = saved or (self._paused.take(fit) if self._paused else None)
        if saved is None or saved.matches(self._leaves, self._unseen()):
            return saved
        log.warning(
            "the checkpoint of fit %s was written by another version of this code or of its packages, whose "
            "lanes hold other arrays: the fit begins anew",
            fit.id,
        )
        return None

    def _free_lane(self) -> int:
        """A free lane of the device with the fewest busy ones, so that no device waits for another."""
        by_device = np.asarray([p is not None for p in self._progress]).reshape(self.program.mesh.size, -1)
        device = int(by_device.sum(axis=1).argmin())
        return device * by_device.shape[1] + int(by_device[device].argmin())

    def _with_rows(self, state: LaneState, placed: dict[int, Resumable]) -> LaneState:
        leaves, structure = jax.tree.flatten(jax.tree.map(np.array, jax.device_get(state)))
        for i, saved in placed.items():
            for leaf, row in zip(leaves, saved.leaves, strict=True):
                leaf[i] = row
        return jax.device_put(structure.unflatten(leaves), meshes.by_lane(self.program.mesh))

    def _tell(self, i: int) -> LaneInput:
        progress, told = self._progress[i], self._told[i]
        if progress is None:
            return self._idle
        told = told._replace(epoch=np.int32(progress.epochs), fallen=_fallen(progress, told))
        if progress.watchers:  # a fold whose watcher has stopped is not predicted any more
            if progress.watching != progress.fit.watched:
                held, n_held = self._maker.held(progress.watching)
                told = told._replace(held=held, n_held=n_held)
            return told
        # A refit predicts its fold once, after its last epoch: nothing sees the test cases before.
        return told if progress.epochs + 1 == progress.fit.limit.epochs else told._replace(n_held=np.int32(0))

    def _observe(self, i: int, progress: FitProgress, loss: float, seen: np.ndarray) -> FitProgress:
        maker, watched = self._maker, {}
        now = maker.places(progress.watching)
        for fold, rows in now.items():
            targets = maker.cohort.targets.of(maker.folds.cases(fold))
            watched[fold] = maker.task.watched(self._metric, seen[rows], targets)
        after, kept = watch.after_epoch(progress, loss, watched), maker.places(progress.fit.watched)
        for fold, rows in now.items():
            if self._keep_last or best_epoch(after.watchers[fold].loss) == after.epochs:
                self._best[i][kept[fold]] = seen[rows]  # pyrefly: ignore[unsupported-operation]
        return after

    def _unseen(self) -> np.ndarray:
        return np.zeros((self._maker.held_size, self.program.spec.task.seen), np.float32)

    def _free(self, i: int, fit: Fit) -> None:
        """Lets go of a fit that has ended."""
        self._progress[i] = self._best[i] = None
        self._told[i] = self._idle  # or it would hold on to training cases that are kept no more
        if self._paused is not None:
            self._paused.drop(fit)

    def _result(self, i: int, progress: FitProgress, seen: np.ndarray, state: LaneState | None) -> FitResult:
        payload, fit = {}, progress.fit
        if progress.watchers:
            payload = self._inner(i, progress)
        elif not progress.diverged:
            payload = self._payload(i, fit, seen, state)
        record = FitRecord(
            fit=fit.id,
            left_out=fit.left_out,
            hparams=dict(fit.hparams),
            limit=fit.limit.epochs,
            status="diverged" if progress.diverged else "done",
            epochs=progress.epochs,
            parameters=self.parameters,
            training_loss=tuple(x if np.isfinite(x) else None for x in progress.training_loss),
            curves=progress.asked,
            first=progress.first,
            solver=0 if self.program.spec.convex is None else SOLVER,
        )
        return FitResult(record, payload)

    def _inner(self, i: int, progress: FitProgress) -> dict[str, bytes]:
        """Predictions of the folds that were watched to their end; none of a fold that met NaN."""
        best, places = self._best[i], self._maker.places(progress.fit.watched)
        folds = [fold for fold, curve in progress.asked.items() if curve.end != "nan"]
        arrays = {str(fold): np.ascontiguousarray(best[places[fold]]) for fold in folds}  # pyrefly: ignore[unsupported-operation]
        return {"inner.safetensors": save(arrays)} if arrays else {}

    def _payload(self, i: int, fit: Fit, seen: np.ndarray, lanes: LaneState | None) -> dict[str, bytes]:
        state, task = self.program.lane_state(lanes, i), self._maker.task  # pyrefly: ignore[bad-argument-type]
        told, n_held = self._told[i], int(self._told[i].n_held)
        groups = {"params": state.params, "stats": state.stats, "frozen": self.program.spec.frozen}
        arrays = {name: leaf for group, tree in groups.items() for name, leaf in named(group, tree).items()}
        arrays |= {"pixel_mean": told.mean, "pixel_sd": told.sd}
        arrays |= {} if told.fill is None else {"fill": told.fill}
        arrays |= {f"task/{name}": np.asarray(told.task[name]) for name in task.kept(fit.hparams)}
        files = {"weights": arrays, task.kind: {task.kind: seen[:n_held]}}
        return {f"{name}.safetensors": save(arrays) for name, arrays in files.items()}


def _fallen(progress: FitProgress, told: LaneInput) -> np.float32:
    """The factor of the plateau schedule in the epoch that comes next, 1 under any other."""
    if progress.fit.hparams.get("schedule") != schedule.PLATEAU:
        return np.float32(1.0)
    factor, patience = told.traced["plateau_factor"], told.traced["plateau_patience"]
    return schedule.fallen_to(progress.training_loss, float(factor), int(patience))


def named(prefix: str, tree: Any) -> dict[str, np.ndarray]:
    """Leaves of a network state by path, e.g. {"params/stage0/conv/kernel": [3, 3, 1, 16]}."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {"/".join([prefix, *map(_part, path)]): np.ascontiguousarray(leaf) for path, leaf in leaves}


def _part(entry: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)
