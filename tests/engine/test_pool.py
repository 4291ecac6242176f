"""What makes lanes trustworthy: a fit's result depends on the fit alone."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.core.types import EpochLimit
from nachos_jax.data.store import Dense
from nachos_jax.engine import bucket_lanes, lane, tuning
from nachos_jax.engine.program import empty_state, place
from nachos_jax.engine.resume import Checkpoints
from nachos_jax.engine.schedule import fallen_to
from nachos_jax.records import checkpoint
from nachos_jax.records.schema import Curve
from nachos_jax.runtime.mesh import by_lane
from nachos_jax.tasks.task import Cases
from tests import tiny
from tests.inputs import dense
from tests.tiers import mostly_thorough


@pytest.fixture(scope="module")
def cohort():
    return tiny.cohort()


def test_one_device_and_eight_give_the_same_records(cohort):
    run = tiny.run_config()
    fits = tiny.some_fits(run)
    one, _, _ = tiny.train(fits, run, cohort, devices=1)
    eight, _, pool = tiny.train(fits, run, cohort, devices=8)
    assert pool.lanes == 8
    for fit in fits:
        assert_close(one[fit.id], eight[fit.id])


@pytest.mark.parametrize(
    ("packing", "lanes"),
    [
        ("vmap", 3),
        pytest.param("map", 3, marks=pytest.mark.thorough),
        pytest.param("blocks", 6, marks=pytest.mark.thorough),
        pytest.param("blocks", 5, marks=pytest.mark.thorough),
    ],
)
def test_packings_agree(cohort, packing, lanes):
    run = tiny.run_config()
    other = tiny.run_config(engine__packing=packing, engine__lanes=lanes)
    fits = tiny.some_fits(run)
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


@mostly_thorough("packing", ["blocks", "vmap", "map"], kept=1)
def test_a_lane_that_meets_nan_leaves_its_neighbours_bit_identical(cohort, packing):
    run = tiny.run_config(engine__packing=packing, engine__lanes=4, model__norm="group")
    fits = tiny.some_fits(run)[:3]
    calm = tiny.fit(run, (2, 3), learning_rate=0.02)
    broken = tiny.fit(run, (2, 3), learning_rate=100.0, weight_decay=10.0)
    alone, _, _ = tiny.train([*fits, calm], run, cohort)
    beside, _, _ = tiny.train([*fits, broken], run, cohort)
    assert beside[broken.id].status == "diverged"
    assert {curve.end for curve in beside[broken.id].curves.values()} == {"nan"}
    for fit in fits:
        assert beside[fit.id] == alone[fit.id]


@pytest.mark.thorough
def test_nan_in_one_watched_fold_ends_that_watcher_only():
    clean = tiny.cohort("float32")
    images = np.array(dense(clean))
    images[clean.table.folds == 1] = np.nan
    spoilt = dataclasses.replace(clean, store=Dense(images))
    run = tiny.run_config()
    fit = tiny.fit(run, (0, 1))
    with_nan = tiny.train([fit], run, spoilt)[0][fit.id]
    without = tiny.train([fit], run, clean)[0][fit.id]
    assert with_nan.curves[1] == Curve((None,), (None,), "nan")
    assert with_nan.curves[0] == without.curves[0]
    assert with_nan.status == "done"


@pytest.mark.parametrize(
    ("packing", "devices"), [("map", 1), pytest.param("vmap", 3, marks=pytest.mark.thorough)]
)
def test_a_fit_asked_about_both_folds_gives_what_two_fits_asked_about_one_give(cohort, packing, devices):
    run = tiny.run_config(engine__packing=packing)
    fits = impatient_fits(run)
    shared, together, _ = tiny.train(fits, run, cohort, devices)
    ends = {(fit.id, fold): len(shared[fit.id].curves[fold].loss) for fit in fits for fold in fit.left_out}
    assert any(ends[fit.id, fit.left_out[0]] != ends[fit.id, fit.left_out[1]] for fit in fits), (
        "no watcher left early"
    )
    for side in (0, 1):
        narrow = {fit.id: dataclasses.replace(fit, asked=(fit.left_out[side],)) for fit in fits}
        alone, own, _ = tiny.train(list(narrow.values()), run, cohort, devices)
        for fit in fits:
            one, fold = narrow[fit.id], fit.left_out[side]
            assert alone[one.id].curves == {fold: shared[fit.id].curves[fold]}
            assert alone[one.id].epochs == ends[fit.id, fold], "no epoch for the fold that is not asked about"
            assert inner(own[one.id]) == {str(fold): inner(together[fit.id])[str(fold)]}


def impatient_fits(run):
    """Fits whose folds are watched for unlike times, by the program of a run of the default epochs."""
    fits = [tiny.fit(run, pair, learning_rate=rate) for pair in ((0, 1), (1, 3)) for rate in (0.05, 0.3)]
    return [dataclasses.replace(fit, limit=EpochLimit(9, 1, 0.03)) for fit in fits]


def inner(payload):
    return {fold: seen.tobytes() for fold, seen in load(payload["inner.safetensors"]).items()}


def test_a_fold_whose_watcher_has_stopped_is_not_predicted_any_more(cohort):
    run = tiny.run_config()
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1])
    pool.submit(impatient_fits(run))
    lanes, counts = next(iter(pool._buckets.values())), set()
    while pool.busy or pool.waiting:
        pool.step()
        told = [lanes._tell(i) for i, progress in enumerate(lanes._progress) if progress is not None]
        watching = [len(progress.watching) for progress in lanes._progress if progress is not None]
        assert [int(one.n_held) for one in told] == [24 * count for count in watching]
        counts |= set(watching)
    assert counts == {1, 2}


@pytest.mark.parametrize(("every", "anew"), [(0, "fits"), (1, "")])
def test_lanes_are_saved_where_checkpoints_are_wanted(cohort, tmp_path, every, anew):
    run, places = tiny.run_config(engine__checkpoint_epochs=every), Checkpoints(tmp_path, "now")
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1], checkpoints=places)
    assert pool.begins_anew == "", "nothing is on its way"
    pool.submit(tiny.some_fits(run)[:1])
    pool.step()
    assert pool.busy
    assert pool.begins_anew == anew


@pytest.mark.parametrize("late", [False, True])
def test_lanes_that_could_not_be_saved_begin_anew(cohort, tmp_path, monkeypatch, caplog, late):
    """Orbax meets a full disk at once, or in the background."""
    run, places = tiny.run_config(engine__checkpoint_epochs=1), Checkpoints(tmp_path, "now")
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1], checkpoints=places)
    full: list[str] = ["late" if late else "at once"]

    def no_space(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    class Writer:
        latest_step = staticmethod(lambda: None)
        begun = False

        def save(self, *_: Any, **__: Any) -> None:
            self.begun = True
            if "at once" in full:
                no_space()

        def wait_until_finished(self) -> None:
            if "late" in full and self.begun:
                no_space()

        def close(self) -> None:
            pass

    def kept(self: checkpoint.LaneCheckpoint) -> Any:
        self._writer = self._writer or Writer()
        return self._writer

    monkeypatch.setattr(checkpoint.LaneCheckpoint, "_open", kept)
    pool.submit(tiny.some_fits(run)[:1])
    pool.step()
    pool.save(all_lanes=True)
    assert "could not be saved" in caplog.text
    assert pool.begins_anew == "unsaved fits"
    full.clear()
    pool.step()
    pool.save(all_lanes=True)
    assert pool.busy
    assert pool.begins_anew == "", "there is space again"
    pool.close()


def test_one_trace_a_bucket_and_none_on_the_second_round(cohort):
    run = tiny.run_config()
    mixed = [tiny.fit(run, (0, 1), optimizer=optimizer) for optimizer in ("sgd", "adam", "adamw")]
    _, _, pool = tiny.train(mixed, run, cohort)
    assert len(pool.traces) == 2, "adam and adamw share a bucket"
    pool.submit([dataclasses.replace(fit, seed=1) for fit in mixed])
    while pool.busy or pool.waiting:
        pool.step()
    assert set(pool.traces.values()) == {1}
    assert pool.spent.compilations == 2


def test_lanes_are_refilled_at_epoch_boundaries(cohort):
    run = tiny.run_config(engine__lanes=2, training__patience=4)
    fits = [tiny.fit(run, (0, 1), learning_rate=0.01 * (k + 1)) for k in range(5)]
    records, _, pool = tiny.train(fits, run, cohort)
    assert len(records) == 5
    assert pool.spent.epochs == 20
    assert pool.spent.lane_epochs == 24
    assert pool.spent.occupancy == pytest.approx(20 / 24)


@pytest.mark.thorough
def test_shard_map_gives_what_pmap_of_vmap_gives(cohort):
    run = tiny.run_config(engine__packing="vmap", engine__lanes=2)
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:4])
    fits = tiny.some_fits(run)
    pool.submit(fits)
    lanes = next(iter(pool._buckets.values()))
    told = [pool._compiler({}).maker.make(fit, 16) for fit in fits]
    placed, fresh = (
        place(told, lanes.program.mesh),
        jax.device_put(np.ones(8, bool), by_lane(lanes.program.mesh)),
    )
    begun = lanes.program.start(
        empty_state(lanes.program.spec, lanes.program.lanes, lanes.program.mesh), placed, fresh
    )
    host = jax.tree.map(np.array, jax.device_get(begun))
    ours = lanes.program.epoch(begun, placed)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves).reshape(4, 2, *np.shape(leaves[0])), *told)
    state = jax.tree.map(lambda leaf: leaf.reshape(4, 2, *leaf.shape[1:]), host)
    shared = lane.Shared(Cases(dense(cohort), cohort.targets.values), {})
    one = functools.partial(lane.epoch, lanes.program.spec)
    old = jax.pmap(jax.vmap(one, in_axes=(None, 0, 0)), in_axes=(None, 0, 0), devices=jax.devices()[:4])
    theirs = old(shared, state, stacked)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, np.reshape(b, np.shape(a)), rtol=1e-5, atol=1e-6)


@pytest.mark.thorough
def test_no_collective_is_compiled_in(cohort):
    run = tiny.run_config(engine__packing="vmap", engine__lanes=2)
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices())
    pool.submit(tiny.some_fits(run))
    text = next(iter(pool._buckets.values())).program.epoch.func.as_text()
    assert not [
        word for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute") if word in text
    ]


@pytest.mark.thorough
def test_nothing_is_predicted_outside_of_the_loop_that_may_run_zero_times(cohort, monkeypatch):
    monkeypatch.setattr(tuning, "_IN_CACHE", 256)
    run = tiny.run_config(engine__packing="map", engine__convolution="lax")
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:1])
    pool.submit([tiny.fit(run)])
    lanes = next(iter(pool._buckets.values()))
    assert lanes.program.spec.predict_batch >= tiny.CASES // 2  # one chunk, which XLA would hoist
    text = lanes.program.epoch.func.as_text()
    assert " convolution(" in text
    assert " convolution(" not in text[text.index("\nENTRY ") :]


@pytest.mark.thorough
def test_fits_spread_over_devices_before_they_share_one(cohort):
    run = tiny.run_config(engine__lanes=3)
    pool = tiny.LanePool(cohort, tiny.folds(cohort), run, devices=jax.devices()[:4])
    pool.submit(tiny.some_fits(run)[:4])
    pool.step()
    lanes = next(iter(pool._buckets.values()))
    by_device = np.asarray([p is not None for p in lanes._progress]).reshape(4, 3).sum(axis=1)
    assert by_device.tolist() == [1, 1, 1, 1]


@pytest.mark.thorough
def test_full_buckets_go_first_and_small_ones_at_the_end(cohort):
    run = tiny.run_config(engine__lanes=2, training__patience=4)
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
    run = tiny.run_config(
        engine__lanes=2, training__patience=4, engine__checkpoint_epochs=1, engine__checkpoint_seconds=0.0
    )
    falling = {"learning_rate": 1e-4, "schedule": "plateau", "plateau_patience": 0, "plateau_factor": 0.01}
    fits = [tiny.fit(run, **falling), *tiny.some_fits(run)[:2]]
    undisturbed, _, _ = tiny.train(fits, run, cohort)
    assert fallen_to(undisturbed[fits[0].id].training_loss[:3], 0.01, 0) < 1  # pyrefly: ignore[bad-argument-type]
    first = tiny.LanePool(cohort, tiny.folds(cohort), run, Checkpoints(tmp_path, "first"), jax.devices()[:1])
    first.submit(fits)
    for _ in range(3):
        assert not first.step()
        first.save()
    first.close()
    second, _, pool = tiny.train(fits, run, cohort, devices=2, checkpoints=Checkpoints(tmp_path, "second"))
    assert pool.spent.epochs == 3 * 4 - 2 * 3, "two lanes had done three epochs each"
    for fit in fits:
        assert second[fit.id] == undisturbed[fit.id]


def test_a_fit_of_fewer_epochs_is_the_beginning_of_a_longer_one(cohort):
    """Whatever the schedule: a refit follows the path that the search saw."""
    run = tiny.run_config(engine__lanes=2, training__learning_rate=0.2)
    (schedules,) = (row.choices for row in run.table if row.name == "schedule")
    pairs = {
        name: [tiny.fit(run, epochs=n, schedule=name, plateau_patience=0, decay=0.1) for n in (2, 4)]
        for name in schedules
    }
    records, _, _ = tiny.train([fit for pair in pairs.values() for fit in pair], run, cohort)
    curves = {name: [records[fit.id].training_loss for fit in pair] for name, pair in pairs.items()}
    for name, (short, long) in curves.items():
        assert short == long[:2], name
    assert len({long for _, long in curves.values()}) >= 4, "only a plateau not yet met is a constant rate"


def test_an_unreadable_checkpoint_costs_epochs_not_results(cohort, tmp_path, caplog):
    run = tiny.run_config(engine__checkpoint_epochs=1, engine__checkpoint_seconds=0.0)
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


@pytest.mark.thorough
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

    def spy(told, mesh):
        predicted.append(int(told[0].n_held))
        return place(told, mesh)

    monkeypatch.setattr(bucket_lanes, "place", spy)
    run = tiny.run_config()
    tiny.train([tiny.fit(run, (2,), epochs=3)], run, cohort)
    assert predicted == [0, 0, int((cohort.table.folds == 2).sum())]
