"""The simulation of many hosts: nothing is lost or busier than possible, and some results by hand."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import threading
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nachos_jax.core.curves import best_epoch
from nachos_jax.core.types import EpochLimit, Fit

FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"

FREE = {"proposal_seconds": 0.0, "message_seconds": 0.0, "service_seconds": 0.0, "text_seconds": 0.0}


def module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.scale.{name}")


def lengths(**changed: Any) -> Any:
    return dataclasses.replace(module("hosts_fits").Lengths(), **changed)


@cache
def courses(told: Any) -> Any:
    return module("hosts_fits").Courses(told)


def launch(told: Any = None, **fields: Any) -> Any:
    simulation, told = module("hosts_simulation"), told or lengths()
    case = simulation.Case(**{"devices": 2, "lanes": 2, "folds": 4, "trials": 5, "initial": 2, **fields})
    return simulation.simulate(case, courses(told), told)


# --- the clock -------------------------------------------------------------------------------------------


def test_processes_wake_in_the_order_of_their_times() -> None:
    seen: list[tuple[str, float]] = []
    clock = module("hosts_clock").Clock(lambda seconds: None)

    def process(name: str, naps: list[float]) -> Any:
        def live() -> None:
            for nap in naps:
                clock.sleep(nap)
                seen.append((name, clock.now))

        return live

    clock.run([process("a", [3.0, 3.0]), process("b", [1.0, 2.0, 4.0])])
    assert seen == [("b", 1.0), ("a", 3.0), ("b", 3.0), ("a", 6.0), ("b", 7.0)]


@settings(max_examples=20)
@given(st.lists(st.lists(st.floats(0, 10), max_size=6), min_size=1, max_size=5))
def test_time_passes_once_for_all(naps: list[list[float]]) -> None:
    passed: list[float] = []
    clock = module("hosts_clock").Clock(passed.append)
    clock.run([lambda own=own: [clock.sleep(nap) for nap in own] for own in naps])
    assert clock.now == pytest.approx(max(math.fsum(own) for own in naps))
    assert math.fsum(passed) == pytest.approx(clock.now)


def test_a_look_comes_at_a_multiple_of_its_interval_after_news() -> None:
    woken: list[float] = []
    clock = module("hosts_clock").Clock(lambda seconds: None)

    def looks() -> None:
        clock.look_again(0.5)
        woken.append(clock.now)

    def tells() -> None:
        clock.sleep(1.7)
        clock.stir()

    clock.run([looks, tells])
    assert woken == [2.0]


def test_an_error_ends_all() -> None:
    clock = module("hosts_clock").Clock(lambda seconds: None)

    def fails() -> None:
        clock.sleep(1.0)
        raise ValueError("told")

    before = threading.active_count()
    with pytest.raises(ValueError, match="told"):
        clock.run([fails, lambda: clock.sleep(5.0), lambda: clock.look_again(1.0)])
    assert threading.active_count() == before


def test_processes_that_all_wait_for_news_are_told_apart_from_an_end() -> None:
    clock = module("hosts_clock").Clock(lambda seconds: None)
    with pytest.raises(RuntimeError, match="wait for each other"):
        clock.run([lambda: clock.look_again(1.0), lambda: clock.sleep(1.0)])


# --- lengths of fits -------------------------------------------------------------------------------------


def test_a_fit_lasts_until_neither_of_its_folds_watches() -> None:
    told = lengths()
    limit = EpochLimit(told.epochs, told.patience)
    record = courses(told).record(Fit({"learning_rate": 0.1}, (0, 1), 0, limit, "cases"))
    for curve in record.curves.values():
        assert len(curve.loss) == min(best_epoch(curve.loss) + told.patience, told.epochs)
    assert record.epochs == max(len(curve.loss) for curve in record.curves.values())


def test_best_epochs_are_those_of_the_distribution() -> None:
    told = lengths(best=tuple(range(1, 42)), epochs=60, patience=60, alike=0.5)
    best: list[int] = []
    for trial in range(200):
        fit = Fit({"learning_rate": 1.0 + trial}, (0, 1), 0, EpochLimit(60, 60), "cases")
        best += [best_epoch(curve.loss) for curve in courses(told).record(fit).curves.values()]
    assert sum(best) / len(best) == pytest.approx(21, abs=2)  # mean of 1 to 41; its standard error is 0.75
    assert {min(best), max(best)} <= {1, 2, 3, 39, 40, 41}


def test_lengths_are_read_from_a_run_directory(tmp_path: Path) -> None:
    folder = tmp_path / "records/evaluate"
    (folder / "fits").mkdir(parents=True)
    (folder / "sessions").mkdir()
    training = {"epochs": 9, "patience": 2, "early_stopping": True}
    (tmp_path / "records/run.json").write_text(json.dumps({"config": {"training": training}}))
    for k, loss in enumerate(([3, 2, 1, 2, 3], [3, 2, 1, 2, 3], [1, 2, 3], [1, 2, 3])):
        curve = {"loss": loss, "score": loss, "end": "patience"}
        fit = {"hparams": {"learning_rate": k // 2}, "curves": {"0": curve}, "epochs": len(loss)}
        (folder / f"fits/{k}.json").write_text(json.dumps(fit))
    (folder / "fits/refit.json").write_text(json.dumps({"hparams": {}, "curves": {}, "epochs": 2}))
    session = {"busy_lane_epochs": 16, "compilations": 2, "compile_seconds": 6.0, "train_seconds": 32.0}
    (folder / "sessions/one.json").write_text(json.dumps({**session, "devices": ["cpu cpu", "cpu cpu"]}))
    (folder / "sessions/killed.json").write_text(json.dumps({"launch": "x"}))
    told = module("hosts_fits").recorded(tmp_path)
    assert (told.epochs, told.patience, told.alike) == (9, 2, 1.0)
    assert (told.best[0], told.best[-1]) == (1, 3)
    assert (told.epoch_seconds, told.compile_seconds) == (4.0, 3.0)


def test_a_run_directory_without_fits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records/run.json").write_text(json.dumps({"config": {"training": {}}}))
    with pytest.raises(SystemExit, match="no search fits"):
        module("hosts_fits").recorded(tmp_path)


# --- launches --------------------------------------------------------------------------------------------


@settings(max_examples=20 if FULLY else 2)
@given(
    hosts=st.integers(1, 5),
    lanes=st.integers(1, 3),
    searcher=st.sampled_from(["ax", "random"]),
    proposals=st.integers(1, 3),
    buckets=st.integers(1, 2),
    lag=st.integers(0, 1),
)
def test_every_lane_second_is_told_and_every_epoch_trained(**fields: Any) -> None:
    outcome = launch(**fields)
    assert math.fsum(outcome.seconds.values()) == pytest.approx(outcome.lanes * outcome.makespan)
    assert outcome.seconds["busy"] == pytest.approx(outcome.epochs * lengths().epoch_seconds)
    assert min(outcome.seconds.values()) >= 0
    assert 0 < outcome.efficiency <= 1


@pytest.mark.parametrize("searcher", [pytest.param("ax", marks=pytest.mark.thorough), "random"])
def test_the_number_of_hosts_changes_no_fit(searcher: str) -> None:
    alone, many = launch(hosts=1, searcher=searcher), launch(hosts=5, searcher=searcher)
    assert (alone.fits, alone.epochs) == (many.fits, many.epochs)
    pairs, trials, own = 6, 5, 3
    assert alone.fits == 4 + (pairs * trials if searcher == "random" else pairs * 2 + 4 * 3 * own)


def test_the_same_launch_twice_is_the_same() -> None:
    assert launch(hosts=3) == launch(hosts=3)


def test_enough_lanes_for_all_fits_take_as_long_as_the_longest_fit_and_the_longest_refit() -> None:
    told = lengths(best=(5.0, 5.0), epoch_seconds=2.0, compile_seconds=3.0)
    outcome = launch(told, hosts=1, lanes=30, searcher="random", **FREE)
    # Process 0 rests for 0.05 s at first, until the trials are proposed.
    assert outcome.makespan == pytest.approx(3.0 + 2.0 * (5 + 20 + 5), abs=0.1)
    assert outcome.efficiency == pytest.approx((30 * 25 + 4 * 5) * 2.0 / (60 * outcome.makespan))


def test_one_lane_is_always_busy_but_for_its_program() -> None:
    told = lengths(compile_seconds=7.0)
    outcome = launch(told, hosts=1, devices=1, lanes=1, searcher="random", **FREE)
    assert outcome.makespan == pytest.approx(7.0 + outcome.epochs * told.epoch_seconds, abs=0.1)
    assert outcome.seconds["start-up"] == pytest.approx(7.0)


@pytest.mark.thorough
def test_more_hosts_are_not_slower() -> None:
    spans = [launch(hosts=count, searcher="random", trials=10, **FREE).makespan for count in (1, 2, 4, 8)]
    assert spans == sorted(spans, reverse=True)
    assert spans[0] > 2 * spans[-1]


@pytest.mark.thorough
def test_waiting_for_proposals_is_told_as_such() -> None:
    quick, slow = launch(hosts=2, proposal_seconds=0.0), launch(hosts=2, proposal_seconds=200.0)
    assert quick.seconds["proposals"] == 0
    assert slow.seconds["proposals"] > 0.1 * slow.lanes * slow.makespan
    assert slow.makespan > quick.makespan


def test_a_random_search_waits_for_no_round_and_a_learning_one_does() -> None:
    assert launch(hosts=2, searcher="random").seconds["round"] == 0
    assert launch(hosts=2, searcher="ax").seconds["round"] > 0


@pytest.mark.thorough
def test_larger_rounds_and_rounds_that_do_not_wait_keep_lanes_busier() -> None:
    small = launch(hosts=2, lanes=8, trials=8, proposals=1).efficiency
    assert launch(hosts=2, lanes=8, trials=8, proposals=3).efficiency > small
    assert launch(hosts=2, lanes=8, trials=8, proposals=1, lag=1).efficiency > small


def test_messages_that_take_time_are_counted() -> None:
    outcome = launch(hosts=3, searcher="random")
    assert outcome.calls["claim"] - outcome.calls["claim refused"] == outcome.fits
    assert outcome.texts > outcome.fits


# --- the script ------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_script_stores_tables_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = module("hosts")
    small = ["--devices=2", "--lanes=1", "--folds=3", "--trials=3", "--hosts=1,2"]
    monkeypatch.setattr(
        "sys.argv", ["benchmarks/scale/hosts.py", f"--out={tmp_path}", "--parts=hosts", *small]
    )
    hosts.main()
    stored = json.loads((tmp_path / "hosts_scaling.json").read_text())
    assert [row[:3] for row in stored["table"]["rows"]] == [
        ["random", "1", "2"],
        ["random", "2", "4"],
        ["ax", "1", "2"],
        ["ax", "2", "4"],
    ]
    assert all(len(row) == len(stored["table"]["columns"]) for row in stored["table"]["rows"])
    assert len(stored["outcomes"]) == 4
    drawn = [path.name for path in sorted(tmp_path.glob("hosts_scaling.*"))]
    assert drawn in (["hosts_scaling.json"], [f"hosts_scaling.{end}" for end in ("json", "png", "svg")])
