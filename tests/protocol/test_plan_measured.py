"""What a plan reads from the records of a run: lengths of fits, and time a lane-epoch."""

from __future__ import annotations

from typing import Any

import jax

from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.plan import fits as plan_fits
from nachos_jax.protocol.plan import measured as plan_measured
from nachos_jax.protocol.plan import plan
from nachos_jax.protocol.plan.measured import Measured
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.records.schema import Curve, FitRecord
from nachos_jax.records.store import RunDirectory
from tests import tiny
from tests.protocol.plan_cases import facts_of, folds_of


def record(left_out, epochs, watched, fit="f") -> FitRecord:
    curves = {fold: Curve((1.0,) * n, (0.5,) * n, "patience") for fold, n in watched.items()}
    return FitRecord(fit, left_out, {}, 9, "done", epochs, 5, (1.0,) * epochs, curves)


def test_lengths_are_read_from_curves():
    records = [record((0, 1), 6, {0: 4, 1: 6}), record((2,), 3, {2: 3}), record((0,), 5, {})]
    assert plan_measured.lengths(records) == Measured(pair=(6,), both=(6,), one=(4, 6, 3), last=(5,))
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
    run = tiny.run_config(search__searcher="bohb", search__trials=4, search__initial=2, search__proposals=1)
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
