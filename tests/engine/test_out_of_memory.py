"""A device with less memory than wanted, from the beginning or in the middle, costs lanes and no results."""

from __future__ import annotations

import dataclasses
import functools
import gc
import weakref

import jax
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit
from nachos_jax.engine import bucket_lanes, memory, program, resident
from nachos_jax.engine.hosted import lanes as hosted
from nachos_jax.engine.inputs import InputMaker
from nachos_jax.engine.resume import Checkpoints
from tests import tiny, vectors
from tests.inputs import dense
from tests.tiers import mostly_thorough


@pytest.fixture(scope="module")
def cohort():
    return tiny.cohort()


@pytest.mark.thorough
def test_memory_decides_the_number_of_lanes(cohort, monkeypatch):
    run = tiny.run_config(engine__lanes=6, engine__packing="vmap")
    _, _, roomy = tiny.train([tiny.fit(run)], run, cohort)
    assert roomy.lanes == 6
    used = []
    real = resident.Resident.compile

    def spy(*arguments):
        result = real(*arguments)
        used.append(result[1])
        return result

    monkeypatch.setattr(resident.Resident, "compile", spy)
    tiny.train([tiny.fit(run)], run, cohort)
    monkeypatch.setattr(memory, "allowance", lambda *_: dense(cohort).nbytes + 4 * tiny.CASES + used[0] // 2)
    monkeypatch.setattr(memory, "stays", lambda *_: True)
    records, _, tight = tiny.train([tiny.fit(run)], run, cohort)
    assert 1 <= tight.lanes < 6
    assert len(records) == 1


class Exhausted:
    """A program that runs out of memory when its epochs reach the number given, and destroys its state."""

    def __init__(self, monkeypatch, at: int, keeps_state: bool = False):
        self.epochs, self.at, self.keeps_state = 0, at, keeps_state
        self.real = resident.Resident.compile
        monkeypatch.setattr(resident.Resident, "compile", lambda *arguments: self.compile(*arguments))

    def compile(self, *arguments):
        made, used = self.real(*arguments)
        return dataclasses.replace(made, epoch=functools.partial(self.epoch, made.epoch)), used

    def epoch(self, real, state, told):
        self.epochs += 1
        if self.epochs == self.at:
            if not self.keeps_state:
                jax.tree.map(lambda leaf: leaf.delete(), state)
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")
        return real(state, told)


@mostly_thorough(
    ("at", "keeps_state", "saved"),
    [(3, False, False), (1, False, False), (3, True, False), (3, False, True)],
    kept=1,
)
def test_out_of_memory_halves_the_lanes_and_loses_nothing(
    cohort, tmp_path, monkeypatch, caplog, keeps_state, at, saved
):
    run = tiny.run_config(
        engine__lanes=4,
        training__epochs=4,
        training__patience=4,
        engine__checkpoint_epochs=1,
        engine__checkpoint_seconds=0.0,
    )
    fits = tiny.some_fits(run)[:6]
    calm, _, _ = tiny.train(fits, run, cohort)
    monkeypatch.undo()
    Exhausted(monkeypatch, at, keeps_state)
    checkpoints = Checkpoints(tmp_path, "only") if saved else None
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, checkpoints, jax.devices()[:1])
    pool.submit(fits)
    records = {}
    while pool.busy or pool.waiting:
        for result in pool.step():
            records[result.record.fit] = result.record
        pool.save()
    pool.close()
    assert records == calm
    assert pool.lanes == 2
    assert caplog.text.count("Out of device memory") == 1
    kept = (at - 1) * 4 if keeps_state or saved else 0
    assert pool.spent.epochs == 6 * 4 + (at - 1) * 4 - kept


@pytest.mark.thorough
def test_a_fit_whose_input_has_no_room_on_the_host_still_waits(cohort, monkeypatch):
    run = tiny.run_config(engine__lanes=4, training__epochs=2, training__patience=2)
    fits, real, made = tiny.some_fits(run)[:4], InputMaker.make, []

    def make(maker, fit, batch_size):
        made.append(fit.id)
        if len(made) == 3:
            raise MemoryError
        return real(maker, fit, batch_size)

    calm, _, _ = tiny.train(fits, run, cohort)
    monkeypatch.setattr(InputMaker, "make", make)
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, None, jax.devices()[:1])
    pool.submit(fits)
    made.clear()  # compiling has made one, for its shapes
    records = {}
    while pool.busy or pool.waiting:
        for result in pool.step():
            records[result.record.fit] = result.record
    assert records == calm
    assert pool.lanes == 2


@pytest.mark.thorough
def test_a_lane_lets_go_of_the_input_of_a_fit_that_has_ended(monkeypatch):
    made, real = [], InputMaker.make

    def make(maker, fit, batch_size):
        told = real(maker, fit, batch_size)
        made.append(weakref.ref(told.training))
        return told

    cohort, run = tiny.cohort(), tiny.run_config(engine__lanes=2, training__epochs=1, training__patience=1)
    monkeypatch.setattr(InputMaker, "make", make)
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, None, jax.devices()[:1])
    pool.submit(tiny.some_fits(run)[:2])
    while pool.busy or pool.waiting:
        pool.step()
    gc.collect(1)
    assert len(made) >= 2
    assert all(training() is None for training in made)


class Unreadable:
    """An array of an accelerator whose computation ran out of memory after it was asked for."""

    def is_deleted(self) -> bool:
        return False

    def __array__(self, *_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory, told late.")


@pytest.mark.thorough
def test_out_of_memory_that_shows_when_results_are_read(cohort, monkeypatch):
    run = tiny.run_config(
        engine__lanes=4,
        training__epochs=4,
        training__patience=4,
        engine__checkpoint_epochs=1,
        engine__checkpoint_seconds=0.0,
    )
    fits = tiny.some_fits(run)[:4]
    calm, _, _ = tiny.train(fits, run, cohort)
    broken = Exhausted(monkeypatch, at=-1)

    def late(real, state, told):
        broken.epochs += 1
        state, output = real(state, told)
        if broken.epochs == 3:
            return jax.tree.map(lambda _: Unreadable(), (state, output))
        return state, output

    broken.epoch = late
    records, _, pool = tiny.train(fits, run, cohort)
    assert records == calm
    assert pool.lanes == 2


@pytest.mark.thorough
def test_out_of_memory_while_resumed_fits_take_lanes_keeps_their_own_state(cohort, tmp_path, monkeypatch):
    run = tiny.run_config(
        engine__lanes=2,
        training__epochs=4,
        training__patience=4,
        engine__checkpoint_epochs=1,
        engine__checkpoint_seconds=0.0,
    )
    before, resumed = tiny.some_fits(run)[:2], tiny.some_fits(run)[2:4]
    calm, _, _ = tiny.train(resumed, run, cohort)
    first = tiny.LanePool(cohort, tiny.folds(cohort), run, Checkpoints(tmp_path, "first"), jax.devices()[:1])
    first.submit(resumed)
    first.step()
    first.save()
    first.close()
    calls, place = [], program.place

    def failing(told, mesh):
        calls.append(told)
        if len(calls) == 5:  # the lanes of `before` are free again, and still hold its weights
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")
        return place(told, mesh)

    monkeypatch.setattr(bucket_lanes, "place", failing)
    records, _, pool = tiny.train(
        [*before, *resumed], run, cohort, checkpoints=Checkpoints(tmp_path, "second")
    )
    assert {fit.id: records[fit.id] for fit in resumed} == calm
    assert pool.lanes == 1
    assert pool.spent.epochs == 2 * 4 + 2 * 3, "the epoch that was saved is not trained again"


@mostly_thorough("name", ["_payload", "_observe", "_pause"], kept=1)
def test_out_of_memory_while_results_are_made_loses_and_doubles_none(cohort, monkeypatch, name):
    run = tiny.run_config(engine__lanes=4, training__epochs=3, training__patience=3)
    fits = [tiny.fit(run, (0,), epochs=2, learning_rate=rate) for rate in (0.01, 0.02, 0.03)]
    calm, files, _ = tiny.train(fits, run, cohort)
    real, calls = getattr(bucket_lanes.BucketLanes, name), []

    def failing(*arguments):
        calls.append(name)
        if len(calls) == 2:
            raise MemoryError
        return real(*arguments)

    monkeypatch.setattr(bucket_lanes.BucketLanes, name, failing)
    records, again, pool = tiny.train(fits, run, cohort)
    assert records == calm
    assert again == files
    assert pool.lanes == 2


def _needs(run, cohort, fits):
    """State and epoch bytes of each bucket, which are compiled and forgotten."""
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, None, jax.devices()[:1])
    pool.submit(fits)
    return list(pool._turns._needs.values())


def test_buckets_that_have_no_room_beside_each_other_go_one_after_the_other(cohort, monkeypatch):
    run = tiny.run_config(engine__lanes=2, training__epochs=2, training__patience=2)
    fits = [tiny.fit(run, pair, batch_size=size) for pair in ((0, 1), (0, 2)) for size in (8, 16)]
    calm, _, _ = tiny.train(fits, run, cohort)
    needs, ended = _needs(run, cohort, fits), []
    assert all(one.state for one in needs)
    room = max(one.state + one.epoch for one in needs)
    monkeypatch.setattr("nachos_jax.engine.compiler.BucketCompiler.room", room)
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, None, jax.devices()[:1])
    pool.submit(fits)
    while pool.busy or pool.waiting:
        ended += [result.record for result in pool.step()]
        assert sum(lanes.begun for lanes in pool._buckets.values()) <= 1
    assert {record.fit: record for record in ended} == calm
    assert pool.lanes == 2, "each bucket has the lanes that it would have alone"


def test_a_bucket_that_runs_out_of_memory_beside_another_keeps_its_lanes_and_goes_on_alone(
    cohort, tmp_path, monkeypatch, caplog
):
    run = tiny.run_config(
        engine__lanes=2, training__epochs=3, training__patience=3, engine__checkpoint_epochs=1000
    )
    fits = [tiny.fit(run, pair, batch_size=size) for pair in ((0, 1), (0, 2)) for size in (8, 16)]
    calm, _, _ = tiny.train(fits, run, cohort)
    Exhausted(monkeypatch, 4, keeps_state=True)
    first = tiny.LanePool(cohort, tiny.folds(cohort), run, Checkpoints(tmp_path, "first"), jax.devices()[:1])
    first.submit(fits)
    for _ in range(4):
        assert not first.step()
    assert "2 lanes a device go on once other networks rest" in caplog.text
    first.save(all_lanes=True)  # a signal: the bucket that waits has been saved before
    first.close()
    records, _, pool = tiny.train(fits, run, cohort, checkpoints=Checkpoints(tmp_path, "second"))
    assert records == calm
    assert pool.lanes == 2
    assert pool.spent.epochs == 4 * 3 - 2 * 2 - 2 * 1


def test_out_of_memory_with_one_lane_says_what_to_do(cohort, monkeypatch):
    run = tiny.run_config(engine__lanes=1)
    Exhausted(monkeypatch, 1)
    with pytest.raises(UsageError, match="single lane: lower training.batch_size"):
        tiny.train([tiny.fit(run)], run, cohort)


def test_other_errors_of_jax_are_not_taken_for_memory(cohort, monkeypatch):
    run = tiny.run_config(engine__lanes=2)
    real = resident.Resident.compile

    def failing(*arguments):
        made, used = real(*arguments)

        def epoch(*_):
            raise jax.errors.JaxRuntimeError("INTERNAL: something else")

        return dataclasses.replace(made, epoch=epoch), used

    monkeypatch.setattr(resident.Resident, "compile", failing)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        tiny.train([tiny.fit(run)], run, cohort)


def test_an_estimator_that_runs_out_of_memory_is_no_matter_of_lanes(monkeypatch):
    """Fewer processes would not help one of them, and it has no batch to make smaller."""
    cohort, run = vectors.cohort(), vectors.run_config("random_forest", engine__lanes=2)

    def epoch(self):
        raise MemoryError

    monkeypatch.setattr(hosted.HostedLanes, "epoch", epoch)
    with pytest.raises(MemoryError):
        tiny.train([Fit({"architecture": "random_forest"}, (0, 1), 5, run.limit, "cases")], run, cohort)
