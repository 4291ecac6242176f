"""The plan of a run: fits against the protocol's own, the model of lanes against a plain loop, sizes."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.cli import plan_text
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Trial
from nachos_jax.engine import memory
from nachos_jax.engine.buckets import bucket_of
from nachos_jax.engine.pool import LanePool
from nachos_jax.protocol import plan, plan_fits, plan_measured, plan_memory
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.plan_fits import Lengths
from nachos_jax.protocol.plan_measured import Measured, Speed
from nachos_jax.protocol.plan_memory import CasesMemory, Device
from nachos_jax.protocol.rounds import due
from nachos_jax.protocol.run import Run, open_run
from nachos_jax.protocol.schedule_model import Job, Lanes, longest_chain, simulate
from nachos_jax.protocol.study import deployment_study, estimation_studies
from nachos_jax.records.schema import Curve, FitRecord
from nachos_jax.records.store import RunDirectory
from nachos_jax.search import registry as searchers
from nachos_jax.splits.folds import Folds
from tests import tiny

GIGABYTE = 2**30


def folds_of(count: int, repeats: int = 1, cases: int = 60) -> Folds:
    rows = [(np.arange(cases) + r * (np.arange(cases) // count)) % count + r * count for r in range(repeats)]
    return Folds(np.stack(rows), count, repeats)


def facts_of(run, folds: Folds, outer: tuple[int, ...] | None = None, **more: Any) -> plan.Facts:
    buckets = {plan_fits.bucket_for(run, hparams) for hparams in plan_fits.drawn_trials(run)}
    return plan.Facts(
        folds=folds,
        outer=folds.numbers() if outer is None else outer,
        networks=plan_memory.networks(run, buckets, 1, 3),
        cases=CasesMemory(False, 60 * 40, 1),
        device=Device("test", "cpu", 1, GIGABYTE),
        **more,
    )


# --- numbers of fits ------------------------------------------------------------------------------------


def ids_by_the_protocol(run, folds: Folds, outer, meets: bool) -> tuple[set[str], set[str]]:
    """Ids of all search fits and refits, asked for round by round as the conductor does.

    `meets`: whether what a study proposes from its scores is what all others propose.
    """
    search, refits = set(), set()
    drawn = plan_fits.drawn_trials(run)
    for study in estimation_studies(outer, folds, "cases", run):
        asked, trials = 0, []
        while (now := due(run.search, asked, asked)) is not None:
            for number in range(now.start, now.start + now.size):
                hparams = dict(drawn[number])
                if searchers.looks_at_scores(run.search.searcher) and now.start and not meets:
                    hparams["learning_rate"] = 1e-3 * (1 + study.outer)  # type: ignore[operator]
                    hparams["momentum"] = 0.5 + 1e-6 * number
                trials.append(Trial(study.outer, number, hparams, "?"))
            asked = now.start + now.size
        search |= {fit.id for trial in trials for fit in study.search_fits(trial).values()}
        refits.add(study.refit(trials[0], 7).id)
    return search, refits


@pytest.mark.parametrize("searcher", ["ax", "sobol", "random"])
@pytest.mark.parametrize(
    ("count", "repeats", "outer"), [(3, 1, None), (5, 1, (0, 3)), (4, 2, None), (4, 2, (1, 5, 6))]
)
def test_fits_are_those_that_the_studies_ask_for(searcher, count, repeats, outer):
    changes = {"search__searcher": searcher, "search__initial": 3, "search__proposals": 2}
    run, folds = tiny.run_config(search__trials=8, **changes), folds_of(count, repeats)
    outer = folds.numbers() if outer is None else outer
    counts = plan_fits.count(run, folds, outer, 8)
    most, refits = ids_by_the_protocol(run, folds, outer, meets=False)
    fewest, _ = ids_by_the_protocol(run, folds, outer, meets=True)
    assert (counts.most, counts.fewest, counts.refits) == (len(most), len(fewest), len(refits))
    per_study = [len(ids_by_the_protocol(run, folds, [t], meets=False)[0]) for t in outer]
    assert counts.without_reuse == sum(per_study)
    if searcher == "ax" and outer == folds.numbers():
        assert counts.fewest < counts.most < counts.without_reuse


@pytest.mark.parametrize("members", ["one", "folds"])
def test_fits_of_the_deployment_are_those_that_its_study_asks_for(members):
    run, folds = tiny.run_config(search__trials=5, deploy__members=members), folds_of(4, 2)
    study = deployment_study(folds, "cases", run)
    trials = [Trial(None, i, hparams, "?") for i, hparams in enumerate(plan_fits.drawn_trials(run))]
    counts = plan_fits.count(run, folds, folds.numbers(), len(trials))
    assert counts.deploy_search == len(
        {fit.id for trial in trials for fit in study.search_fits(trial).values()}
    )
    assert counts.deploy_networks == (1 if members == "one" else 4)


def test_the_work_holds_the_fits_that_are_counted_and_their_training_cases():
    run = tiny.run_config(search__searcher="ax", search__trials=7, search__initial=3, search__proposals=2)
    folds = folds_of(4)
    studies = estimation_studies(folds.numbers(), folds, "", run)
    work = plan_fits.work(run, folds, studies, Lengths(lambda: 4, lambda: 2))
    counts = plan_fits.count(run, folds, folds.numbers(), 7)
    assert len(work.jobs) == counts.most + counts.refits
    assert work.epochs == 4 * counts.most + 2 * counts.refits
    assert [[len(stage) for stage in chain] for chain in work.chains] == [[9, 6, 6, 1]] * 4
    assert work.cases == 30, "search fits leave two folds of 15 out"
    assert {work.jobs[chain[-1][0]].cost for chain in work.chains} == {45}


def test_a_searcher_that_looks_at_scores_begins_with_the_drawn_trials():
    run = tiny.run_config(search__searcher="ax", search__trials=9, search__initial=4)
    setting = searchers.SearchSetting(
        run.defaults, run.search.space, run.table, run.seed, study=2, initial=run.search.initial
    )
    asked = searchers.build("ax", setting).ask(4, [])
    assert [proposal.hparams for proposal in asked] == plan_fits.drawn_trials(run)[:4]


def test_a_space_that_holds_fewer_trials_than_asked_for():
    space = {f"search__space__{name}": "" for name in ("learning_rate", "momentum", "weight_decay")}
    run = tiny.run_config(search__trials=50, search__space__nesterov="choice(True, False)", **space)
    trials = plan_fits.drawn_trials(run)
    assert len(trials) == 2
    counts = plan.make(run, facts_of(run, folds_of(3)), [1], 1, 1).counts
    assert (counts.trials, counts.most, counts.without_reuse) == (2, 2 * 3, 2 * 6)


# --- buckets --------------------------------------------------------------------------------------------


def test_nothing_static_is_one_bucket():
    run = tiny.run_config()
    trials = plan_fits.drawn_trials(run)
    buckets = plan_fits.split(run, trials)
    assert buckets.split == {}
    assert buckets.possible == 1
    assert buckets.drawn == {buckets.default: len(trials)}


def test_buckets_are_counted_as_a_plain_loop_counts_them():
    """Two batch sizes; optimisers of one family count once; widths only where the architecture has them."""
    run = tiny.run_config(
        search__trials=40,
        search__space__batch_size="choice(8, 16)",
        search__space__optimizer="choice('sgd', 'adam', 'adamw')",
        search__space__architecture="choice('cnn', 'resnet')",
        search__space__cnn__width="integer(4, 6)",
    )
    trials = plan_fits.drawn_trials(run)
    buckets = plan_fits.split(run, trials)
    assert buckets.possible == 2 * 2 * (3 + 1)
    assert set(buckets.split) == {"batch_size", "optimizer", "architecture", "cnn.width"}
    fits = [tiny.fit(run, **dict[str, Any](hparams)) for hparams in trials]
    assert set(buckets.drawn) == {bucket_of(fit, run.table) for fit in fits}
    assert sum(buckets.drawn.values()) == 40
    assert len(buckets.drawn) <= buckets.possible


def test_a_default_outside_the_space_is_a_bucket_of_its_own():
    run = tiny.run_config(search__space__batch_size="choice(8, 12)")  # the default is 16
    assert plan_fits.split(run, plan_fits.drawn_trials(run)).possible == 3


def test_many_buckets_are_not_counted_to_the_end():
    run = tiny.run_config(
        search__space__cnn__width="integer(4, 400)", search__space__batch_size="integer(8, 40)"
    )
    assert plan_fits.split(run, plan_fits.drawn_trials(run)).possible is None


# --- the model of lanes -----------------------------------------------------------------------------------


class SlowLanes:
    """The same rules, epoch after epoch, with nothing clever: for chains that share no fit."""

    def __init__(self, jobs, chains, lanes: Lanes):
        self.jobs, self.lanes = jobs, lanes
        self.left = [[list(stage) for stage in chain] for chain in chains]
        self.asked, self.ended = set(), set()
        self.queues, self.places = {}, {}
        self.time = self.steps = self.turn = 0
        self.ask()
        while any(self.queues[b] or self.running(b) for b in self.queues):
            self.epoch(self.next_bucket())
            self.ask()

    def ask(self):
        for chain in self.left:
            while chain and all(name in self.ended for name in chain[0]):
                chain.pop(0)
            for name in chain[0] if chain else []:
                if name not in self.asked:
                    self.asked.add(name)
                    free = [[None] * self.lanes.lanes for _ in range(self.lanes.devices)]
                    self.queues.setdefault(self.jobs[name].bucket, []).append(name)
                    self.places.setdefault(self.jobs[name].bucket, free)

    def running(self, bucket):
        return [fit for device in self.places[bucket] for fit in device if fit]

    def next_bucket(self):
        names = list(self.queues)
        order = [names[(self.turn + i) % len(names)] for i in range(len(names))]
        work = [b for b in order if self.queues[b] or self.running(b)]
        full = [b for b in work if len(self.queues[b]) + len(self.running(b)) >= self.lanes.total]
        bucket = (full or work)[0]
        self.turn = names.index(bucket) + 1
        return bucket

    def epoch(self, bucket):
        devices = self.places[bucket]
        while self.queues[bucket] and len(self.running(bucket)) < self.lanes.total:
            device = min(devices, key=lambda device: sum(fit is not None for fit in device))
            name = self.queues[bucket].pop(0)
            device[device.index(None)] = [name, self.jobs[name].epochs]
        self.time += max(self.device_time(device) for device in devices)
        self.steps += 1
        for device in devices:
            for i, fit in enumerate(device):
                if fit:
                    fit[1] -= 1
                    if not fit[1]:
                        self.ended.add(fit[0])
                        device[i] = None

    def device_time(self, device):
        costs, block = [self.jobs[fit[0]].cost if fit else 0 for fit in device], self.lanes.in_step
        return sum(block * max(costs[i : i + block]) for i in range(0, len(costs), block))


LANES = st.builds(
    lambda devices, groups, in_step: Lanes(devices, groups * in_step, in_step),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
)
JOBS = st.lists(
    st.builds(Job, st.integers(1, 9), st.integers(1, 3), st.sampled_from("ab")), min_size=1, max_size=14
)


@given(JOBS, LANES)
def test_independent_fits_take_what_a_plain_loop_takes(jobs, lanes):
    named = dict(enumerate(jobs))
    chains = [[list(named)]]
    schedule = simulate(named, chains, lanes)
    slow = SlowLanes(named, chains, lanes)
    assert (schedule.time, schedule.lane_epochs) == (slow.time, slow.steps * lanes.total)


@given(JOBS, LANES, st.data())
def test_one_study_with_rounds_takes_what_a_plain_loop_takes(jobs, lanes, data):
    named = dict(enumerate(jobs))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(jobs)), max_size=3)))
    chain = [list(named)[a:b] for a, b in itertools.pairwise([0, *cuts, len(jobs)])]
    schedule = simulate(named, [chain], lanes)
    slow = SlowLanes(named, [chain], lanes)
    assert (schedule.time, schedule.lane_epochs) == (slow.time, slow.steps * lanes.total)


@st.composite
def works(draw):
    jobs = dict(enumerate(draw(JOBS)))
    stage = st.lists(st.sampled_from(list(jobs)), max_size=5)
    chains = draw(st.lists(st.lists(stage, max_size=4), min_size=1, max_size=4))
    return jobs, chains


@given(works(), LANES)
def test_no_schedule_beats_its_work_or_its_longest_chain(work, lanes):
    jobs, chains = work
    asked = {name for chain in chains for stage in chain for name in stage}
    schedule = simulate(jobs, chains, lanes)
    assert schedule.epochs == sum(jobs[name].epochs for name in asked), "each fit is trained once"
    assert schedule.work == sum(jobs[name].epochs * jobs[name].cost for name in asked)
    assert schedule.time >= schedule.work / lanes.devices
    assert schedule.time >= lanes.in_step * longest_chain(jobs, chains)
    assert schedule.lane_epochs >= schedule.epochs
    assert 0 < schedule.efficiency <= 1
    assert 0 < schedule.occupancy <= 1


@given(st.lists(st.lists(st.lists(st.integers(1, 9), max_size=4), max_size=3), max_size=4), LANES)
def test_lists_are_never_worse_than_graham_says(lengths, lanes):
    """Graham (1966): with m lanes, no more than work / m + (1 - 1 / m) x longest chain, in epochs."""
    jobs, chains = {}, []
    for chain in lengths:
        stages = [[(len(chains), i, j) for j in range(len(stage))] for i, stage in enumerate(chain)]
        jobs |= {name: Job(chain[name[1]][name[2]]) for stage in stages for name in stage}
        chains.append(stages)
    schedule = simulate(jobs, chains, lanes)
    m, longest = lanes.total, longest_chain(jobs, chains)
    assert longest == max((sum(max(stage, default=0) for stage in chain) for chain in lengths), default=0)
    assert schedule.lane_epochs / m <= schedule.epochs / m + (1 - 1 / m) * longest + 1e-9


@given(works())
def test_one_lane_takes_as_long_as_all_fits_one_after_another(work):
    jobs, chains = work
    schedule = simulate(jobs, chains, Lanes(1, 1))
    assert schedule.time == schedule.work
    assert schedule.efficiency == 1


@given(works(), LANES)
def test_a_lane_for_every_fit_of_one_bucket_takes_the_longest_chain(work, lanes):
    jobs, chains = work
    jobs = {name: Job(job.epochs) for name, job in jobs.items()}
    assert simulate(jobs, chains, Lanes(len(jobs), 1)).time == longest_chain(jobs, chains)


def test_schedules_by_hand():
    jobs = {name: Job(epochs) for name, epochs in {"a": 3, "b": 2, "c": 2, "d": 1, "end": 4}.items()}
    chains = [[["a", "b", "c", "d"], ["end"]]]
    # Two lanes: a 0-3, b 0-2, c 2-4, d 3-4, end 4-8.
    assert simulate(jobs, chains, Lanes(2, 1)).time == 8
    assert simulate(jobs, chains, Lanes(2, 1)).efficiency == 12 / 16
    assert simulate(jobs, chains, Lanes(1, 1)).time == 12
    # In turn on one device the second lane costs nothing while it is free; in step it does.
    assert simulate(jobs, chains, Lanes(1, 2, 1)).time == 12
    assert simulate(jobs, chains, Lanes(1, 2, 2)).time == 16
    assert simulate(jobs, chains, Lanes(1, 2, 2)).occupancy == 12 / 16
    assert longest_chain(jobs, chains) == 7


def test_buckets_take_turns_and_full_ones_go_first():
    # Two lanes in step. x has three fits and goes first; y has one and waits until x does not fill its lanes.
    jobs = {1: Job(2, 1, "y"), 2: Job(2, 1, "x"), 3: Job(2, 1, "x"), 4: Job(1, 1, "x")}
    schedule = simulate(jobs, [[[1, 2, 3, 4]]], Lanes(1, 2, 2))
    # x: epochs 1 and 2 full; then y and x in turn: y, x, y.
    assert schedule.lane_epochs == 2 * 5
    assert schedule.time == 10


def test_a_fit_of_two_studies_is_trained_once_and_both_wait_for_it():
    jobs = {"shared": Job(5), "a": Job(1), "b": Job(1), "end a": Job(1), "end b": Job(1)}
    chains = [[["shared", "a"], ["end a"]], [["b", "shared"], ["end b"]]]
    schedule = simulate(jobs, chains, Lanes(4, 1))
    assert (schedule.time, schedule.work) == (6, 9)


def test_costs_of_lanes_in_step_are_those_of_the_slowest():
    jobs = {1: Job(1, 3), 2: Job(1, 5), 3: Job(1, 4)}
    assert simulate(jobs, [[[1, 2, 3]]], Lanes(1, 4, 4)).time == 4 * 5
    assert simulate(jobs, [[[1, 2, 3]]], Lanes(1, 4, 2)).time == 2 * 5 + 2 * 4
    assert simulate(jobs, [[[1, 2, 3]]], Lanes(1, 4, 1)).time == 12
    assert simulate(jobs, [[[1, 2, 3]]], Lanes(3, 1, 1)).time == 5


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, 0, 1), (1, 4, 3)])
def test_lanes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="multiple"):
        Lanes(*wrong)


def test_fits_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Job(0)
    with pytest.raises(KeyError):
        simulate({}, [[["absent"]]], Lanes(1, 1))


def test_the_model_runs_the_epochs_that_the_lane_pool_runs():
    """Two buckets, fits of unequal length, fewer lanes than fits: the lane-epochs that the engine counts."""
    run = tiny.run_config(engine__lanes=2)
    lengths = [(8, 3), (16, 1), (16, 4), (8, 2), (16, 2), (16, 1), (8, 1)]
    fits = [
        tiny.fit(run, (0, 1), epochs, batch_size=size, learning_rate=0.01 + 0.001 * i)
        for i, (size, epochs) in enumerate(lengths)
    ]
    _, _, pool = tiny.train(fits, run, tiny.cohort())
    by_bucket = sorted(range(len(fits)), key=lambda i: lengths[i][0] != lengths[0][0])
    jobs = {i: Job(lengths[i][1], bucket=lengths[i][0]) for i in by_bucket}
    schedule = simulate(jobs, [[by_bucket]], Lanes(1, 2))
    assert (schedule.epochs, schedule.lane_epochs) == (pool.spent.epochs, pool.spent.lane_epochs)


# --- memory -----------------------------------------------------------------------------------------------


def test_the_state_of_a_lane_is_that_of_a_trained_one():
    run = tiny.run_config()
    fit = tiny.fit(run, (0,), 1)
    network = plan_memory.network(run, bucket_of(fit, run.table), 1, 3)
    records, _, pool = tiny.train([fit], run, tiny.cohort())
    (lanes,) = pool._buckets.values()
    state = lanes.program.empty_state()
    sizes = [sum(leaf.nbytes for leaf in jax.tree.leaves(part)) for part in state]
    assert [network.params, network.stats, network.moments] == sizes
    assert network.parameters == records[fit.id].parameters
    assert network.state == sum(sizes)


def test_adam_holds_two_moments_and_counts_its_steps():
    run = tiny.run_config()
    network = plan_memory.network(run, bucket_of(tiny.fit(run, optimizer="adamw"), run.table), 1, 3)
    assert network.moments == 2 * network.params + 4


def test_a_lane_of_the_default_optimiser_holds_each_parameter_twice():
    run = tiny.run_config()
    network = plan_memory.network(run, plan_fits.bucket_for(run, plan_fits.drawn_trials(run)[0]), 1, 3)
    # 3 x 3 convolution to 4 channels with scale and shift, then a linear layer to 3 classes.
    assert network.parameters == 9 * 4 + 2 * 4 + 4 * 3 + 3
    assert network.params == network.moments == 4 * network.parameters


@pytest.mark.parametrize("residency", ["resident", "stream"])
@pytest.mark.parametrize("window", [96, 40])
def test_cases_take_what_the_engine_puts_on_a_device(residency, window):
    run, cohort = tiny.run_config(data__residency=residency, data__window=window), tiny.cohort()
    pool = LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1])
    found = plan_memory.cases_memory(run, cohort.images, GIGABYTE)
    assert found.streams == pool.streams == (residency == "stream")
    assert found.nbytes == pool._compiler._source.nbytes
    assert found.windows == math.ceil(96 / window)


def test_the_room_of_held_cases_is_the_lane_pools(monkeypatch):
    run, cohort = tiny.run_config(), tiny.cohort()
    for batch in (256, 20):
        monkeypatch.setattr("nachos_jax.engine.pool.PREDICT_BATCH", batch)
        monkeypatch.setattr(plan_memory, "PREDICT_BATCH", batch)
        pool = LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1])
        assert plan_memory.held_room(tiny.folds(cohort)) == pool._maker.held_size


@pytest.mark.parametrize(
    ("platform", "packing", "lanes", "expected"),
    [
        ("cpu", "auto", 4, 1),
        ("gpu", "auto", 32, 32),
        ("tpu", "map", 8, 1),
        ("gpu", "blocks", 6, 3),
        ("cpu", "vmap", 4, 4),
    ],
)
def test_lanes_in_step_follow_from_the_packing(platform, packing, lanes, expected):
    run = tiny.run_config(engine__packing=packing)
    assert plan_memory.in_step(run, platform, lanes) == expected


def opened(tmp_path, **changes: Any) -> Run:
    return open_run(tiny.run_config(**changes), str(tmp_path / "run"), "evaluate", tiny.cohort())


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_compiling_tells_the_bytes_and_the_lanes_that_fit(tmp_path, residency):
    run = opened(tmp_path, data__residency=residency)
    bucket = plan_fits.bucket_for(run.config, plan_fits.drawn_trials(run.config)[0])
    device = Device("test", "cpu", len(jax.devices()), GIGABYTE)
    (found,) = plan_memory.compiled(run, [bucket], 2, device)
    assert found.lanes == 2
    assert found.used > 2 * plan_memory.network(run.config, bucket, 1, 3).state, "a program needs more"
    cases = plan_memory.cases_memory(run.config, run.cohort.images, GIGABYTE).nbytes
    tight = dataclasses.replace(device, allowed=cases + found.used - 1)
    (fewer,) = plan_memory.compiled(run, [bucket], 2, tight)
    assert fewer.lanes == 1
    assert fewer.used < found.used
    with pytest.raises(UsageError, match="One lane needs"):
        plan_memory.compiled(run, [bucket], 1, dataclasses.replace(device, allowed=cases + 1))
    assert not (tmp_path / "run").exists()


def test_timing_fills_the_lanes_and_writes_nothing(tmp_path, monkeypatch):
    run, pools = opened(tmp_path), []
    step = LanePool.step
    monkeypatch.setattr(
        LanePool, "step", lambda self: (pools.append((self.busy, self.waiting)), step(self))[1]
    )
    timed = plan_memory.timed(run, plan_fits.drawn_trials(run.config)[0], 2, 2)
    total = 2 * len(jax.devices())
    assert [busy + waiting for busy, waiting in pools] == [total] * 3, "one epoch to warm up, two timed"
    assert timed.lanes == 2
    assert timed.seconds > 0
    assert not (tmp_path / "run").exists()
    speed = plan_measured.speed_here(timed, Device("x", "cpu", 8, 1), run.folds, 2)
    assert (speed.cases, speed.epochs, speed.platform) == (48, 2 * 2 * 8, "cpu")


# --- what a run has measured --------------------------------------------------------------------------------


def record(left_out, epochs, watched, fit="f") -> FitRecord:
    curves = {fold: Curve((1.0,) * n, (0.5,) * n, "patience") for fold, n in watched.items()}
    return FitRecord(fit, left_out, {}, 9, "done", epochs, 5, (1.0,) * epochs, curves)


def test_lengths_are_read_from_curves():
    records = [record((0, 1), 6, {0: 4, 1: 6}), record((2,), 3, {2: 3}), record((0,), 5, {})]
    assert plan_measured.lengths(records) == Measured(pair=(6,), one=(4, 6, 3), last=(5,))
    assert plan_measured.lengths(records[2:]) is None


def session(kind: str, devices: int, seconds: float, epochs: int) -> dict[str, Any]:
    return {
        "devices": [kind] * devices,
        "train_seconds": seconds,
        "epochs": epochs,
        "lane_epochs": 2 * epochs,
        "compilations": 2,
        "compile_seconds": 6.0,
        "tuning_seconds": 2.0,
    }


def test_speed_is_device_time_a_lane_epoch_of_the_kind_that_trained_most():
    folds, killed = folds_of(4), {"started": "x", "launch": "y"}
    records = [record((0, 1), 10, {0: 10, 1: 10}), record((0,), 5, {})]
    sessions = [
        session("cpu a", 2, 30.0, 20),
        session("cpu a", 1, 20.0, 20),
        session("cpu b", 1, 1.0, 30),
        killed,
    ]
    found = plan_measured.speed(sessions, records, folds)
    assert found is not None
    assert found.seconds == (30 * 2 + 20) / 40
    assert found.occupancy == 0.5
    assert found.cases == (10 * 30 + 5 * 45) / 15
    assert found.bucket_seconds == 16 / 4
    assert (found.kind, found.epochs) == ("cpu a", 40)
    assert plan_measured.speed([killed], records, folds) is None
    assert plan_measured.speed(sessions, [], folds) is None


def test_a_finished_run_is_planned_from_its_own_records(tmp_path):
    run = tiny.run_config(search__searcher="ax", search__trials=4, search__initial=2, search__proposals=1)
    folder = str(tmp_path / "run")
    evaluate(run, folder, [0, 1], tiny.cohort(), quiet=True)
    done = open_run(run, folder, "evaluate", tiny.cohort())
    speed, measured = plan_measured.of_run(folder, done.folds)
    assert speed is not None
    assert measured is not None
    store = RunDirectory(folder)
    (spent,) = store.sessions()
    records = list(store.fits())
    assert speed.epochs == sum(r.epochs for r in records) == spent["epochs"]
    counts = plan_fits.count(run, done.folds, (0, 1), 4)
    searched = [r for r in records if r.curves]
    assert counts.fewest <= len(searched) <= counts.most
    assert len(measured.pair) == len(searched)
    assert len(records) - len(searched) == counts.refits
    facts = facts_of(run, done.folds, (0, 1), speed=speed, measured=measured)
    planned = plan.make(run, facts, [1, len(jax.devices())], 1, 1)
    (evaluation, _) = planned.commands
    assert evaluation.expected is not None
    assert evaluation.expected <= evaluation.most
    one, many = (estimate.seconds for estimate in evaluation.estimates)
    assert one is not None
    assert many is not None
    assert many < one


# --- the plan ---------------------------------------------------------------------------------------------


def test_seconds_follow_from_the_schedule_and_the_speed():
    run = tiny.run_config()
    speed = Speed(
        seconds=0.5, occupancy=0.8, cases=30.0, bucket_seconds=10.0, kind="cpu x", epochs=5, source="test"
    )
    planned = plan.make(run, facts_of(run, folds_of(4), speed=speed), [1, 3], 2, 1)
    for command in planned.commands:
        for estimate in command.estimates:
            assert estimate.seconds == pytest.approx(estimate.schedule.time / 30 * 0.5 + 10)
    evaluation = planned.commands[0]
    # 18 search fits on 30 cases and 4 refits on 45, each of 4 epochs, on one device.
    assert evaluation.estimates[0].lane_epochs == 4 * (18 + 4 * 45 / 30)
    assert evaluation.estimates[0].seconds == pytest.approx(0.5 * 4 * (18 + 6) + 10)
    assert evaluation.chain == 4 + 4 * 45 / 30
    (together,) = plan.make(run, facts_of(run, folds_of(4), speed=speed), [1], 2, 2).commands[0].estimates
    assert together.seconds == pytest.approx(together.schedule.time / 30 * 0.5 * 0.8 + 10)


def test_without_a_measured_epoch_no_second_is_told():
    run = tiny.run_config()
    planned = plan.make(run, facts_of(run, folds_of(4)), [1, 8], 2, 2)
    assert {e.seconds for command in planned.commands for e in command.estimates} == {None}
    assert {command.expected for command in planned.commands} == {None}
    text = plan_text.describe(planned, tiny.cohort())
    assert "unknown until an epoch was measured" in text
    assert "early stopping: unknown" in text


def test_measured_lengths_shorten_the_estimate():
    run, folds = tiny.run_config(), folds_of(4)
    measured = Measured(pair=(2,), one=(1,), last=(3,))
    evaluation, deployment = plan.make(run, facts_of(run, folds, measured=measured), [1], 1, 1).commands
    assert (evaluation.most, evaluation.expected) == (4 * (18 + 4), 2 * 18 + 3 * 4)
    assert (deployment.most, deployment.expected) == (4 * (12 + 1), 1 * 12 + 3)
    only_deployed = dataclasses.replace(measured, pair=())
    evaluation, _ = plan.make(run, facts_of(run, folds, measured=only_deployed), [1], 1, 1).commands
    assert evaluation.expected is None


def test_room_is_what_the_cases_leave():
    run = tiny.run_config()
    facts = facts_of(run, folds_of(4))
    (network,) = facts.networks.values()
    tight = dataclasses.replace(facts.device, allowed=facts.cases.nbytes + 3 * network.state + 1)
    assert plan.room(dataclasses.replace(facts, device=tight)) == 3
    full = dataclasses.replace(facts.device, allowed=facts.cases.nbytes - 1)
    assert plan.room(dataclasses.replace(facts, device=full)) == 0


def test_words_tell_the_numbers():
    run = tiny.run_config(search__searcher="ax", search__trials=8, search__initial=3, training__patience=1)
    speed = Speed(
        seconds=0.25, occupancy=0.9, cases=30.0, bucket_seconds=3.0, kind="cpu x", epochs=1234, source="test"
    )
    measured = Measured(pair=(2, 3), one=(1, 2, 3, 3), last=(2,))
    planned = plan.make(run, facts_of(run, folds_of(4), speed=speed, measured=measured), [1, 5], 2, 1)
    text = plan_text.describe(planned, tiny.cohort())
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "search fits without pair reuse 96" in lines
    assert "search fits with pair reuse, at most 78" in lines
    assert "search fits if all proposals met 48" in lines
    assert "refits 4" in lines
    assert any("3 are the same in all studies" in line for line in lines)
    assert any(line.startswith("a lane-epoch takes 0.25 s of a device (cpu x; test, 1,234") for line in lines)
    assert any(line.startswith("early stopping: 38% of the search epochs (2.5 of 4 a fit") for line in lines)
    assert "pair reuse: 19% of the search fits, up to 50% if all proposals met" in lines
    assert "outer folds: all 4 take 82 fits, the 4 planned 82, one alone 25" in lines
    rows = [line.split() for line in lines if line.startswith("evaluate ")]
    assert [row[1:3] for row in rows[:2]] == [["1", "2"], ["5", "10"]]
    assert "nothing that is searched changes shapes" in text
    assert max(map(len, text.splitlines())) <= 160


def test_words_of_a_run_without_early_stopping():
    run = tiny.run_config(training__early_stopping=False)
    text = plan_text.describe(plan.make(run, facts_of(run, folds_of(4)), [1], 1, 1), tiny.cohort())
    assert "early stopping: none, every fit trains 4 epochs" in text


def test_a_table_is_aligned_and_sizes_have_units():
    assert plan_text.table([["a", "1"], ["longer", "22"]]) == ["a        1", "longer  22"]
    assert plan_text.table([["1", "a"], ["22", "b"]], words=1) == [" 1  a", "22  b"]
    assert [plan_text.size(n) for n in (5, 2048, 3 * 2**20, 5 * 2**30, 2**41)] == [
        "5 bytes",
        "2.0 KiB",
        "3.0 MiB",
        "5.0 GiB",
        "2,048.0 GiB",
    ]
    assert plan_text.count(1, "class") == "1 class"
    assert plan_text.count(2, "class") == "2 classes"


# --- the configs of pods ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "devices", "lanes", "state"),
    [
        ("pod_h100x8", 8, 32, "85.3 MiB"),
        ("pod_a100_4x4", 16, 16, "85.3 MiB"),
        ("pod_tpu_v5e16", 16, 16, "21.4 MiB"),
    ],
)
def test_configs_of_pods_say_what_the_plan_says(name, devices, lanes, state):
    from nachos_jax.protocol.configure import checked

    file = importlib.import_module(f"configs.{name}")
    run, folds = checked(file.get_config()), folds_of(10)
    assert run.engine.lanes == lanes
    planned = plan.make(run, facts_of(run, folds), [devices], lanes, lanes)
    counts, buckets = planned.counts, planned.buckets
    network = plan_memory.network(run, buckets.default, 3, 10)
    if run.defaults["resnet.width"] == 64:
        assert network.parameters == 11_173_962, "ResNet-18 with a 3 x 3 stem and ten classes"
    said = " ".join(str(file.__doc__).split())
    assert plan_text.size(network.state) == state
    assert state in said
    assert (buckets.possible, devices * lanes) == (1, 256)
    assert run.search.proposals * counts.inner == 540
    assert "540 fits" in said
    assert (counts.most + counts.refits, counts.without_reuse + counts.refits) == (3790, 4330)
    assert planned.commands[0].estimates[0].schedule.efficiency > 0.9
    few = dataclasses.replace(run, search=dataclasses.replace(run.search, proposals=2))
    assert few.search.proposals * counts.inner < devices * lanes
    assert memory.lanes_to_try("gpu", run.engine.lanes) == lanes
