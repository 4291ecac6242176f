"""The lane pool: give it fits, step it epoch by epoch, take the results. The face of the engine."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from nachos_jax.core import mesh as meshes
from nachos_jax.core.config import RunConfig
from nachos_jax.core.types import Fit, digest
from nachos_jax.data.table import Cohort
from nachos_jax.engine import memory
from nachos_jax.engine.bucket_lanes import BucketLanes, FitResult
from nachos_jax.engine.buckets import Bucket, bucket_of
from nachos_jax.engine.inputs import InputMaker, pixel_sums
from nachos_jax.engine.lane import LaneSpec
from nachos_jax.engine.program import fitting_program, resident
from nachos_jax.models import registry
from nachos_jax.models.convolution import default_lowering
from nachos_jax.records.checkpoint import LaneCheckpoint
from nachos_jax.splits.folds import Folds

PREDICT_BATCH = 256


@dataclass
class Spent:
    """What a pool has spent so far.

    Attributes:
        fits: fits ended.
        epochs: epochs trained, summed over fits.
        lane_epochs: lanes x epochs run, busy or not.
        compilations: programs compiled.
        compile_seconds: time that took.
        train_seconds: time in compiled epochs, their scoring included.
    """

    fits: int = 0
    epochs: int = 0
    lane_epochs: int = 0
    compilations: int = 0
    compile_seconds: float = 0.0
    train_seconds: float = 0.0

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
        checkpoints: folder for checkpoints of running lanes, or None.
        devices: devices to use; all local ones by default.
    """

    def __init__(
        self,
        cohort: Cohort,
        folds: Folds,
        run: RunConfig,
        checkpoints: Path | None = None,
        devices: Sequence[Any] | None = None,
    ):
        self._run, self._checkpoints = run, checkpoints if run.engine.checkpoint_epochs else None
        self._mesh = meshes.lane_mesh(devices)
        self._cases = resident(cohort.images, cohort.table.labels, self._mesh)
        self._maker = InputMaker(cohort, folds, pixel_sums(cohort.images), _held_size(folds))
        self._buckets: dict[Bucket, BucketLanes] = {}
        self._turn = 0
        self._since_save: dict[Bucket, int] = defaultdict(int)
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
    def traces(self) -> dict[Bucket, int]:
        """How often each bucket's epoch was traced; 1 unless memory ran short."""
        return {bucket: lanes.program.counted.traces for bucket, lanes in self._buckets.items()}

    def submit(self, fits: Iterable[Fit]) -> None:
        """Queues fits; a bucket seen for the first time is compiled."""
        by_bucket: dict[Bucket, list[Fit]] = defaultdict(list)
        for fit in fits:
            by_bucket[bucket_of(fit, self._run.table)].append(fit)
        for bucket, members in by_bucket.items():
            if bucket not in self._buckets:
                self._buckets[bucket] = self._compile(bucket, members[0])
            self._buckets[bucket].submit(members)

    def step(self) -> list[FitResult]:
        """One epoch of the next bucket that has work; returns the fits that ended with it."""
        bucket, lanes = self._next()
        start = time.perf_counter()
        before = lanes.waiting
        ended = lanes.epoch()
        self.spent.train_seconds += time.perf_counter() - start
        self.spent.fits += len(ended)
        self.spent.epochs += lanes.busy + len(ended)
        self.spent.lane_epochs += lanes.program.lanes
        self._since_save[bucket] += 1
        if not lanes.busy and not before:
            lanes.rest()
        return ended

    def save(self) -> None:
        """Checkpoints the running lanes of each bucket that is due; call it after committing results."""
        for bucket, lanes in self._buckets.items():
            if self._since_save[bucket] >= max(self._run.engine.checkpoint_epochs, 1):
                lanes.save()
                self._since_save[bucket] = 0

    def close(self) -> None:
        """Waits for the last checkpoints."""
        for lanes in self._buckets.values():
            lanes.close()

    def _next(self) -> tuple[Bucket, BucketLanes]:
        buckets = list(self._buckets.items())
        for offset in range(len(buckets)):
            turn = (self._turn + offset) % len(buckets)
            if buckets[turn][1].busy or buckets[turn][1].waiting:
                self._turn = turn + 1
                return buckets[turn]
        raise RuntimeError("step() without work: submit fits first")

    def _compile(self, bucket: Bucket, example: Fit) -> BucketLanes:
        run, device = self._run, self._mesh.devices.flat[0]
        spec = self._spec(bucket, device.platform)
        used = sum(leaf.nbytes for leaf in self._cases)
        used += sum(lanes.state_bytes for lanes in self._buckets.values())
        program = fitting_program(
            spec,
            self._cases,
            self._maker.make(example, spec.batch_size),
            self._mesh,
            memory.lanes_to_try(device.platform, run.engine.lanes),
            _packing(run.engine.packing, device.platform),
            memory.budget(device, self._mesh.size, run.engine.memory_fraction, used),
        )
        self.spent.compilations += 1
        self.spent.compile_seconds += program.compile_seconds
        checkpoint = None
        if self._checkpoints is not None:
            checkpoint = LaneCheckpoint(self._checkpoints / digest([list(pair) for pair in bucket]))
        return BucketLanes(program, self._cases, self._maker, run.search.metric, checkpoint)

    def _spec(self, bucket: Bucket, platform: str) -> LaneSpec:
        run, static = self._run, dict(bucket)
        cohort = self._maker.cohort
        lowering = run.engine.convolution
        build = functools.partial(
            registry.build,
            static,
            cohort.shape[-1],
            len(cohort.table.classes),
            jnp.bfloat16 if run.precision == "bfloat16" else jnp.float32,
            default_lowering(platform) if lowering == "auto" else lowering,
        )
        return LaneSpec(
            build=build,
            classes=len(cohort.table.classes),
            batch_size=int(static["batch_size"]),
            family=str(static["optimizer"]),
            augmentations=run.augmentations,
            dropout=run.uses("dropout"),
            horizon=run.limit.epochs,
            predict_batch=min(PREDICT_BATCH, self._maker.held_size),
        )


def _packing(packing: str, platform: str) -> str:
    if packing != "auto":
        return packing
    return "map" if platform == "cpu" else "vmap"


def _held_size(folds: Folds) -> int:
    """Room for the two largest folds of a repeat, in whole prediction batches."""
    sizes = [int(folds.cases(fold).sum()) for fold in folds.numbers()]
    pairs = [sum(sorted(sizes[i : i + folds.count])[-2:]) for i in range(0, len(sizes), folds.count)]
    room = max(pairs)
    return room if room <= PREDICT_BATCH else -(-room // PREDICT_BATCH) * PREDICT_BATCH
