"""What makes lanes trustworthy: a fit's result depends on the fit alone."""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.core.mesh import by_lane
from nachos_jax.engine import bucket_lanes, lane, memory, program, resident, watch
from nachos_jax.engine.resume import Checkpoints
from nachos_jax.records.schema import Curve
from tests import tiny


@pytest.fixture(scope="module")
def cohort():
    return tiny.cohort()


def some_fits(run):
    pairs = [(0, 1), (0, 2), (1, 2), (1, 3)]
    return [tiny.fit(run, pair, learning_rate=rate) for pair in pairs for rate in (0.01, 0.05)]


def test_one_device_and_eight_give_the_same_records(cohort):
    run = tiny.run_config()
    fits = some_fits(run)
    one, _, _ = tiny.train(fits, run, cohort, devices=1)
    eight, _, pool = tiny.train(fits, run, cohort, devices=8)
    assert pool.lanes == 8
    for fit in fits:
        assert_close(one[fit.id], eight[fit.id])


@pytest.mark.parametrize(("packing", "lanes"), [("vmap", 3), ("map", 3), ("blocks", 6), ("blocks", 5)])
def test_packings_agree(cohort, packing, lanes):
    run = tiny.run_config()
    other = tiny.run_config(engine__packing=packing, engine__lanes=lanes)
    fits = some_fits(run)
    one, _, _ = tiny.train(fits, run, cohort)
    packed, _, _ = tiny.train(fits, other, cohort, devices=2)
    for fit in fits:
        assert_close(one[fit.id], packed[fit.id])


def assert_close(a, b):
    assert a.curves.keys() == b.curves.keys()
    for fold, curve in a.curves.items():
        assert curve.end == b.curves[fold].end
        np.testing.assert_allclose(curve.loss, b.curves[fold].loss, rtol=1e-3)
    np.testing.assert_allclose(a.training_loss, b.training_loss, rtol=1e-3)


@pytest.mark.parametrize("packing", ["vmap", "map", "blocks"])
def test_a_lane_that_meets_nan_leaves_its_neighbours_bit_identical(cohort, packing):
    run = tiny.run_config(engine__packing=packing, engine__lanes=4, model__norm="group")
    fits = some_fits(run)[:3]
    calm = tiny.fit(run, (2, 3), learning_rate=0.02)
    broken = tiny.fit(run, (2, 3), learning_rate=100.0, weight_decay=10.0)
    alone, _, _ = tiny.train([*fits, calm], run, cohort)
    beside, _, _ = tiny.train([*fits, broken], run, cohort)
    assert beside[broken.id].status == "diverged"
    assert {curve.end for curve in beside[broken.id].curves.values()} == {"nan"}
    for fit in fits:
        assert beside[fit.id] == alone[fit.id]


def test_nan_in_one_watched_fold_ends_that_watcher_only():
    clean = tiny.cohort("float32")
    images = np.array(clean.images)
    images[clean.table.folds == 1] = np.nan
    spoilt = dataclasses.replace(clean, images=images)
    run = tiny.run_config()
    fit = tiny.fit(run, (0, 1))
    with_nan = tiny.train([fit], run, spoilt)[0][fit.id]
    without = tiny.train([fit], run, clean)[0][fit.id]
    assert with_nan.curves[1] == Curve((None,), (None,), "nan")
    assert with_nan.curves[0] == without.curves[0]
    assert with_nan.status == "done"


def test_a_shared_pair_gives_what_two_separate_trainings_give(cohort, monkeypatch):
    run = tiny.run_config(training__epochs=9, training__patience=1, training__min_delta=0.03)
    fits = [tiny.fit(run, pair, learning_rate=rate) for pair in ((0, 1), (1, 3)) for rate in (0.05, 0.3)]
    shared, _, _ = tiny.train(fits, run, cohort)
    ends = {(fit.id, fold): len(shared[fit.id].curves[fold].loss) for fit in fits for fold in fit.left_out}
    assert any(ends[fit.id, fit.left_out[0]] != ends[fit.id, fit.left_out[1]] for fit in fits), (
        "no watcher left early"
    )
    whole = watch.begin
    for side in (0, 1):

        def one_watcher(fit, side=side):
            both = whole(fit)
            fold = fit.left_out[side]
            return dataclasses.replace(both, watchers={fold: both.watchers[fold]})

        monkeypatch.setattr(bucket_lanes.watch, "begin", one_watcher)
        alone, _, _ = tiny.train(fits, run, cohort)
        for fit in fits:
            fold = fit.left_out[side]
            assert alone[fit.id].curves == {fold: shared[fit.id].curves[fold]}


def test_one_trace_a_bucket_and_none_on_the_second_round(cohort):
    run = tiny.run_config(training__epochs=2)
    mixed = [
        tiny.fit(run, (0, 1), **{"cnn.width": width, "optimizer": optimizer})
        for width in (4, 6)
        for optimizer in ("sgd", "adam", "adamw")
    ]
    _, _, pool = tiny.train(mixed, run, cohort)
    assert len(pool.traces) == 4, "adam and adamw share a bucket"
    pool.submit([dataclasses.replace(fit, seed=1) for fit in mixed])
    while pool.busy or pool.waiting:
        pool.step()
    assert set(pool.traces.values()) == {1}
    assert pool.spent.compilations == 4


def test_lanes_are_refilled_at_epoch_boundaries(cohort):
    run = tiny.run_config(engine__lanes=2, training__epochs=3, training__patience=3)
    fits = [tiny.fit(run, (0, 1), learning_rate=0.01 * (k + 1)) for k in range(5)]
    records, _, pool = tiny.train(fits, run, cohort)
    assert len(records) == 5
    assert pool.spent.epochs == 15
    assert pool.spent.lane_epochs == 18
    assert pool.spent.occupancy == pytest.approx(15 / 18)


def test_shard_map_gives_what_pmap_of_vmap_gives(cohort):
    run = tiny.run_config(engine__packing="vmap", engine__lanes=2)
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:4])
    fits = some_fits(run)
    pool.submit(fits)
    lanes = next(iter(pool._buckets.values()))
    told = [pool._maker.make(fit, 16) for fit in fits]
    placed, fresh = lanes.program.place(told), jax.device_put(np.ones(8, bool), by_lane(lanes.program.mesh))
    begun = lanes.program.start(lanes.program.empty_state(), placed, fresh)
    host = jax.tree.map(np.array, jax.device_get(begun))
    ours = lanes.program.epoch(begun, placed)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves).reshape(4, 2, *np.shape(leaves[0])), *told)
    state = jax.tree.map(lambda leaf: leaf.reshape(4, 2, *leaf.shape[1:]), host)
    cases = lane.Cases(cohort.images, cohort.table.labels)
    one = functools.partial(lane.epoch, lanes.program.spec)
    old = jax.pmap(jax.vmap(one, in_axes=(None, 0, 0)), in_axes=(None, 0, 0), devices=jax.devices()[:4])
    theirs = old(cases, state, stacked)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, np.reshape(b, np.shape(a)), rtol=1e-5, atol=1e-6)


def test_no_collective_is_compiled_in(cohort):
    run = tiny.run_config(engine__packing="vmap", engine__lanes=2)
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices())
    pool.submit(some_fits(run))
    text = next(iter(pool._buckets.values())).program.epoch.func.as_text()
    assert not [
        word for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute") if word in text
    ]


def test_nothing_is_predicted_outside_of_the_loop_that_may_run_zero_times(cohort):
    run = tiny.run_config(engine__packing="map", engine__convolution="lax")
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1])
    pool.submit([tiny.fit(run)])
    lanes = next(iter(pool._buckets.values()))
    assert lanes.program.spec.predict_batch >= tiny.CASES // 2  # one chunk, which XLA would hoist
    text = lanes.program.epoch.func.as_text()
    assert " convolution(" in text
    assert " convolution(" not in text[text.index("\nENTRY ") :]


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
    monkeypatch.setattr(memory, "allowance", lambda *_: cohort.images.nbytes + 4 * tiny.CASES + used[0] // 2)
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


@pytest.mark.parametrize(
    ("at", "keeps_state", "saved"), [(1, False, False), (3, True, False), (3, False, True), (3, False, False)]
)
def test_out_of_memory_halves_the_lanes_and_loses_nothing(
    cohort, tmp_path, monkeypatch, caplog, keeps_state, at, saved
):
    run = tiny.run_config(engine__lanes=4, training__epochs=4, training__patience=4)
    fits = some_fits(run)[:6]
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


class Unreadable:
    """An array of an accelerator whose computation ran out of memory after it was asked for."""

    def is_deleted(self) -> bool:
        return False

    def __array__(self, *_, **__):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory, told late.")


def test_out_of_memory_that_shows_when_results_are_read(cohort, monkeypatch):
    run = tiny.run_config(engine__lanes=4, training__epochs=4, training__patience=4)
    fits = some_fits(run)[:4]
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


def test_out_of_memory_while_resumed_fits_take_lanes_keeps_their_own_state(cohort, tmp_path, monkeypatch):
    run = tiny.run_config(engine__lanes=2, training__epochs=4, training__patience=4)
    before, resumed = some_fits(run)[:2], some_fits(run)[2:4]
    calm, _, _ = tiny.train(resumed, run, cohort)
    first = tiny.LanePool(cohort, tiny.folds(cohort), run, Checkpoints(tmp_path, "first"), jax.devices()[:1])
    first.submit(resumed)
    first.step()
    first.save()
    first.close()
    calls, place = [], program.LaneProgram.place

    def failing(self, told):
        calls.append(self)
        if len(calls) == 5:  # the lanes of `before` are free again, and still hold its weights
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")
        return place(self, told)

    monkeypatch.setattr(program.LaneProgram, "place", failing)
    records, _, pool = tiny.train(
        [*before, *resumed], run, cohort, checkpoints=Checkpoints(tmp_path, "second")
    )
    assert {fit.id: records[fit.id] for fit in resumed} == calm
    assert pool.lanes == 1
    assert pool.spent.epochs == 2 * 4 + 2 * 3, "the epoch that was saved is not trained again"


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


def test_fits_spread_over_devices_before_they_share_one(cohort):
    run = tiny.run_config(engine__lanes=3)
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:4])
    pool.submit(some_fits(run)[:4])
    pool.step()
    lanes = next(iter(pool._buckets.values()))
    by_device = np.asarray([p is not None for p in lanes._progress]).reshape(4, 3).sum(axis=1)
    assert by_device.tolist() == [1, 1, 1, 1]


def test_full_buckets_go_first_and_small_ones_at_the_end(cohort):
    run = tiny.run_config(engine__lanes=2, training__epochs=2, training__patience=2)
    small = [tiny.fit(run, (0, 1), **{"cnn.width": 6})]
    large = [tiny.fit(run, (0, 1), learning_rate=0.01 * (k + 1)) for k in range(4)]
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1])
    pool.submit([*small, *large])
    ended = []
    while pool.busy or pool.waiting:
        ended += [result.record.hparams["cnn.width"] for result in pool.step()]
    assert ended == [4, 4, 4, 4, 6]
    assert pool.spent.occupancy == 10 / 12


def test_running_lanes_resume_bit_for_bit_from_their_checkpoint(cohort, tmp_path):
    run = tiny.run_config(engine__lanes=2, training__epochs=6, training__patience=6)
    fits = some_fits(run)[:3]
    undisturbed, _, _ = tiny.train(fits, run, cohort)
    first = tiny.LanePool(cohort, tiny.folds(cohort), run, Checkpoints(tmp_path, "first"), jax.devices()[:1])
    first.submit(fits)
    for _ in range(3):
        assert not first.step()
        first.save()
    first.close()
    second, _, pool = tiny.train(fits, run, cohort, devices=2, checkpoints=Checkpoints(tmp_path, "second"))
    assert pool.spent.epochs == 3 * 6 - 2 * 3, "two lanes had done three epochs each"
    for fit in fits:
        assert second[fit.id] == undisturbed[fit.id]


def test_an_unreadable_checkpoint_costs_epochs_not_results(cohort, tmp_path, caplog):
    run = tiny.run_config()
    fit = tiny.fit(run)
    first = tiny.LanePool(cohort, tiny.folds(cohort), run, Checkpoints(tmp_path, "first"), jax.devices()[:1])
    first.submit([fit])
    first.step()
    first.save()
    first.close()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.write_bytes(b"torn")
    records, _, _ = tiny.train([fit], run, cohort, checkpoints=Checkpoints(tmp_path, "second"))
    assert records == tiny.train([fit], run, cohort)[0]
    assert "unreadable" in caplog.text


def test_bfloat16_and_augmentation_train(cohort):
    strengths = {"rotation": 10.0, "shift": 0.1, "noise": 0.1, "flip_horizontal": 0.5}
    changes = {f"augmentation__{name}": value for name, value in strengths.items()}
    run = tiny.run_config(training__precision="bfloat16", training__dropout=0.2, **changes)
    assert run.augmentations == frozenset(strengths)
    fit = tiny.fit(run)
    record = tiny.train([fit], run, cohort)[0][fit.id]
    assert all(math.isfinite(loss) for loss in record.training_loss if loss is not None)
    assert record.status == "done"


def test_a_refit_predicts_its_fold_once_after_its_last_epoch(cohort, monkeypatch):
    predicted = []
    place = program.LaneProgram.place

    def spy(self, told):
        predicted.append(int(told[0].n_held))
        return place(self, told)

    monkeypatch.setattr(program.LaneProgram, "place", spy)
    run = tiny.run_config()
    tiny.train([tiny.fit(run, (2,), epochs=3)], run, cohort)
    assert predicted == [0, 0, int((cohort.table.folds == 2).sum())]
