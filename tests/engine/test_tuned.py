"""Fine-tuning in lanes: the same weights at step 0 of every fit, a rate for each stage, shared statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load

from nachos_jax.config.run_config import RunConfig
from nachos_jax.core import rng
from nachos_jax.core.types import Fit
from nachos_jax.engine import pretrained as engine
from nachos_jax.engine.buckets import bucket_of
from nachos_jax.engine.program import empty_state
from nachos_jax.engine.resume import Checkpoints
from nachos_jax.models.zoo import registry
from nachos_jax.models.zoo.layers import conv
from nachos_jax.models.zoo.place import reading
from nachos_jax.protocol.plan import memory as plan_memory
from nachos_jax.records import schema
from tests import pretrained, tiny
from tests.inputs import dense

ONE_STEP = {"batch_size": 72, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "learning_rate": 0.1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(registry, "_networks", lambda: {"small": pretrained.SMALL})
    pretrained.write(tmp_path)
    return tmp_path


def rates(run: RunConfig, left_out: tuple[int, ...], epochs: int | None = None, **values: float) -> Fit:
    return tiny.fit(run, left_out, epochs, **{f"tuned.{name}": value for name, value in values.items()})


def weights(payload: dict[str, bytes], group: str = "params/pretrained") -> dict[str, np.ndarray]:
    found = load(payload["weights.safetensors"])
    return {name.removeprefix(f"{group}/"): a for name, a in found.items() if name.startswith(f"{group}/")}


def test_every_fit_starts_from_the_file_and_a_rate_of_0_leaves_it_as_it_is(folder: Path):
    run = pretrained.run_config(folder)
    cohort, given = pretrained.cohort(run), pretrained.arrays()
    kept = [rates(run, (0,), 2, backbone_rate=0.0), rates(run, (1,), 2, backbone_rate=1.0, head_epochs=2)]
    trained = [rates(run, (1,), 2, backbone_rate=1.0), rates(run, (1,), 2, backbone_rate=1.0, head_epochs=1)]
    records, payloads, pool = tiny.train([*kept, *trained], run, cohort)
    assert list(pool.traces.values()) == [1]
    names = (*pretrained.LAST, *pretrained.MIDDLE)
    digest = engine.digest({"pretrained": {name: given[name] for name in names}})
    assert {record.first for record in records.values()} == {digest}
    for fit in kept:
        for name, values in weights(payloads[fit.id]).items():
            np.testing.assert_array_equal(values, given[name], strict=True)
    ends = [weights(payloads[fit.id]) for fit in trained]
    assert all(set(end) == set(names) for end in ends)
    assert all((end[name] != given[name]).any() for end in ends for name in names)
    assert all((ends[0][name] != ends[1][name]).any() for name in names), "one epoch more with the head alone"
    frozen = weights(payloads[trained[0].id], "frozen/frozen")
    assert set(frozen) == {"bn.running_mean", "bn.running_var"}, "the front is no part of any lane"

    # A plan foretells what a lane holds.
    (lanes,) = pool._buckets.values()
    network = plan_memory.network(run, bucket_of(kept[0], run.table), cohort)
    state = empty_state(lanes.program.spec, lanes.program.lanes, lanes.program.mesh)
    sizes = [sum(leaf.nbytes for leaf in jax.tree.leaves(part)) for part in state]
    assert [network.params, network.stats, network.moments] == sizes


def test_other_fits_have_no_such_record():
    run = tiny.run_config()
    fit = tiny.fit(run, (0,), 1)
    record = tiny.train([fit], run, tiny.cohort())[0][fit.id]
    assert "first" not in schema.to_json(record)
    assert not [name for name in fit.hparams if name.startswith("tuned.")]


@pytest.mark.thorough
def test_a_stage_has_a_rate_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch):
    run = pretrained.run_config(folder)
    values = [{"backbone_rate": 1.0}, {"backbone_rate": 0.5, "layer_decay": 0.25}]
    both = [{**ONE_STEP, **{f"tuned.{name}": v for name, v in one.items()}} for one in values]
    fits = [tiny.fit(run, (0,), 1, **one) for one in both]
    streams = rng.streams(fits[0])
    monkeypatch.setattr(rng, "streams", lambda _: streams)  # else they would start from other heads
    _, payloads, _ = tiny.train(fits, run, pretrained.cohort(run))
    given = pretrained.arrays()
    whole, part = (weights(payloads[fit.id]) for fit in fits)
    for names, share in ((pretrained.LAST, 0.5), (pretrained.MIDDLE, 0.5 * 0.25)):
        for name in names:
            moved = whole[name] - given[name]
            assert np.abs(moved).max() > 1e-4
            np.testing.assert_allclose(part[name] - given[name], share * moved, atol=1e-6)
    heads = [weights(payloads[fit.id], "params/head/linear") for fit in fits]
    np.testing.assert_array_equal(heads[0]["kernel"], heads[1]["kernel"])


@pytest.mark.thorough
def test_statistics_of_batch_norm_move_as_in_training(folder: Path):
    run = pretrained.run_config(folder, model__tuned__statistics="trained")
    cohort = pretrained.cohort(run)
    fit = tiny.fit(run, (0,), 1, **ONE_STEP)
    records, payloads, _ = tiny.train([fit], run, cohort)
    given, found = pretrained.arrays(), weights(payloads[fit.id], "stats/statistics")
    x = jnp.asarray(dense(cohort)[tiny.folds(cohort).training((0,))], jnp.float32)
    y = np.asarray(
        conv(reading({name: jnp.asarray(array) for name, array in given.items()}, "lax") / "mid", x, 8, 3, 2)
    ).reshape(-1, 8)
    np.testing.assert_allclose(
        found["bn.running_mean"], 0.9 * given["bn.running_mean"] + 0.1 * y.mean(0), atol=1e-5
    )
    moved = 0.9 * given["bn.running_var"] + 0.1 * y.var(0, ddof=1)
    np.testing.assert_allclose(found["bn.running_var"], moved, rtol=1e-4)
    assert records[fit.id].first
    assert not weights(payloads[fit.id], "frozen/frozen")


@pytest.mark.thorough
def test_neither_devices_nor_neighbours_nor_windows_nor_a_kill_change_a_fit(folder: Path, tmp_path: Path):
    run = pretrained.run_config(folder, engine__lanes=2)
    cohort = pretrained.cohort(run)
    fits = [rates(run, pair, backbone_rate=rate) for pair in ((0, 1), (1, 2)) for rate in (0.1, 1.0)]
    alone = tiny.train(fits, run, cohort)[:2]
    wild: dict[str, Any] = {"learning_rate": 100.0, "weight_decay": 10.0, "tuned.backbone_rate": 100.0}
    broken = tiny.fit(run, (2, 3), **wild)
    spread = tiny.train([broken, *fits], run, cohort, devices=8)[:2]
    assert spread[0][broken.id].status == "diverged"
    for fit in fits:
        assert (spread[0][fit.id], spread[1][fit.id]) == (alone[0][fit.id], alone[1][fit.id])

    streamed = pretrained.run_config(folder, engine__lanes=2, data__residency="stream")
    again, payloads, pool = tiny.train(fits, streamed, cohort)
    assert pool.streams
    for fit in fits:
        assert again[fit.id].first == alone[0][fit.id].first
        losses = [np.asarray(of[fit.id].training_loss, np.float64) for of in (again, alone[0])]
        np.testing.assert_allclose(*losses, rtol=1e-5)

    first = tiny.LanePool(cohort, tiny.folds(cohort), run, Checkpoints(tmp_path, "first"), jax.devices()[:1])
    first.submit(fits)
    first.step()
    first.save(all_lanes=True)
    first.close()
    resumed = tiny.train(fits, run, cohort, checkpoints=Checkpoints(tmp_path, "second"))
    assert resumed[:2] == alone
    assert resumed[2].spent.epochs < sum(record.epochs for record in alone[0].values())
