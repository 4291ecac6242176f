"""Memory in a plan: against what the engine holds, puts on a device and compiles."""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.engine import inputs, memory, program, tuning
from nachos_jax.engine.buckets import bucket_of
from nachos_jax.engine.pool import LanePool
from nachos_jax.engine.program import empty_state
from nachos_jax.protocol.plan import fits as plan_fits
from nachos_jax.protocol.plan import measured as plan_measured
from nachos_jax.protocol.plan import memory as plan_memory
from nachos_jax.protocol.plan.memory import Device
from nachos_jax.protocol.run.configure import checked
from nachos_jax.protocol.run.opening import Run, open_run
from tests import masks, programs, tiny, vectors
from tests.protocol.plan_cases import GIGABYTE
from tests.tiers import mostly_thorough


def test_the_state_of_a_lane_is_that_of_a_trained_one():
    run = tiny.run_config()
    fit = tiny.fit(run, (0,), 1)
    network = plan_memory.network(run, bucket_of(fit, run.table), tiny.cohort())
    records, _, pool = tiny.train([fit], run, tiny.cohort())
    (lanes,) = pool._buckets.values()
    state = empty_state(lanes.program.spec, lanes.program.lanes, lanes.program.mesh)
    sizes = [sum(leaf.nbytes for leaf in jax.tree.leaves(part)) for part in state]
    assert [network.params, network.stats, network.moments] == sizes
    assert network.parameters == records[fit.id].parameters
    assert network.state == sum(sizes)


def test_adam_holds_two_moments_and_counts_its_steps():
    run = tiny.run_config()
    network = plan_memory.network(run, bucket_of(tiny.fit(run, optimizer="adamw"), run.table), tiny.cohort())
    assert network.moments == 2 * network.params + 4


def test_a_lane_of_the_default_optimiser_holds_each_parameter_twice():
    run = tiny.run_config()
    network = plan_memory.network(
        run, plan_fits.bucket_for(run, plan_fits.drawn_trials(run)[0]), tiny.cohort()
    )
    # 3 x 3 convolution to 4 channels with scale and shift, then a linear layer to 3 classes.
    assert network.parameters == 9 * 4 + 2 * 4 + 4 * 3 + 3
    assert network.params == network.moments == 4 * network.parameters


@pytest.mark.parametrize("residency", ["resident", "stream"])
@pytest.mark.parametrize("window", [96, 40])
def test_cases_take_what_the_engine_puts_on_a_device(residency, window):
    run, cohort = tiny.run_config(data__residency=residency, data__window=window), tiny.cohort()
    pool = LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1])
    found = plan_memory.cases_memory(run, cohort, GIGABYTE)
    assert found.streams == pool.streams == (residency == "stream")
    assert found.nbytes == pool._compiler({})._source.nbytes
    assert found.windows == math.ceil(96 / window)


def test_the_room_of_held_cases_is_the_lane_pools(monkeypatch):
    run, cohort = tiny.run_config(), tiny.cohort()
    folds = tiny.folds(cohort)
    sizes = [folds.cases(fold).sum() for fold in folds.numbers()]
    most = max(a + b for a, b in itertools.combinations(sizes, 2))
    for batch, expected in ((256, most), (20, 20 * math.ceil(most / 20))):
        monkeypatch.setattr(inputs, "PREDICT_BATCH", batch)
        pool = LanePool(cohort, folds, run, devices=jax.devices()[:1])
        assert inputs.held_room(folds) == pool._compiler({}).maker.held_size == expected


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
    assert plan_memory.in_step(run, platform, lanes, tiny.cohort()) == expected


def test_estimators_are_fitted_each_by_a_process_of_its_own():
    run = vectors.run_config("random_forest", engine__packing="auto")
    assert plan_memory.in_step(run, "gpu", 16, vectors.cohort()) == 1


def test_lanes_in_step_follow_from_what_the_network_is_given():
    cohort = masks.cohort()
    whole, slices = (
        checked(masks.config(task__segmentation__patch_depth=side, engine__packing="auto")) for side in (8, 1)
    )
    in_step = [plan_memory.in_step(run, "gpu", 8, cohort) for run in (whole, slices)]
    tables = (
        tuning.candidates("gpu", "auto", "custom", (8, 8, 8, 1)),
        tuning.candidates("gpu", "auto", "custom"),
    )
    assert in_step == [program.in_step(choices[0].packing, 8) for choices in tables]
    assert in_step[0] != in_step[1]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["classes", "masks"])
def test_lanes_and_cases_take_what_the_compiler_says_that_they_take(kind, monkeypatch):
    """What is foretold from shapes, against XLA's own account of the arguments of the compiled epoch."""
    changes = {"engine__lanes": 2, "engine__packing": "map"}
    if kind == "masks":
        run, cohort = checked(masks.config(**changes)), masks.cohort()
    else:
        run, cohort = tiny.run_config(**changes), tiny.cohort()
    told = []

    def account(compiled: Any) -> int:
        told.append(compiled.memory_analysis().argument_size_in_bytes)
        return program.program_bytes(compiled)

    monkeypatch.setattr("nachos_jax.engine.resident.program_bytes", account)
    monkeypatch.setattr(programs, "_known", {})  # what another test compiled is not weighed again
    pool = LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1])
    bucket = plan_fits.bucket_for(run, plan_fits.drawn_trials(run)[0])
    pool.weigh(bucket)
    state = 2 * plan_memory.network(run, bucket, cohort).state
    cases = plan_memory.cases_memory(run, cohort, GIGABYTE).nbytes
    # What a lane is told (rows, settings, random keys) comes on top.
    assert cases == pytest.approx(pool._compiler({})._source.nbytes, abs=len(cohort.table))
    assert state + cases <= told[0] <= 1.05 * (state + cases) + 2 * 20 * len(cohort.table)


def opened(tmp_path, **changes: Any) -> Run:
    return open_run(tiny.run_config(**changes), str(tmp_path / "run"), "evaluate", tiny.cohort())


@mostly_thorough("residency", ["resident", "stream"], kept=("resident",))
def test_compiling_tells_the_bytes_and_the_lanes_that_fit(tmp_path, residency, monkeypatch):
    run = opened(tmp_path, data__residency=residency)
    bucket = plan_fits.bucket_for(run.config, plan_fits.drawn_trials(run.config)[0])

    def compiled(lanes: int, allowed: int) -> plan_memory.Compiled:
        monkeypatch.setattr(memory, "allowance", lambda *_: allowed)
        (found,) = plan_memory.compiled(run, [bucket], lanes)
        return found

    found = compiled(2, GIGABYTE)
    assert found.lanes == 2
    assert found.used > 2 * plan_memory.network(run.config, bucket, run.cohort).state, "a program needs more"
    cases = plan_memory.cases_memory(run.config, run.cohort, GIGABYTE).nbytes
    fewer = compiled(2, cases + found.used - 1)
    assert fewer.lanes == 1
    assert fewer.used < found.used
    with pytest.raises(UsageError, match="One lane needs"):
        compiled(1, cases + 1)
    assert not (tmp_path / "run").exists()


def test_timing_fills_the_lanes_and_writes_nothing(tmp_path, monkeypatch):
    run, pools = opened(tmp_path), []
    step = LanePool.step
    monkeypatch.setattr(
        LanePool, "step", lambda self: (pools.append((self.busy, self.waiting)), step(self))[1]
    )
    timed = plan_memory.timed(run, plan_fits.drawn_trials(run.config), 2, 2)
    total = 2 * len(jax.devices())
    assert [busy + waiting for busy, waiting in pools] == [total] * 3, "one epoch to warm up, two timed"
    assert timed.lanes == 2
    assert timed.seconds > 0
    assert not (tmp_path / "run").exists()
    speed = plan_measured.speed_here(timed, Device("x", "cpu", 8, 1), run.folds, 2)
    assert (speed.cases, speed.epochs, speed.platform) == (48, 2 * 2 * 8, "cpu")


@pytest.mark.thorough
def test_what_is_solved_is_timed_by_fits_of_the_trials_and_not_by_epochs_without_work(monkeypatch, tmp_path):
    config, trained = vectors.run_config(search__trials=2), []
    run = open_run(config, str(tmp_path / "run"), "evaluate", vectors.cohort())
    step = LanePool.step

    def noted(self: LanePool) -> Any:
        ended = step(self)
        trained.append([result.record.hparams["linear.c"] for result in ended])
        return ended

    monkeypatch.setattr(LanePool, "step", noted)
    timed = plan_memory.timed(run, plan_fits.drawn_trials(run.config), 2, 1)
    assert list(map(len, trained)) == [len(jax.devices())] * 3, "every lane solves a fit in each epoch"
    drawn = {trial["linear.c"] for trial in plan_fits.drawn_trials(run.config)}
    assert len(drawn) == 2
    assert all(set(epoch) == drawn for epoch in trained)
    assert timed.seconds > 0


def test_what_is_solved_has_a_program_of_its_own_for_fits_on_all_cases(tmp_path):
    run = open_run(vectors.run_config(), str(tmp_path / "run"), "evaluate", vectors.cohort())
    bucket = plan_fits.bucket_for(run.config, plan_fits.drawn_trials(run.config)[0])
    found = plan_fits.programs(run.config, run.folds, run.folds.numbers(), bucket)
    trial = plan_fits.drawn_trials(run.config)[0]
    assert found == [plan_fits.bucket_for(run.config, trial, left_out) for left_out in ((0, 1), ())]
    assert found[0] == plan_fits.bucket_for(run.config, trial, (0,))
    fewer, whole = (one.used for one in plan_memory.compiled(run, found, 1))
    assert fewer < whole, "the more training cases, the larger"


def test_what_trains_in_steps_has_one_program():
    run = tiny.run_config()
    bucket = plan_fits.bucket_for(run, plan_fits.drawn_trials(run)[0])
    folds = tiny.folds(tiny.cohort())
    assert plan_fits.programs(run, folds, folds.numbers(), bucket) == [bucket]
