"""MANY lanes: the one place that vectorises, shards and compiles what engine/lane.py says of one."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from nachos_jax.core.errors import UsageError
from nachos_jax.engine import lane
from nachos_jax.engine.lane import LaneInput, LaneOutput, LaneSpec, LaneState
from nachos_jax.runtime import mesh as meshes

log = logging.getLogger("nachos_jax")

BLOCK = 4
"""Lanes in a block, if their number can be divided so."""

_QUICK: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False}
"""Lets XLA make a processor's code by its older generator, which takes half of the time."""

EpochFunction = Callable[[LaneState, LaneInput], tuple[LaneState, LaneOutput]]
StartFunction = Callable[[LaneState, LaneInput, jax.Array], LaneState]


@dataclass
class TraceCount:
    """How often a bucket's programs were traced; more than once each is a bug."""

    traces: int = 0

    def counting(self, function: Callable) -> Callable:
        """The function; each time that JAX traces it is counted."""

        def counted(*args: Any) -> Any:
            self.traces += 1
            return function(*args)

        return counted


@dataclass(frozen=True)
class LaneProgram:
    """The compiled epoch of a bucket over all local devices.

    Attributes:
        epoch: (state, input) -> (state, output); leading axis of state, input and output is the
            lane axis, L = lanes a device x devices; the state given is donated.
        start: (state, input, fresh [L] bool) -> state, with fresh weights in the fresh lanes; donates too.
        lanes: L.
    """

    epoch: EpochFunction
    start: StartFunction
    mesh: Mesh
    lanes: int
    spec: LaneSpec
    counted: TraceCount
    compile_seconds: float

    @property
    def state_bytes(self) -> int:
        """Bytes of the lanes' state on each device."""
        one = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(lane.abstract_state(self.spec)))
        return one * self.lanes // self.mesh.size

    def lane_state(self, state: LaneState, index: int) -> LaneState:
        """State of one lane as NumPy arrays."""
        return jax.tree.map(lambda leaf: _row(leaf, index), state)


def empty_state(spec: LaneSpec, lanes: int, mesh: Mesh) -> LaneState:
    """A state of L lanes full of zeros, on the devices."""
    shapes = stacked(lane.abstract_state(spec), lanes)
    return jax.device_put(jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), shapes), meshes.by_lane(mesh))


def place(told: Sequence[LaneInput], mesh: Mesh) -> LaneInput:
    """Stacks one input a lane and puts them on the devices."""
    return jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *told), meshes.by_lane(mesh))


def vectorised(one: Callable, packing: str, shared: int = 0) -> Callable:
    """Makes a function of one lane one of several lanes on one device.

    Args:
        one: takes `shared` arguments that all lanes share, then arguments of its lane.
        packing: "vmap" (all lanes in step), "map" (lane after lane in one program; each runs only
            as many steps as it has) or "blocks" (a few lanes in step, block after block).
        shared: number of shared arguments.

    Returns:
        The same with a leading lane axis on all other arguments and on the results.
    """
    if packing == "vmap":
        return lambda *args: jax.vmap(one, (None,) * shared + (0,) * (len(args) - shared))(*args)

    def mapped(*args: Any) -> Any:
        lanes = len(jax.tree.leaves(args[shared:])[0])
        block = in_step(packing, lanes) if packing == "blocks" else None
        return lax.map(lambda own: one(*args[:shared], *own), args[shared:], batch_size=block)

    return mapped


def in_step(packing: str, lanes: int) -> int:
    """Lanes, of so many on a device, that are computed together; see `vectorised`."""
    return {"vmap": lanes, "map": 1}.get(packing) or max(n for n in range(1, BLOCK + 1) if lanes % n == 0)


def sharded(function: Callable, mesh: Mesh, shared: int = 0) -> Callable:
    """Spreads the lane axis over the mesh; lanes never talk, so no collective is compiled in."""
    everywhere, by_lane = PartitionSpec(), PartitionSpec(meshes.LANE)

    def spread(*args: Any) -> Any:
        specs = (everywhere,) * shared + (by_lane,) * (len(args) - shared)
        # Loop carries start as constants, which the check takes for unsharded.
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=by_lane, check_vma=False)(*args)

    return spread


def start_lane(spec: LaneSpec, first: Any, state: LaneState, told: LaneInput, fresh: jax.Array) -> LaneState:
    """Fresh weights when `fresh`, else the state as it is; `first` as of `nachos_jax.engine.lane.init`."""
    return lax.cond(fresh, lambda: lane.init(spec, first, told), lambda: state)


def compile_start(
    spec: LaneSpec, first: Any, told: LaneInput, mesh: Mesh, lanes: int, packing: str
) -> StartFunction:
    """Compiles what gives lanes fresh weights; see `LaneProgram.start`. `first`: spec.pretrained, placed."""
    total, by_lane = lanes * mesh.size, meshes.by_lane(mesh)
    start = sharded(vectorised(functools.partial(start_lane, spec), packing, shared=1), mesh, shared=1)
    state = stacked(lane.abstract_state(spec), total, by_lane)
    fresh = jax.ShapeDtypeStruct((total,), jnp.bool_, sharding=by_lane)
    lowered = jax.jit(start, donate_argnums=(1,)).lower(first, state, stacked(told, total, by_lane), fresh)
    # Drawing weights is short, but every draw is a page of code that a CPU is slow to optimise.
    least = {"xla_backend_optimization_level": 0} if _platform(mesh) == "cpu" else {}
    return functools.partial(compiled(lowered, {**least, **_quick(spec, mesh)}), first)


def first_bytes(spec: LaneSpec) -> int:
    """Bytes on each device of the weights that all fits start from, beside the lanes."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(spec.pretrained))


def fitting_program(
    compile_lanes: Callable[[int], tuple[LaneProgram, int]], want: int, budget: int
) -> tuple[LaneProgram, int]:
    """Compiles as many lanes a device as wanted, or as the memory budget holds.

    Args:
        compile_lanes: lanes a device -> program, and the bytes that it takes on each device by the compiler's
            own memory analysis.
        want: lanes a device, if they fit.
        budget: bytes a device that program and lanes may take.

    Raises:
        UsageError: not even one lane fits.
    """
    lanes = want
    while True:
        program, used = compile_lanes(lanes)
        if used <= budget:
            return program, used
        if lanes == 1:
            raise UsageError(
                f"One lane needs {used / 2**20:,.0f} MiB of device memory and {budget / 2**20:,.0f} MiB are "
                "free: lower training.batch_size, the image size, the network's width or data.window."
            )
        fewer = max(1, min(lanes - 1, int(lanes * budget / used)))
        log.info("%d lanes need %d MiB a device: %d lanes instead", lanes, used >> 20, fewer)
        lanes = fewer


def compiler_options(spec: LaneSpec, mesh: Mesh, packing: str) -> dict[str, Any]:
    """What XLA is told of an epoch.

    Jaxlib 0.11.2 aborts the process ("triton_tiling_propagation.cc: Check failed") when it fuses the bfloat16
    products of ResNet-18 lanes in step on an H100. Since `nachos_jax.models.fences.unfused` it compiles them
    for a card that is described to it; the option goes once they have run on one.
    """
    fused = _platform(mesh) in ("gpu", "cuda") and spec.bfloat16 and packing != "map"
    return {**({"xla_gpu_enable_triton_gemm": False} if fused else {}), **_quick(spec, mesh)}


def compiled(lowered: Any, options: dict[str, Any]) -> Any:
    """Compiles what was lowered, without the option for quick code where this XLA no longer knows it."""
    try:
        return lowered.compile(compiler_options=options or None)
    except jax.errors.JaxRuntimeError as error:
        if not options.keys() & _QUICK.keys() or "No such compile option" not in str(error):
            raise
        known = {name: value for name, value in options.items() if name not in _QUICK}
        return lowered.compile(compiler_options=known or None)


def _quick(spec: LaneSpec, mesh: Mesh) -> dict[str, Any]:
    return _QUICK if spec.quick and _platform(mesh) == "cpu" else {}


def _platform(mesh: Mesh) -> str:
    return mesh.devices.flat[0].platform


def stacked(tree: Any, lanes: int, sharding: Any = None) -> Any:
    """Shapes and dtypes of a tree of one lane, for many lanes."""

    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        dtype = jnp.result_type(leaf) if not hasattr(leaf, "dtype") else leaf.dtype
        return jax.ShapeDtypeStruct((lanes, *np.shape(leaf)), dtype, sharding=sharding)

    return jax.tree.map(shape, tree)


def program_bytes(compiled: Any) -> int:
    """Bytes that a compiled program takes on each device: arguments, results and scratch."""
    analysis = compiled.memory_analysis()
    if analysis is None:  # some backends do not tell
        return 0
    held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return held + analysis.temp_size_in_bytes


def _row(leaf: jax.Array, index: int) -> np.ndarray:
    """A copy of one lane's row; a processor's memory is read as it is, with no program for every shape."""
    for shard in leaf.addressable_shards:
        rows = shard.index[0]
        start, stop = rows.start or 0, rows.stop if rows.stop is not None else leaf.shape[0]
        if start <= index < stop:
            if shard.device.platform == "cpu":
                return np.array(np.asarray(shard.data)[index - start])
            return np.asarray(shard.data[index - start])
    raise IndexError(index)
