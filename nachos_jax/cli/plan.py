"""`nachos plan`: what a run will take, told without training it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from nachos_jax.cli import parsing
from nachos_jax.cli.parsing import Flag
from nachos_jax.core.errors import UsageError

if TYPE_CHECKING:
    from nachos_jax.config.run_config import RunConfig
    from nachos_jax.protocol.plan.memory import Compiled
    from nachos_jax.protocol.plan.plan import Facts, Plan
    from nachos_jax.protocol.run.opening import Run

DEVICES = [1, 8, 32]

FLAGS = (
    Flag(
        "workdir",
        "DIR",
        "Run directory: what it has measured gives times and lengths.",
        required=False,
        path=True,
    ),
    Flag("outer_folds", "0,3", "Outer folds to plan for; all when left out.", many=True, required=False),
    Flag(
        "devices", "N,...", "Numbers of devices to plan for; 1,8,32 when left out.", many=True, required=False
    ),
    Flag("lanes", "L", "Lanes a device; as this machine would have when left out.", required=False),
    Flag(
        "measure",
        "EPOCHS",
        "Trains every lane of this machine for so many epochs, keeps nothing, and takes the time from them.",
        required=False,
    ),
    Flag(
        "compile",
        "N",
        "Compiles the first N buckets for this machine and tells their memory and the lanes that fit.",
        required=False,
    ),
)


def plan(values: Any, _words: list[str]) -> None:
    """`nachos plan`: fits, buckets, memory and time of a run; trains nothing unless asked to measure."""
    outer_folds = parsing.whole_numbers("outer_folds", values.outer_folds)
    devices = _positive("devices", parsing.whole_numbers("devices", values.devices) or DEVICES)
    lanes, epochs, buckets = (_one(name, values[name].value) for name in ("lanes", "measure", "compile"))
    config = parsing.run_config(values.config)
    from nachos_jax.cli import plan_text
    from nachos_jax.protocol.design import protocols
    from nachos_jax.protocol.run.opening import open_run

    with _run_directory(values.workdir) as workdir:
        protocols.check_outer_folds(config, outer_folds)
        run = open_run(config, workdir, "evaluate")
        outer = tuple(protocols.of(config).outer_folds(run.folds.numbers(), outer_folds))
        _prepare_jax(light=not (epochs or buckets))
        facts = _facts(run, outer, epochs, lanes)
        compiled = _compiled(run, facts, buckets, lanes)
        made = _plan(run, facts, devices, lanes, compiled)
        print(plan_text.describe(made, run.cohort, compiled, (*run.warnings, *run.beyond)))


def _facts(run: Run, outer: tuple[int, ...], epochs: int | None, lanes: int | None) -> Facts:
    """What is known: shapes, this machine, and what was measured before or is measured now."""
    from nachos_jax.protocol.plan import fits as plan_fits
    from nachos_jax.protocol.plan import measured as plan_measured
    from nachos_jax.protocol.plan import memory as plan_memory
    from nachos_jax.protocol.plan.plan import Facts

    config, cohort = run.config, run.cohort
    device = _this_device(config)
    trials = plan_fits.drawn_trials(config)
    buckets = dict.fromkeys(plan_fits.bucket_for(config, hparams) for hparams in trials)
    speed, measured = plan_measured.of_run(str(run.store.path), run.folds)
    if epochs:
        wanted = _lanes_here(config, device.platform, lanes)
        wanted = 1 if plan_memory.in_step(config, device.platform, wanted, cohort) == 1 else wanted
        timed = plan_memory.timed(run, trials, epochs, wanted)
        speed = plan_measured.speed_here(timed, device, run.folds, epochs)
    return Facts(
        folds=run.folds,
        outer=outer,
        networks=plan_memory.networks(config, buckets, cohort),
        cases=plan_memory.cases_memory(config, cohort, device.allowed),
        device=device,
        speed=speed,
        measured=measured,
    )


def _compiled(run: Run, facts: Facts, buckets: int | None, lanes: int | None) -> list[Compiled]:
    from nachos_jax.protocol.plan import fits as plan_fits
    from nachos_jax.protocol.plan import memory as plan_memory

    if not buckets:
        return []
    wanted = _lanes_here(run.config, facts.device.platform, lanes)
    chosen = list(facts.networks)[:buckets]
    programs = [p for one in chosen for p in plan_fits.programs(run.config, facts.folds, facts.outer, one)]
    return plan_memory.compiled(run, programs, wanted)


def _plan(run: Run, facts: Facts, devices: list[int], lanes: int | None, compiled: list[Compiled]) -> Plan:
    """The plan for the lanes asked for, or for those that devices like the measured ones, or ours, have."""
    from nachos_jax.protocol.plan import memory as plan_memory
    from nachos_jax.protocol.plan import plan as plans

    config = run.config
    platform = facts.speed.platform if facts.speed else facts.device.platform
    wanted = _lanes_here(config, platform, lanes)
    if lanes is None and platform == facts.device.platform:
        fitting = [found.lanes for found in compiled] or [max(1, plans.room(facts))]
        wanted = min(wanted, *fitting)
    together = plan_memory.in_step(config, platform, wanted, run.cohort)
    return plans.make(config, facts, devices, wanted, together)


def _lanes_here(config: RunConfig, platform: str, lanes: int | None) -> int:
    from nachos_jax.engine import memory

    return lanes or memory.lanes_to_try(platform, config.engine.lanes)


@contextlib.contextmanager
def _run_directory(workdir: str | None) -> Generator[str]:
    """The run directory, or an empty one for as long as it is needed."""
    if workdir:
        yield workdir
        return
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def _prepare_jax(light: bool) -> None:
    """Sets JAX up as training would, but without taking a GPU's memory when nothing is to run on it."""
    from nachos_jax.runtime import compile_cache, mesh

    if light:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    else:
        compile_cache.switch_on()
    mesh.one_device_a_core()


def _this_device(config: RunConfig) -> Any:
    from nachos_jax.protocol.plan import memory as plan_memory

    try:
        return plan_memory.this_device(config)
    except RuntimeError as error:  # JAX's own: no driver, or another process holds the devices
        told = str(error).splitlines()[0].rstrip(".")
        raise UsageError(
            f"the devices of this machine cannot be used ({told}): end the program that holds them, or set "
            "JAX_PLATFORMS=cpu and name --lanes."
        ) from error


def _one(name: str, word: str | None) -> int | None:
    number = parsing.whole_number(name, word)
    return None if number is None else _positive(name, [number])[0]


def _positive(name: str, numbers: list[int]) -> list[int]:
    """The numbers.

    Raises:
        UsageError: one of them is 0.
    """
    if 0 in numbers:
        raise UsageError(f"--{name}={','.join(map(str, numbers))}: must be at least 1.")
    return numbers
