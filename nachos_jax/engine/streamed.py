"""Cases that do not fit on a device: windows pass by, and every lane takes what is its own.

A pass over the windows trains one epoch of all lanes; a second one predicts what they hold out. Lanes
train on the batches that they would see with resident cases.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from nachos_jax.data.stream import WindowReader
from nachos_jax.data.table import Cohort
from nachos_jax.engine import lane
from nachos_jax.engine.lane import LaneInput, LaneOutput, LaneSpec, LaneState, Progress, Shared
from nachos_jax.engine.placed import Placed
from nachos_jax.engine.program import (
    LaneProgram,
    TraceCount,
    compile_start,
    compiled,
    compiler_options,
    first_bytes,
    program_bytes,
    sharded,
    stacked,
    vectorised,
)
from nachos_jax.engine.windows import Windows
from nachos_jax.runtime import beside
from nachos_jax.runtime import mesh as meshes
from nachos_jax.tasks.task import Cases


class Streamed:
    """The cases of a cohort, read window by window; arguments as of `nachos_jax.engine.resident.Resident`."""

    def __init__(self, cohort: Cohort, windows: Windows, mesh: Mesh):
        by_window = windows.cases.reshape(windows.count, windows.size)
        targets = cohort.targets.on_device
        self._reader = WindowReader(cohort.store, targets, by_window)
        self._windows, self._mesh, self._placed = windows, mesh, Placed(mesh)
        one = Cases(
            cohort.store.forms(windows.size), np.broadcast_to(targets[:1], (windows.size, *targets.shape[1:]))
        )
        everywhere = meshes.everywhere(mesh)
        self._shapes = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), one
        )

    @property
    def nbytes(self) -> int:
        """Bytes on each device: the window in use and the next one."""
        return 2 * sum(shape.size * shape.dtype.itemsize for shape in jax.tree.leaves(self._shapes))

    def compile(self, spec: LaneSpec, told: LaneInput, lanes: int, packing: str) -> tuple[LaneProgram, int]:
        """Compiles the epoch of a bucket; see `nachos_jax.engine.resident.Resident.compile`."""
        mesh, counted, began = self._mesh, TraceCount(), time.perf_counter()
        total, by_lane = lanes * mesh.size, meshes.by_lane(mesh)
        number = jax.ShapeDtypeStruct((), jnp.int32, sharding=meshes.everywhere(mesh))
        many, state = stacked(told, total, by_lane), stacked(lane.abstract_state(spec), total, by_lane)
        train = sharded(vectorised(functools.partial(_train, spec), packing, shared=2), mesh, shared=2)
        progress = Progress(state, *stacked((np.float32(0), np.int32(0)), total, by_lane))
        frozen = self._placed.of(spec.frozen)
        shapes = Shared(self._shapes, frozen)
        training = jax.jit(counted.counting(train), donate_argnums=(2,)).lower(shapes, number, progress, many)
        predict = vectorised(functools.partial(lane.predict, spec), packing, shared=1)
        predicting = jax.jit(sharded(predict, mesh, shared=1)).lower(shapes, state, many)
        beside.begin()
        options = compiler_options(spec, mesh, packing)
        both = compiled(training, options), compiled(predicting, options)
        passes = _Passes(functools.partial(self._read, frozen), *both, self._windows, mesh, spec.task.seen)
        start = compile_start(spec, self._placed.of(spec.pretrained), told, mesh, lanes, packing)
        seconds = time.perf_counter() - began
        used = (
            max(program_bytes(passes.train), program_bytes(passes.predict))
            - self.nbytes // 2
            + first_bytes(spec)
        )
        return LaneProgram(passes.epoch, start, mesh, total, spec, counted, seconds), used

    def _read(self, frozen: Any, windows: Sequence[int]) -> Iterator[tuple[int, Shared]]:
        """Windows on the devices, the next one on its way while the caller works on one."""
        ready: tuple[int, Shared] | None = None
        for number, inputs, targets in self._reader.read(windows):
            cases = jax.device_put(Cases(inputs, targets), meshes.everywhere(self._mesh))
            coming = (number, Shared(cases, frozen))
            if ready is not None:
                yield ready
            ready = coming
        if ready is not None:
            yield ready


def _train(
    spec: LaneSpec, shared: Shared, window: jax.Array, progress: Progress, told: LaneInput
) -> Progress:
    return lane.train_window(spec, shared, progress, told, window, jnp.int32(0))


@dataclass(frozen=True)
class _Passes:
    """The two passes of an epoch."""

    read: Callable[[Sequence[int]], Iterator[tuple[int, Shared]]]  # window numbers -> windows on the devices
    train: Any  # (shared, window, progress, input) -> progress
    predict: Any  # (shared, state, input) -> seen, where the input's held rows count from the window's first
    windows: Windows  # the rows
    mesh: Mesh  # the devices
    numbers: int  # S, seen of a case

    def epoch(self, state: LaneState, told: LaneInput) -> tuple[LaneState, LaneOutput]:
        """One epoch of all lanes; see `LaneProgram.epoch`."""
        by_lane, lanes = meshes.by_lane(self.mesh), len(told.epoch)
        zeros = jax.device_put((np.zeros(lanes, np.float32), np.zeros(lanes, np.int32)), by_lane)
        progress = Progress(state, *zeros)
        for window, shared in self.read(range(self.windows.count)):
            number = jax.device_put(np.int32(window), meshes.everywhere(self.mesh))
            progress = self.train(shared, number, progress, told)
        loss = np.asarray(progress.loss) / np.maximum(np.asarray(progress.step), 1).astype(np.float32)
        return progress.state, LaneOutput(loss, self._seen(progress.state, told))  # pyrefly: ignore[bad-argument-type]

    def _seen(self, state: LaneState, told: LaneInput) -> np.ndarray:
        """[L, E, S] float32, each held row predicted while its window is on the device."""
        held, n_held = np.asarray(told.held), np.asarray(told.n_held)
        seen = np.zeros((*held.shape, self.numbers), np.float32)
        real = np.arange(held.shape[1]) < n_held[:, None]
        home = np.where(real, held // self.windows.size, -1)
        for window, shared in self.read(np.unique(home[real]).tolist()):
            here, counts, places = np.zeros_like(held), np.zeros_like(n_held), []
            for i, windows in enumerate(home):
                mine = np.flatnonzero(windows == window)
                here[i, : len(mine)] = held[i, mine] - window * self.windows.size
                counts[i] = len(mine)
                places.append(mine)
            rows, few = jax.device_put((here, counts), meshes.by_lane(self.mesh))
            part = np.asarray(self.predict(shared, state, told._replace(held=rows, n_held=few)))
            for i, mine in enumerate(places):
                seen[i, mine] = part[i, : len(mine)]
        return seen
