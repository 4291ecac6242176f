"""The model of lanes: against a plain loop, Graham's bound, schedules by hand and the lane pool."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.protocol.plan.pool_model import Job, Lanes, ModelPool
from nachos_jax.protocol.plan.schedule import longest_chain, simulate
from tests import tiny


class SlowLanes:
    """The same rules, epoch after epoch, with nothing clever: for chains that share no fit."""

    def __init__(self, jobs, chains, lanes: Lanes, lag: int = 0):
        self.jobs, self.lanes, self.lag = jobs, lanes, lag
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
            ahead = chain[: 1 + self.lag] if len(chain) == 1 else chain[:-1][: 1 + self.lag]
            for name in itertools.chain(*ahead):
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


@given(JOBS, LANES)
def test_a_leap_is_as_many_single_steps_of_which_the_last_alone_may_end_fits(jobs, lanes):
    leaping, stepping = ModelPool(lanes), ModelPool(lanes)
    for pool in (leaping, stepping):
        pool.submit(enumerate(jobs))
    while leaping.busy or leaping.waiting:
        ended, found = leaping.step(leap=True), []
        while stepping.steps < leaping.steps:
            assert not found
            found = stepping.step()
        left = leaping.busy + leaping.waiting
        assert (ended, leaping.time, left) == (found, stepping.time, stepping.busy + stepping.waiting)


@given(JOBS, LANES, st.integers(0, 3), st.data())
def test_one_study_with_rounds_takes_what_a_plain_loop_takes(jobs, lanes, lag, data):
    named = dict(enumerate(jobs))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(jobs)), max_size=3)))
    chain = [list(named)[a:b] for a, b in itertools.pairwise([0, *cuts, len(jobs)])]
    schedule = simulate(named, [chain], lanes, lag)
    slow = SlowLanes(named, [chain], lanes, lag)
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


def test_with_a_lag_rounds_overlap_but_what_follows_the_search_waits():
    jobs = {name: Job(epochs) for name, epochs in {"a": 4, "b": 1, "c": 3, "d": 2, "end": 1}.items()}
    chains = [[["a", "b"], ["c"], ["d"], ["end"]]]
    # Two lanes without a lag: a 0-4, b 0-1, c 4-7, d 7-9, end 9-10.
    assert simulate(jobs, chains, Lanes(2, 1)).time == longest_chain(jobs, chains) == 10
    # With one: c 1-4 beside a; d waits for a and b alone, 4-6; end waits for all, 6-7.
    assert simulate(jobs, chains, Lanes(2, 1), lag=1).time == 7
    assert longest_chain(jobs, chains, lag=1) == 7
    # With two, and lanes enough, nothing waits but the end: a 0-4, end 4-5.
    assert simulate(jobs, chains, Lanes(4, 1), lag=2).time == longest_chain(jobs, chains, lag=2) == 5


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


@pytest.mark.thorough
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
