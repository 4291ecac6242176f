"""What a run will take, before anything is trained: fits, buckets, memory, and time on any number of devices.

Everything follows from the configuration and the folds; seconds come from what was measured, or stay unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nachos_jax.config.run_config import RunConfig
from nachos_jax.engine.buckets import Bucket
from nachos_jax.protocol.design import protocols
from nachos_jax.protocol.plan import fits as plan_fits
from nachos_jax.protocol.plan.fits import Buckets, FitCounts, Length, Work
from nachos_jax.protocol.plan.measured import Measured, Speed
from nachos_jax.protocol.plan.memory import CasesMemory, Device, Network
from nachos_jax.protocol.plan.pool_model import Lanes
from nachos_jax.protocol.plan.schedule import Schedule, longest_chain, simulate
from nachos_jax.runtime import cores
from nachos_jax.splits.folds import Folds


@dataclass(frozen=True)
class Facts:
    """What is known beside the configuration."""

    folds: Folds  # of the cases
    outer: tuple[int, ...]  # the outer folds to run
    networks: Mapping[Bucket, Network]  # the state of a lane of each bucket that drawn trials fall into
    cases: CasesMemory  # what the cases take on a device
    device: Device  # the devices of this machine
    speed: Speed | None = None  # of training, or None when no epoch was measured
    measured: Measured | None = None  # lengths of fits, or None when none has ended


@dataclass(frozen=True)
class Estimate:
    """A command on a number of devices."""

    lanes: Lanes  # where it runs
    schedule: Schedule  # its times are in training cases that a device takes in
    lane_epochs: float  # its time in epochs of search fits that each device trains one after another
    seconds: float | None  # wall time, compilation included; None without a measured speed


@dataclass(frozen=True)
class CommandPlan:
    """`nachos evaluate` or `nachos deploy`."""

    command: str  # its name
    fits: int  # number of fits, at most
    programs: int  # buckets that they fall into, those of the drawn trials and of the default
    most: int  # epochs at most
    expected: int | None  # epochs if fits are as long as those measured; None without any
    chain: float  # lane-epochs of the longest chain of fits of which each waits for the one before
    estimates: tuple[Estimate, ...]  # by number of devices, with the epochs expected if known


@dataclass(frozen=True)
class Plan:
    """All of it."""

    run: RunConfig  # the configuration
    facts: Facts  # what the plan rests on
    counts: FitCounts  # numbers of fits
    whole: FitCounts  # the same over all outer folds
    alone: FitCounts  # the same for one outer fold
    buckets: Buckets  # what splits the search space
    lanes: int  # lanes a device
    in_step: int  # how many of them are computed together
    room: int  # lanes a device whose state fits beside the cases; gradients and activations come on top
    commands: tuple[CommandPlan, CommandPlan]  # the estimate and the deployment


def make(run: RunConfig, facts: Facts, devices: Sequence[int], lanes: int, in_step: int) -> Plan:
    """Plans the estimate and the deployment on each number of devices, with so many lanes a device."""
    trials, folds, measured = plan_fits.drawn_trials(run), facts.folds, facts.measured
    protocol, limit = protocols.of(run), run.limit.epochs
    studies, whole = protocol.studies(facts.outer, folds, "", run), [protocol.deployment(folds, "", run)]
    estimation = partial(plan_fits.work, run, folds, studies, protocol.after)
    deployment = partial(plan_fits.work, run, folds, whole, plan_fits.networks)
    paired = measured.pair if measured and protocol.pairs else ()
    one = measured.one if measured else ()
    where = [Lanes(number, lanes, in_step) for number in devices]
    return Plan(
        run=run,
        facts=facts,
        counts=plan_fits.count(run, folds, facts.outer, len(trials)),
        whole=plan_fits.count(run, folds, folds.numbers(), len(trials)),
        alone=plan_fits.count(run, folds, facts.outer[:1], len(trials)),
        buckets=plan_fits.split(run, trials),
        lanes=lanes,
        in_step=in_step,
        room=room(facts),
        commands=(
            _command("evaluate", facts, estimation, paired, where, limit),
            _command("deploy", facts, deployment, one, where, limit),
        ),
    )


def room(facts: Facts) -> int:
    """Lanes a device of this machine whose state fits beside the cases."""
    largest = max(network.state for network in facts.networks.values())
    if not largest:  # estimators, which hold nothing on a device
        return cores.available()
    return max(0, facts.device.allowed - facts.cases.nbytes) // largest


def _command(
    command: str,
    facts: Facts,
    works: Callable[[Length, Length], Work],
    search: tuple[int, ...],
    where: Sequence[Lanes],
    limit: int,
) -> CommandPlan:
    """Plans a command whose search fits are as long as those of `search`, or as the limit."""
    most = works(lambda: limit, lambda: limit)
    last = facts.measured.last if facts.measured and search else ()
    expected = works(_length(search, limit), _length(last, limit))
    return CommandPlan(
        command=command,
        fits=len(most.jobs),
        programs=len({job.bucket for job in most.jobs.values()}),
        most=most.epochs,
        expected=expected.epochs if search else None,
        chain=longest_chain(expected.jobs, expected.chains, expected.lag) / expected.cases,
        estimates=tuple(_estimate(expected, lanes, facts.speed) for lanes in where),
    )


def _length(measured: tuple[int, ...], limit: int) -> Length:
    """The limit, or one of the lengths measured, in an order that is always the same."""
    if not measured:
        return lambda: limit
    draws, known = np.random.default_rng(0), np.asarray(measured)
    return lambda: int(known[draws.integers(len(known))])


def _estimate(work: Work, lanes: Lanes, speed: Speed | None) -> Estimate:
    schedule = simulate(work.jobs, work.chains, lanes, work.lag)
    seconds = None
    if speed is not None:
        # Lanes in step cost the same idle or busy, and the schedule counts the idle ones itself. Of lanes in
        # turn it is not known which part of the time devices waited: all of it is kept, which is at most.
        one = speed.seconds * (speed.occupancy if lanes.in_step > 1 else 1.0)
        buckets = len({job.bucket for job in work.jobs.values()})
        seconds = schedule.time / speed.cases * one + buckets * speed.bucket_seconds
    return Estimate(lanes, schedule, schedule.time / work.cases, seconds)
