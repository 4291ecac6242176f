"""All cases on every device: an epoch is one program, and the host only asks for the next."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from nachos_jax.data.table import Cohort
from nachos_jax.engine import lane
from nachos_jax.engine.lane import LaneInput, LaneSpec, Shared
from nachos_jax.engine.placed import Placed
from nachos_jax.engine.program import (
    LaneProgram,
    TraceCount,
    compile_start,
    compiled,
    compiler_options,
    empty_state,
    first_bytes,
    place,
    program_bytes,
    sharded,
    stacked,
    vectorised,
)
from nachos_jax.engine.windows import Windows
from nachos_jax.runtime import beside
from nachos_jax.runtime import mesh as meshes
from nachos_jax.tasks.task import Cases


class Resident:
    """The cases of a cohort, put once on each device in stored dtype, row by row as the windows say."""

    def __init__(self, cohort: Cohort, windows: Windows, mesh: Mesh):
        members = np.maximum(windows.cases, 0)
        cases = Cases(cohort.store.rows(members), cohort.targets.on_device[members])
        self._mesh, self._placed = mesh, Placed(mesh)
        self._cases = jax.device_put(cases, meshes.everywhere(mesh))

    @property
    def nbytes(self) -> int:
        """Bytes on each device."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self._cases))

    def compile(self, spec: LaneSpec, told: LaneInput, lanes: int, packing: str) -> tuple[LaneProgram, int]:
        """Compiles the epoch of a bucket.

        Args:
            spec: what the lanes share.
            told: an input of one lane, for its shapes.
            lanes: lanes a device.
            packing: see `nachos_jax.engine.program.vectorised`.

        Returns:
            The program, and the bytes that it takes on each device beside the cases.
        """
        counted, began = TraceCount(), time.perf_counter()
        with ThreadPoolExecutor(1) as other:
            first = self._placed.of(spec.pretrained)
            starting = other.submit(compile_start, spec, first, told, self._mesh, lanes, packing)
            run = self.compile_epoch(spec, told, lanes, packing, counted)
            start = starting.result()
        seconds, epoch = time.perf_counter() - began, functools.partial(run, self._shared(spec))
        program = LaneProgram(epoch, start, self._mesh, lanes * self._mesh.size, spec, counted, seconds)
        return program, program_bytes(run) - self.nbytes + first_bytes(spec)

    def compile_epoch(
        self, spec: LaneSpec, told: LaneInput, lanes: int, packing: str, counted: TraceCount
    ) -> Any:
        """Compiles (shared, state, input) -> (state, output), which counts its traces; as `compile`."""
        mesh, total, by_lane = self._mesh, lanes * self._mesh.size, meshes.by_lane(self._mesh)
        epoch = sharded(vectorised(functools.partial(lane.epoch, spec), packing, shared=1), mesh, shared=1)
        state = stacked(lane.abstract_state(spec), total, by_lane)
        many = stacked(told, total, by_lane)
        shared = self._shared(spec)
        lowered = jax.jit(counted.counting(epoch), donate_argnums=(1,)).lower(shared, state, many)
        beside.begin()
        return compiled(lowered, compiler_options(spec, mesh, packing))

    def _shared(self, spec: LaneSpec) -> Shared:
        return Shared(self._cases, self._placed.of(spec.frozen))

    def few_steps(self, spec: LaneSpec, told: LaneInput, lanes: int, packing: str) -> Callable[[], None]:
        """Compiles an epoch over all cases; the function runs it, from weights of zero, to its end."""
        epoch, total = self.compile_epoch(spec, told, lanes, packing, TraceCount()), lanes * self._mesh.size
        many, state = place([told] * total, self._mesh), empty_state(spec, total, self._mesh)
        shared = self._shared(spec)

        def steps() -> None:
            nonlocal state
            state, _ = jax.block_until_ready(epoch(shared, state, many))

        return steps
