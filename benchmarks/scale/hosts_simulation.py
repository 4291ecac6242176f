"""A launch of many hosts in virtual time.

Conductor, rounds, leader, workers, board and early stopping are the project's own, called as they are; lanes
follow the model of `nachos plan`. What takes time is replaced by waiting on a virtual clock: an epoch, a
compilation, a proposal, a message to the coordination service. What is on disk is kept in memory.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

import nachos_jax
from benchmarks.scale import hosts_ledger as ledgers
from benchmarks.scale.hosts_clock import Clock
from benchmarks.scale.hosts_fits import Courses, Lengths
from benchmarks.scale.hosts_parts import Costs, Devices, Learning, Notes, Pool, Proposing, Service, Store
from nachos_jax.cluster import board as boards
from nachos_jax.cluster.board import Board, Party
from nachos_jax.engine import buckets as lane_buckets
from nachos_jax.protocol.crew import crew, leader, worker
from nachos_jax.protocol.crew.crew import Alone
from nachos_jax.protocol.crew.leader import Leader
from nachos_jax.protocol.design import protocols
from nachos_jax.protocol.design.study import Ending
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.progress import Progress
from nachos_jax.protocol.study import cohorts, conduct
from nachos_jax.protocol.study.conduct import Conductor
from nachos_jax.search import registry
from nachos_jax.splits.folds import Folds


@dataclass(frozen=True)
class Case:
    """A launch to simulate.

    Attributes:
        hosts: processes; each has all devices of its host.
        devices: of a host.
        lanes: of a device.
        folds: outer folds.
        trials: of each study.
        searcher: "ax", "sobol" or "random".
        initial: config.search.initial; 0 = the default.
        proposals: config.search.proposals; 0 = the default.
        buckets: batch sizes that are searched, each a program of its own.
        lane_cost: 0 = a device's epoch takes as long with many lanes as with one; 1 = lanes take turns.
        proposal_seconds: that Ax takes for a trial.
        message_seconds: from a call to its answer, beside what follows.
        service_seconds: that the coordination service is busy with a call.
        text_seconds: that it is busy with each text that it sends.
        lag: config.search.lag.
        known_lanes: what if: process 0 knows from the start how many lanes there are.
        compiled: what if: nothing has to be compiled.
    """

    hosts: int
    devices: int = 8
    lanes: int = 4
    folds: int = 10
    trials: int = 64
    searcher: str = "ax"
    initial: int = 0
    proposals: int = 0
    buckets: int = 1
    lane_cost: float = 0.0
    proposal_seconds: float = 2.0
    message_seconds: float = 0.0003
    service_seconds: float = 0.00005
    text_seconds: float = 0.000002
    lag: int = 0
    known_lanes: bool = False
    compiled: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a launch has come to.

    Attributes:
        lanes: of all hosts.
        makespan: seconds until the last study was finished.
        seconds: lane-seconds by what the lanes did, see hosts_ledger.
        fits: fits trained.
        epochs: epochs of all fits.
        calls: calls of the coordination service by kind; "claim refused" is one that came too late.
        texts: texts that it has sent.
    """

    lanes: int
    makespan: float
    seconds: dict[str, float]
    fits: int
    epochs: int
    calls: dict[str, int]
    texts: int

    @property
    def efficiency(self) -> float:
        """Busy lane-seconds over lanes times makespan."""
        return self.seconds[ledgers.BUSY] / (self.lanes * self.makespan)

    def share(self, what: str) -> float:
        """Part of all lane-seconds."""
        return self.seconds[what] / (self.lanes * self.makespan)


def simulate(case: Case, courses: Courses, lengths: Lengths) -> Outcome:
    """Runs `nachos evaluate` on simulated hosts.

    Args:
        case: the launch.
        courses: what happens to each fit; may be shared by launches with the same lengths.
        lengths: how long things take.
    """
    world = World(case, courses, lengths)
    with world.in_place():
        world.clock.run([world.lead, *(functools.partial(world.work, k) for k in range(1, case.hosts))])
    store = world.store
    return Outcome(
        lanes=world.ledger.lanes,
        makespan=world.makespan,
        seconds=world.ledger.seconds,
        fits=len(store.records),
        epochs=sum(record.epochs for record in store.records.values()),
        calls=dict(world.service.calls),
        texts=world.service.texts,
    )


def run_config(case: Case, lengths: Lengths) -> Any:
    """The checked configuration of a launch."""
    config = nachos_jax.default_config()
    config.data.source = "arrays"
    config.folds.count = case.folds
    config.search.searcher, config.search.trials = case.searcher, case.trials
    config.search.initial = case.initial or config.search.initial
    config.search.proposals = case.proposals or config.search.proposals
    config.search.lag, config.search.policy = case.lag, "full"
    if case.buckets > 1:
        config.search.space.batch_size = f"choice({', '.join(str(2**k) for k in range(3, 3 + case.buckets))})"
    config.training.epochs, config.training.patience = lengths.epochs, lengths.patience
    config.engine.lanes = case.lanes
    return checked(config)


class World:
    """All that the processes of one simulated launch share.

    Args:
        case: the launch.
        courses: what happens to each fit.
        lengths: how long things take.
    """

    def __init__(self, case: Case, courses: Courses, lengths: Lengths):
        self.case = case
        self.run_config = run_config(case, lengths)
        folds = Folds(np.arange(case.folds, dtype=np.int32)[None], case.folds)
        outer = list(folds.numbers())
        self.studies = protocols.of(self.run_config).studies(outer, folds, "cases", self.run_config)
        self.store = Store({study.outer: study for study in self.studies})
        self.ledger = ledgers.Ledger(case.hosts * case.devices * case.lanes, self.wanting)
        self.clock = Clock(self.ledger.passing)
        costs = Costs(case.message_seconds, case.service_seconds, case.text_seconds)
        self.service = Service(self.clock, costs)
        self.background = Proposing(self.clock, case.proposal_seconds)
        epoch = lengths.epoch_seconds * (1.0 + case.lane_cost * (case.lanes - 1))
        devices = Devices(case.devices, case.lanes, epoch, 0.0 if case.compiled else lengths.compile_seconds)
        self.pools = [
            Pool(self.run_config, devices, self.clock, self.ledger, courses) for _ in range(case.hosts)
        ]
        self.submitted, self.makespan = 0, math.nan

    # --- the processes ----------------------------------------------------------------------------------

    def lead(self) -> None:
        """Process 0."""
        run: Any = SimpleNamespace(config=self.run_config, store=self.store, cohort=None, census=())
        tested: set[int | None] = set()
        ending = Ending(
            fits=protocols.refits,
            finish=lambda study, *_: tested.add(study.outer),
            finished=lambda study: study.outer in tested,
        )
        Conductor(run, self.studies, self._crew(), ending, Progress("simulated", quiet=True)).conduct()
        self.makespan, self.ledger.over = self.clock.now, True
        if self.case.hosts > 1:
            Board(self.service, 0).end("")

    def work(self, process: int) -> None:
        """Any other process."""
        party, run = self._party(process), SimpleNamespace(store=self.store)
        party.board.ready()
        notes: Any = Notes(self.store, self.pools[process], f"simulated-p{process}")
        worker.take_part(run, self.pools[process], party, notes)  # pyrefly: ignore[bad-argument-type]

    def _crew(self) -> Any:
        if self.case.hosts == 1:
            return Alone(self.store, self.pools[0], "simulated")  # pyrefly: ignore[bad-argument-type]
        return _CountingLeader(self, self._party(0))

    def _party(self, process: int) -> Party:
        return Party(Board(self.service, process), self.case.hosts, math.inf, math.inf)

    # --- why lanes are free ---------------------------------------------------------------------------------

    def wanting(self) -> Iterator[tuple[str, int]]:
        """Fits that lanes could train if nothing held them back, by what does."""
        yield ledgers.OWN, self.service.unclaimed + (self.pools[0].waiting if self.case.hosts == 1 else 0)
        trials, asked = self.run_config.search.trials, self.background.asked
        held = dict.fromkeys((ledgers.LEADER, ledgers.PROPOSALS, ledgers.ROUND), 0)
        held[ledgers.LEADER] = self.submitted - self.service.published
        for study in self.studies:
            known, inner = self.store.asked[study.outer], len(study.inner)
            if study.outer in asked:
                ready, size = asked[study.outer]
                held[ledgers.LEADER if ready <= self.clock.now else ledgers.PROPOSALS] += size * inner
            elif known < trials and not self.store.missing[study.outer]:
                rounds = cohorts.of(self.run_config.search)
                size = len(rounds.numbers(rounds.ends.index(known) + 1)) if known else rounds.ends[0]
                held[ledgers.LEADER] += size * inner
            else:
                held[ledgers.ROUND] += (trials - known) * inner
        yield from held.items()

    # --- what is replaced -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def in_place(self) -> Generator[None]:
        """Puts virtual time and proposals in their places, and reads each message once for all hosts."""
        fits: dict[int, Any] = {}
        buckets: dict[str, Any] = {}
        real_fit, real_build, real_bucket = boards._fit, registry.build, lane_buckets.bucket_of

        def fit(value: dict[str, Any]) -> Any:
            return fits.get(id(value)) or fits.setdefault(id(value), real_fit(value))

        def bucket_of(one: Any, table: Any) -> Any:
            return buckets.get(one.id) or buckets.setdefault(one.id, real_bucket(one, table))

        def build(name: str, setting: Any) -> Any:
            return Learning(setting) if registry.looks_at_scores(name) else real_build(name, setting)

        replaced: list[tuple[Any, str, Any]] = [
            (conduct, "Background", lambda: self.background),
            (registry, "build", build),
            (boards, "json", SimpleNamespace(loads=functools.cache(json.loads), dumps=json.dumps)),
            (boards, "_fit", fit),
            (lane_buckets, "bucket_of", bucket_of),
            (crew, "Ledger", Notes),
            (leader, "Ledger", Notes),
            (conduct, "time", self._time(self.clock.sleep)),
            (crew, "time", self._time(self.clock.sleep)),
            (leader, "time", self._time(self.clock.sleep)),
            (worker, "time", self._time(self.service.rest)),
        ]
        with contextlib.ExitStack() as stack:
            for where, name, value in replaced:
                stack.enter_context(mock.patch.object(where, name, value))
            yield

    def _time(self, sleep: Any) -> Any:
        return SimpleNamespace(sleep=sleep, monotonic=lambda: self.clock.now, strftime=time.strftime)


class _CountingLeader(Leader):
    """Counts what it is given."""

    def __init__(self, world: World, party: Party):
        super().__init__(world.store, world.pools[0], party, "simulated")  # pyrefly: ignore[bad-argument-type]
        self._world = world

    @property
    def lanes(self) -> tuple[int, int]:
        """See Leader."""
        busy, lanes = super().lanes
        return busy, self._world.ledger.lanes if self._world.case.known_lanes else lanes

    def submit(self, fits: Any) -> None:
        """See Leader."""
        self._world.submitted += len(fits)
        super().submit(fits)
