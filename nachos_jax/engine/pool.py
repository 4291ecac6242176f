"""The lane pool: give it fits, step it epoch by epoch, take the results. The face of the engine."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import preparation_of
from nachos_jax.core.types import Fit, HParams, digest
from nachos_jax.data.table import Cohort
from nachos_jax.engine import measuring, memory
from nachos_jax.engine.bases import Shelf
from nachos_jax.engine.bucket_lanes import BucketLanes, FitResult
from nachos_jax.engine.buckets import Bucket, bucket_of
from nachos_jax.engine.compiler import BucketCompiler
from nachos_jax.engine.hosted import lanes as hosted
from nachos_jax.engine.inputs import InputMaker, held_room
from nachos_jax.engine.paused import PausedLanes
from nachos_jax.engine.resume import Checkpoints, Saved
from nachos_jax.engine.tuning import Agree, alone
from nachos_jax.engine.turns import Needs, Turns, rest_the_idle
from nachos_jax.engine.windows import divide
from nachos_jax.models import registry as models
from nachos_jax.records import checkpoint
from nachos_jax.records.checkpoint import LaneCheckpoint
from nachos_jax.runtime import beside, blas
from nachos_jax.runtime import mesh as meshes
from nachos_jax.splits.folds import Folds
from nachos_jax.tasks.registry import of as task_of

log = logging.getLogger("nachos_jax")

_AHEAD = 2.0
"""Seconds before a first save at which its imports begin; a run that ends before needs none."""


@dataclass
class Spent:
    """What a pool has spent so far."""

    fits: int = 0  # fits ended
    epochs: int = 0  # epochs trained, summed over fits
    lane_epochs: int = 0  # lanes x epochs run, busy or not
    compilations: int = 0  # programs compiled
    compile_seconds: float = 0.0  # time that took
    tuning_seconds: float = 0.0  # time that the choice of lowering, packing and lanes took
    train_seconds: float = 0.0  # time in compiled epochs, their scoring included

    @property
    def occupancy(self) -> float:
        """Busy lane-epochs over lane-epochs."""
        return self.epochs / self.lane_epochs if self.lane_epochs else 0.0


class LanePool:
    """Trains fits of one cohort in lanes over this host's devices.

    A fit's result depends on the fit alone. Buckets take turns, an epoch each; a lane whose fit has ended
    takes the next fit of its bucket at the epoch boundary, without recompilation.

    Args:
        cohort: the cases.
        folds: their folds.
        run: the checked configuration.
        checkpoints: where running lanes are saved, or None.
        devices: devices to use; all local ones by default.
        agree: makes several processes choose the same lowering and packing.
        keep_last: keep what search fits predict after their last epoch, and not at the best one.
    """

    def __init__(
        self,
        cohort: Cohort,
        folds: Folds,
        run: RunConfig,
        checkpoints: Checkpoints | None = None,
        devices: Sequence[Any] | None = None,
        agree: Agree = alone,
        keep_last: bool = False,
    ):
        self._keep_last = keep_last
        self._run, self._checkpoints = run, checkpoints if run.engine.checkpoint_epochs else None
        # Lanes that other fits go on from are kept without checkpoints too: a search would train them again.
        self._paused = PausedLanes(checkpoints.root, run.limit) if checkpoints is not None else None
        self._mesh = meshes.lane_mesh(devices)
        self._one_thread = blas.OneThread()
        self._cohort, self._folds, self._agree = cohort, folds, agree
        self._compilers: dict[Any, BucketCompiler] = {}  # by what names a store
        self._shelf = Shelf()  # of the training sets of networks that are solved, over all stores
        self._compiler({})
        self._buckets: dict[Bucket, Any] = {}  # BucketLanes, or what has its face
        self._turns = Turns()
        self._unsaved: dict[Bucket, tuple[int, float]] = {}  # epochs since the last save, and their seconds
        self._ready_to_save = False
        self.spent = Spent()

    @property
    def busy(self) -> int:
        """Lanes with a fit, over all buckets."""
        return sum(lanes.busy for lanes in self._buckets.values())

    @property
    def waiting(self) -> int:
        """Fits without a lane."""
        return sum(lanes.waiting for lanes in self._buckets.values())

    @property
    def lanes(self) -> int:
        """Lanes of the largest bucket."""
        return max((lanes.program.lanes for lanes in self._buckets.values()), default=0)

    @property
    def devices(self) -> list[str]:
        """Kind of each device used."""
        return [f"{device.platform} {device.device_kind}" for device in self._mesh.devices.flat]

    @property
    def streams(self) -> bool:
        """True when cases are read window by window instead of lying on the devices."""
        return self._compiler({}).streams

    @property
    def traces(self) -> dict[Bucket, int]:
        """How often each bucket's epoch was traced; 1 unless memory ran short."""
        return {bucket: lanes.program.counted.traces for bucket, lanes in self._buckets.items()}

    def room(self, fit: Fit) -> int:
        """Lanes that this fit and others of its bucket could take at once.

        It is 1 for a bucket that is not yet compiled, and 0 while another bucket fills its lanes, because
        that one goes first.
        """
        if any(lanes.full for lanes in self._buckets.values()):
            return 0
        lanes = self._buckets.get(bucket_of(fit, self._run.table))
        return lanes.room if lanes else 1

    def knows(self, fit: Fit) -> bool:
        """True when the program of the fit's bucket is compiled."""
        return bucket_of(fit, self._run.table) in self._buckets

    def look_again(self) -> None:
        """Looks for checkpoints of processes that have ended since."""
        for lanes in self._buckets.values():
            lanes.look_again()

    def weigh(self, bucket: Bucket) -> tuple[int, int]:
        """Compiles a bucket and forgets it: lanes a device that fit, and bytes that they take on each.

        See `BucketCompiler.expected`.
        """
        program, used = self._compiler(dict(bucket)).expected(bucket)
        return program.lanes // self._mesh.size, used

    def submit(self, fits: Iterable[Fit], look: Callable[[], object] = bool) -> None:
        """Queues fits; a bucket seen for the first time is compiled.

        Args:
            fits: of any buckets.
            look: called before each compilation. If it raises, the fits of the buckets that follow are not
                queued.
        """
        by_bucket: dict[Bucket, list[Fit]] = defaultdict(list)
        for fit in fits:
            by_bucket[bucket_of(fit, self._run.table)].append(fit)
        for bucket, members in by_bucket.items():
            if bucket not in self._buckets:
                look()
                self._buckets[bucket] = self._open(bucket, members[0])
            self._buckets[bucket].submit(members)

    def step(self) -> list[FitResult]:
        """One epoch of the next bucket that has work; returns the fits that ended with it."""
        bucket = self._turns.next(self._buckets)
        lanes = self._buckets[bucket]
        start = time.perf_counter()
        before = lanes.waiting
        try:
            with self._one_thread:
                ended = lanes.epoch()
        except Exception as error:
            if not memory.exhausted(error) or isinstance(lanes, hosted.HostedLanes):
                raise
            self._halve(bucket, error)
            return []
        seconds = time.perf_counter() - start
        self.spent.train_seconds += seconds
        self.spent.fits += len(ended)
        self.spent.epochs += lanes.ran
        # Processes that fit estimators do not wait for each other.
        together = lanes.ran if isinstance(lanes, hosted.HostedLanes) else lanes.program.lanes
        self.spent.lane_epochs += together if lanes.ran else 0
        epochs, unsaved = self._unsaved.get(bucket, (0, 0.0))
        self._unsaved[bucket] = (epochs + 1, unsaved + seconds)
        if not lanes.busy and not before:
            lanes.rest()
        return ended

    @property
    def begins_anew(self) -> str:
        """What `save` keeps nothing of, of what is being trained: "estimators", "fits" of any kind, or "".

        "unsaved fits" too, where the last save of some could not be written.
        """
        busy = [lanes for lanes in self._buckets.values() if lanes.busy]
        if busy and self._checkpoints is None:
            return "fits"
        estimators = any(isinstance(one, hosted.HostedLanes) for one in busy)
        unsaved = any(one.unsaved for one in busy)
        found = ["estimators"] * estimators + ["unsaved fits"] * unsaved
        return " and ".join(found)

    def save(self, all_lanes: bool = False) -> None:
        """Checkpoints the running lanes of each bucket that is due, or of all, once results are committed.

        Of all, it comes back when it is known whether they lie on the disk.
        """
        engine = self._run.engine
        due = (1, 0.0) if all_lanes else (max(engine.checkpoint_epochs, 1), engine.checkpoint_seconds)
        for bucket, lanes in self._buckets.items():
            epochs, seconds = self._unsaved.get(bucket, (0, 0.0))
            if epochs >= due[0] and seconds >= due[1]:
                lanes.save()
                self._unsaved[bucket] = (0, 0.0)
        if all_lanes:
            for lanes in self._buckets.values():
                lanes.settle()
        self._make_ready_to_save()

    def _make_ready_to_save(self) -> None:
        """Imports in a thread what the first save needs, before it is due."""
        longest = max((seconds for _, seconds in self._unsaved.values()), default=0.0)
        due = self._run.engine.checkpoint_seconds
        soon = longest >= max(due / 2, due - _AHEAD)
        if self._checkpoints is not None and soon and not self._ready_to_save:
            self._ready_to_save = True
            beside.later(checkpoint.prepare)
            beside.begin()

    def close(self) -> None:
        """Waits for the last checkpoints, and gives the memory of training sets back."""
        for lanes in self._buckets.values():
            lanes.close()
        self._shelf.kept.clear()

    def _compiler(self, hparams: HParams) -> BucketCompiler:
        """That of the store which fits with these hyperparameters read."""
        name = preparation_of(hparams)
        if name not in self._compilers:
            run, folds = self._run, self._folds
            cohort = measuring.with_statistics(run, self._cohort.prepared(hparams))
            windows = divide(len(cohort.table), run.data.window, run.seed)
            task, sums = task_of(run.task), cohort.store.sums()
            maker = InputMaker(task, cohort, folds, windows, sums, held_room(folds), run.table)
            sizes = [one.store.nbytes for one in (self._cohort, *self._cohort.others.values())]
            stores = sum(sizes) / self._cohort.prepared(hparams).store.nbytes
            self._compilers[name] = BucketCompiler(run, maker, self._mesh, self._agree, stores, self._shelf)
        return self._compilers[name]

    def _open(self, bucket: Bucket, example: Fit, most: int = 0) -> Any:
        compiler = self._compiler(example.hparams)
        metric, architecture = self._run.search.metric, str(dict(bucket)["architecture"])
        if models.hosted(architecture):
            return hosted.opened(compiler.maker, metric, architecture, self._run.engine.lanes)
        began = time.perf_counter()
        log.info("compiling %s; later runs find it in the cache", architecture)
        program, used = compiler.program(bucket, example, most)
        self._turns.know(bucket, Needs(program.state_bytes, used - program.state_bytes, compiler.room))
        log.info("compiled in %.0f s: %d lanes train", time.perf_counter() - began, program.lanes)
        self.spent.compilations += 1
        self.spent.compile_seconds += program.compile_seconds
        self.spent.tuning_seconds += max(0.0, time.perf_counter() - began - program.compile_seconds)
        name, maker = digest([list(pair) for pair in bucket]), compiler.maker_of(bucket)
        if self._checkpoints is None:
            return BucketLanes(program, maker, metric, None, None, self._keep_last, self._paused)
        root = self._checkpoints.root
        own, saved = LaneCheckpoint(root / self._checkpoints.launch / name), Saved(root, name)
        return BucketLanes(program, maker, metric, own, saved, self._keep_last, self._paused)

    def _halve(self, bucket: Bucket, error: Exception) -> None:
        """Goes on after the device has run out of memory: without other buckets, or with half the lanes."""
        old = self._buckets[bucket]
        lanes = old.program.lanes // self._mesh.size
        rest_the_idle(self._buckets)
        beside = any(other.begun for other in self._buckets.values() if other is not old)
        if lanes == 1 and not beside:
            raise UsageError(
                "The device has run out of memory with a single lane: lower training.batch_size, the image "
                f"size, the network's width or data.window, or set data.residency to 'stream'. ({error})"
            ) from error
        fewer = lanes if beside else lanes // 2
        how = (
            f"{lanes} lanes a device go on once other networks rest"
            if beside
            else f"going on with {fewer} lanes a device instead of {lanes}"
        )
        log.warning("Out of device memory: %s.", how)
        # Who waits for others may be stopped before its turn comes.
        resumable, fits = old.surrender(kept=beside)
        new = self._open(bucket, fits[0], fewer)
        new.adopt(resumable, fits)
        self._buckets[bucket] = new
        if beside:
            self._turns.alone(bucket)
