"""MANY lanes: the one place that vectorises, shards and compiles what engine/lane.py says of one."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from nachos_jax.core import mesh as meshes
from nachos_jax.core.errors import UsageError
from nachos_jax.engine import lane
from nachos_jax.engine.lane import Cases, LaneInput, LaneOutput, LaneSpec, LaneState

log = logging.getLogger("nachos_jax")
EpochFunction = Callable[[Cases, LaneState, LaneInput], tuple[LaneState, LaneOutput]]


@dataclass
class TraceCount:
    """How often a bucket's epoch was traced; more than once per program is a bug."""

    traces: int = 0


@dataclass(frozen=True)
class LaneProgram:
    """The compiled epoch of a bucket over all local devices.

    Attributes:
        run: (cases, state, input) -> (state, output); leading axis of state, input and output is the
            lane axis, L = lanes a device x devices; the state given is donated.
        mesh: the devices.
        lanes: L.
        spec: what the lanes share.
        counted: traces so far.
        compile_seconds: time to trace and compile.
    """

    run: EpochFunction
    mesh: Mesh
    lanes: int
    spec: LaneSpec
    counted: TraceCount
    compile_seconds: float

    def empty_state(self) -> LaneState:
        """A state of L lanes full of zeros, on the devices."""
        shapes = _stacked(lane.abstract_state(self.spec), self.lanes)
        sharding = meshes.by_lane(self.mesh)
        return jax.tree.map(lambda s: jax.device_put(np.zeros(s.shape, s.dtype), sharding), shapes)

    def place(self, told: Sequence[LaneInput]) -> LaneInput:
        """Stacks one input a lane and puts them on the devices."""
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *told)
        return jax.device_put(stacked, meshes.by_lane(self.mesh))

    def lane_state(self, state: LaneState, index: int) -> LaneState:
        """State of one lane as NumPy arrays."""
        return jax.tree.map(lambda leaf: _row(leaf, index), state)


def vectorised(spec: LaneSpec, packing: str) -> EpochFunction:
    """The epoch of several lanes on one device.

    Args:
        spec: what the lanes share.
        packing: "vmap" (all lanes in step) or "map" (lane after lane in one program; each runs only
            as many steps as it has).
    """
    one = functools.partial(lane.epoch, spec)
    if packing == "vmap":
        return jax.vmap(one, in_axes=(None, 0, 0))
    return lambda cases, state, told: lax.map(lambda both: one(cases, *both), (state, told))


def sharded(function: EpochFunction, mesh: Mesh) -> EpochFunction:
    """Spreads the lane axis over the mesh; lanes never talk, so no collective is compiled in."""
    everywhere, by_lane = PartitionSpec(), PartitionSpec(meshes.LANE)
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(everywhere, by_lane, by_lane),
        out_specs=(by_lane, by_lane),
        check_vma=False,  # loop carries start as constants, which the check takes for unsharded
    )


def compile_program(
    spec: LaneSpec, cases: Cases, told: LaneInput, mesh: Mesh, lanes: int, packing: str
) -> tuple[LaneProgram, int]:
    """Compiles the epoch of `lanes` lanes a device.

    Args:
        spec: what the lanes share.
        cases: the resident data on the devices.
        told: an input of one lane, for its shapes.
        mesh: the devices.
        lanes: lanes a device.
        packing: see `vectorised`.

    Returns:
        The program and the bytes that it takes on each device beside the cases.
    """
    counted = TraceCount()
    total = lanes * mesh.size

    def epoch(cases: Cases, state: LaneState, told: LaneInput) -> tuple[LaneState, LaneOutput]:
        counted.traces += 1
        return sharded(vectorised(spec, packing), mesh)(cases, state, told)

    by_lane = meshes.by_lane(mesh)
    state = _stacked(lane.abstract_state(spec), total, by_lane)
    start = time.perf_counter()
    jitted = jax.jit(epoch, donate_argnums=(1,))
    compiled = jitted.lower(cases, state, _stacked(told, total, by_lane)).compile()
    seconds = time.perf_counter() - start
    return LaneProgram(compiled, mesh, total, spec, counted, seconds), _bytes(compiled, cases)


def fitting_program(
    spec: LaneSpec, cases: Cases, told: LaneInput, mesh: Mesh, want: int, packing: str, budget: int
) -> LaneProgram:
    """Compiles as many lanes a device as wanted, or as the memory budget holds.

    Args:
        spec: what the lanes share.
        cases: the resident data on the devices.
        told: an input of one lane, for its shapes.
        mesh: the devices.
        want: lanes a device, if they fit.
        packing: see `vectorised`.
        budget: bytes a device that program and lanes may take.

    Returns:
        The program. Its size comes from the compiler's own memory analysis.

    Raises:
        UsageError: not even one lane fits.
    """
    lanes = want
    while True:
        program, used = compile_program(spec, cases, told, mesh, lanes, packing)
        if used <= budget:
            return program
        if lanes == 1:
            raise UsageError(
                f"One lane needs {used / 2**20:,.0f} MiB of device memory and {budget / 2**20:,.0f} MiB are free: "
                "lower training.batch_size, the image size or the network's width."
            )
        fewer = max(1, min(lanes - 1, int(lanes * budget / used)))
        log.info("%d lanes need %d MiB a device: %d lanes instead", lanes, used >> 20, fewer)
        lanes = fewer


def resident(images: np.ndarray, labels: np.ndarray, mesh: Mesh) -> Cases:
    """Puts the cases once on each device, in stored dtype."""
    everywhere = meshes.everywhere(mesh)
    return Cases(
        jax.device_put(np.ascontiguousarray(images), everywhere),
        jax.device_put(np.asarray(labels, np.int32), everywhere),
    )


def _stacked(tree: Any, lanes: int, sharding: Any = None) -> Any:
    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        dtype = jnp.result_type(leaf) if not hasattr(leaf, "dtype") else leaf.dtype
        return jax.ShapeDtypeStruct((lanes, *np.shape(leaf)), dtype, sharding=sharding)

    return jax.tree.map(shape, tree)


def _bytes(compiled: Any, cases: Cases) -> int:
    analysis = compiled.memory_analysis()
    if analysis is None:  # some backends do not tell
        return 0
    held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return held + analysis.temp_size_in_bytes - sum(leaf.nbytes for leaf in cases)


def _row(leaf: jax.Array, index: int) -> np.ndarray:
    for shard in leaf.addressable_shards:
        rows = shard.index[0]
        start, stop = rows.start or 0, rows.stop if rows.stop is not None else leaf.shape[0]
        if start <= index < stop:
            return np.asarray(shard.data[index - start])
    raise IndexError(index)
