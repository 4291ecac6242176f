"""What lanes and cases take on a device: from shapes alone, or from compiled programs when asked."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import jax

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit, HParams
from nachos_jax.data.table import Cohort
from nachos_jax.engine import lane, memory, program
from nachos_jax.engine.buckets import Bucket
from nachos_jax.engine.compiler import choices, lane_spec
from nachos_jax.engine.pool import LanePool
from nachos_jax.engine.windows import divide
from nachos_jax.models import registry as models
from nachos_jax.protocol.run.opening import Run
from nachos_jax.tasks import registry as tasks

NEVER = 1_000_000
"""Epochs, more than are timed: the fits that are timed do not end."""


@dataclass(frozen=True)
class Device:
    """The devices of this machine."""

    kind: str  # e.g. "NVIDIA H100".
    platform: str  # "cpu", "gpu" or "tpu"
    count: int  # how many this process sees
    allowed: int  # bytes a device that cases and lanes may take together


@dataclass(frozen=True)
class Network:
    """What one lane holds between steps."""

    parameters: int  # trained numbers
    params: int  # bytes of them
    stats: int  # bytes of the batch statistics
    moments: int  # bytes of the optimiser's state

    @property
    def state(self) -> int:
        """Bytes of a lane's state."""
        return self.params + self.stats + self.moments


@dataclass(frozen=True)
class CasesMemory:
    """Cases on a device."""

    streams: bool  # True when windows pass by instead of all cases lying there
    nbytes: int  # bytes a device: all cases, or two windows
    windows: int  # number of windows
    stores: int = 1  # in which they lie prepared


@dataclass(frozen=True)
class Compiled:
    """A compiled bucket."""

    bucket: Bucket  # which
    lanes: int  # lanes a device that fit
    used: int  # bytes a device of program and lanes, from the compiler's memory analysis; the cases are extra
    seconds: float  # time to compile


@dataclass(frozen=True)
class Timed:
    """Epochs timed here."""

    seconds: float  # a lane-epoch of one device: time x devices / lanes
    lanes: int  # lanes a device
    compile_seconds: float  # compilation and choice of the lowering


def this_device(run: RunConfig) -> Device:
    """The devices of this machine, as training would find them; starts JAX."""
    devices = jax.local_devices()
    allowed = memory.allowance(devices[0], len(devices), run.engine.memory_fraction)
    return Device(devices[0].device_kind, devices[0].platform, len(devices), allowed)


def network(run: RunConfig, bucket: Bucket, cohort: Cohort) -> Network:
    """Sizes of the state of a lane, from abstract shapes: nothing is computed or compiled.

    An estimator holds nothing on a device.
    """
    if models.hosted(str(dict(bucket)["architecture"])):
        return Network(0, 0, 0, 0)
    state = lane.abstract_state(lane_spec(run, bucket, cohort.prepared(dict(bucket))))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return Network(parameters, _nbytes(state.params), _nbytes(state.stats), _nbytes(state.moments))


def networks(run: RunConfig, buckets: Collection[Bucket], cohort: Cohort) -> dict[Bucket, Network]:
    """The same for many buckets; those that differ in batch size alone have equal states."""
    found: dict[tuple, Network] = {}
    for bucket in buckets:
        shapes = _shapes(bucket)
        if shapes not in found:
            found[shapes] = network(run, bucket, cohort)
    return {bucket: found[_shapes(bucket)] for bucket in buckets}


def _shapes(bucket: Bucket) -> tuple:
    return tuple(pair for pair in bucket if pair[0] != "batch_size")


def cases_memory(run: RunConfig, cohort: Cohort, allowed: int) -> CasesMemory:
    """Bytes a device that inputs and targets of a cohort take in all its stores, resident or streamed."""
    windows = divide(len(cohort.table), run.data.window, run.seed)
    sizes = [one.store.nbytes for one in (cohort, *cohort.others.values())]
    one = sum((size + cohort.targets.on_device.nbytes) // len(cohort.table) for size in sizes)
    if memory.stays(run.data.residency, sum(sizes), allowed):
        return CasesMemory(False, len(windows.cases) * one, windows.count, len(sizes))
    return CasesMemory(True, 2 * windows.size * one, windows.count, len(sizes))


def in_step(run: RunConfig, platform: str, lanes: int, cohort: Cohort) -> int:
    """Lanes of a device that are computed together under the packing configured, or the one expected.

    Which packing is expected depends on what the network of the default configuration is given. Estimators
    are fitted each by a process of its own.
    """
    architecture = str(run.defaults["architecture"])
    if models.hosted(architecture):
        return 1
    shape = tasks.of(run.task).network_shape(cohort.shape, run.defaults)
    choice = choices(run, platform, architecture, shape)[0]
    return program.in_step(choice.packing, lanes)


def compiled(run: Run, buckets: Sequence[Bucket], lanes: int) -> list[Compiled]:
    """Compiles buckets for this machine's devices and reads the compiler's memory analysis; trains nothing.

    It begins with so many lanes a device; there are fewer when they do not fit.

    Raises:
        UsageError: not even one lane fits.
    """
    pool, found = _pool(run, lanes), []
    for bucket in buckets:
        if models.hosted(str(dict(bucket)["architecture"])):
            continue
        began = time.perf_counter()
        fitting, used = pool.weigh(bucket)
        found.append(Compiled(bucket, fitting, used, time.perf_counter() - began))
    return found


def timed(run: Run, trials: Sequence[HParams], epochs: int, lanes: int) -> Timed:
    """Trains every lane of this machine for a few epochs after a first one, and tells how long that takes.

    It writes nothing. Lanes that run in turn take as long as each of them, and one a device is enough. It
    trains the first trial; of what is solved, whose first epoch is all of a fit and takes longer under weak
    penalties, the next ones in each epoch.

    Raises:
        UsageError: the device has run out of memory, or there are no lanes to time.
    """
    hparams = trials[0]
    if models.hosted(str(hparams["architecture"])):
        raise UsageError(
            f"--measure times epochs of lanes, and {hparams['architecture']} is fitted on the host: leave it "
            "out."
        )
    pool = _pool(run, lanes)
    left_out = (run.folds.numbers()[0], run.folds.numbers()[1])
    solved = models.convex(str(hparams["architecture"])) is not None
    last = 1 if solved else NEVER
    alike = [one for one in trials if one["architecture"] == hparams["architecture"]] if solved else [hparams]

    def fit(number: int) -> Fit:  # watched, as search fits are
        of_trial = dict(alike[number % len(alike)])
        return Fit(of_trial, left_out, run.config.seed + number, EpochLimit(last, last), run.cases)

    pool.submit([fit(0)])
    pool.submit(fit(number) for number in range(1, pool.lanes * (epochs + 1 if solved else 1)))
    pool.step()
    before = pool.spent.train_seconds
    for _ in range(epochs):
        pool.step()
    seconds = (pool.spent.train_seconds - before) / epochs
    devices = len(pool.devices)
    return Timed(
        seconds=seconds * devices / pool.lanes,
        lanes=pool.lanes // devices,
        compile_seconds=pool.spent.compile_seconds + pool.spent.tuning_seconds,
    )


def _pool(run: Run, lanes: int) -> LanePool:
    """A lane pool that leaves nothing behind, with so many lanes a device."""
    config = replace(run.config, engine=replace(run.config.engine, lanes=lanes))
    return LanePool(run.cohort, run.folds, config)


def _nbytes(tree: object) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
