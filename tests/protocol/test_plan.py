"""The plan of a run: seconds from schedule and speed, room for lanes, and the words for all that."""

from __future__ import annotations

import dataclasses

import pytest

from nachos_jax.cli import plan_text
from nachos_jax.protocol.plan import plan
from nachos_jax.protocol.plan.measured import Measured, Speed
from tests import tiny
from tests.protocol.plan_cases import facts_of, folds_of


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
    measured = Measured(pair=(2,), both=(2,), one=(1,), last=(3,))
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
    measured = Measured(pair=(2, 3), both=(2, 3), one=(1, 2, 3, 3), last=(2,))
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
