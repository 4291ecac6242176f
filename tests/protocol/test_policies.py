"""Whole studies under search policies: the same after kills, blind to the test fold, the winner in full."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from nachos_jax.config.parsing import POLICY
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run import door
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime.stopping import StoppedError
from nachos_jax.search import registry
from nachos_jax.search.policies.registry import POLICIES
from tests import tiny
from tests.protocol.test_kill import records
from tests.protocol.test_leak import OUTER, seen_from_inside, spoilt

SHORT = sorted(set(POLICIES) - {"full"})


def configured(policy: str, **changes) -> RunConfig:
    return tiny.run_config(
        search__policy=policy,
        search__trials=7,
        training__epochs=9,
        training__patience=4,
        engine__lanes=4,
        **changes,
    )


def interrupted(
    run: RunConfig,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    every: int,
    outer: list[int] | None = None,
) -> int:
    """Runs until all is done, stopped after every so many steps of the lanes; returns how often."""
    from nachos_jax.protocol.crew import crew

    count = stops = 0

    def stop(pool):
        nonlocal count
        count += 1
        if count % every == 0:
            pool.save(all_lanes=True)
            raise StoppedError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(crew, "stop_if_asked", stop)
        while True:
            try:
                evaluate(run, str(workdir), outer, tiny.cohort(), quiet=True)
            except StoppedError:
                stops += 1
            else:
                return stops


RACES = ["race-fitted", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("race", "race-short"))]


@pytest.mark.thorough
@pytest.mark.parametrize("policy", [*RACES, "hyperband"])
def test_a_run_that_is_stopped_again_and_again_ends_with_the_same_bytes(policy, tmp_path, monkeypatch):
    run = configured(policy)
    evaluate(run, str(tmp_path / "calm"), None, tiny.cohort(), quiet=True)
    assert interrupted(run, tmp_path / "stopped", monkeypatch, every=5) >= 3
    assert records(tmp_path / "stopped") == records(tmp_path / "calm")
    assert not (tmp_path / "stopped/checkpoints").exists()


@pytest.mark.thorough
@pytest.mark.parametrize("policy", RACES)
def test_a_race_on_eight_devices_is_that_on_one(policy, tmp_path, monkeypatch):
    """Lanes differ in number and in what they hold beside a fit; trials, fits, choices and bytes do not."""
    run, devices, told = configured(policy), jax.local_devices(), {}
    for number in (8, 1):
        monkeypatch.setattr(jax, "local_devices", lambda number=number: devices[:number])
        workdir = tmp_path / f"{number}"
        evaluate(run, str(workdir), None, tiny.cohort(), quiet=True)
        (session,) = RunDirectory(workdir).sessions()
        assert len(session["devices"]) == number
        told[number] = records(workdir)
    assert len(told[1]) > 50
    assert told[8] == told[1]


@pytest.fixture(scope="module")
def without(tmp_path_factory) -> RunDirectory:
    """The study of an outer fold in which every trial is trained to its end."""
    workdir = tmp_path_factory.mktemp("full")
    full = tiny.run_config(search__trials=7, training__epochs=9, training__patience=4, engine__lanes=4)
    evaluate(full, str(workdir), [OUTER], tiny.cohort(), quiet=True)
    return RunDirectory(workdir)


@pytest.mark.thorough
@pytest.mark.parametrize("policy", SHORT)
def test_the_selected_trial_is_trained_as_without_a_policy(policy, without, tmp_path):
    run = configured(policy)
    evaluate(run, str(tmp_path), [OUTER], tiny.cohort(), quiet=True)
    outcome = RunDirectory(tmp_path).outcome(OUTER)
    assert outcome is not None
    fits = {record.fit: record for record in RunDirectory(tmp_path).fits()}
    whole = without.outcome(OUTER)
    assert whole is not None
    chosen = outcome.selected
    assert outcome.scores[chosen] == whole.scores[chosen]
    if policy == "race-fitted":  # only a first fold is asked for both of its studies
        assert sum(len(fits[fit].curves) > 1 for fit in outcome.fits[chosen]) <= 1
    else:
        assert outcome.fits[chosen] == whole.fits[chosen]
    assert {score.status for score in outcome.scores} <= {"done", "stopped"}
    spent = sum(fits[fit].epochs for ids in outcome.fits for fit in ids)
    assert spent < sum(r.epochs for r in without.fits() if r.curves)


@pytest.mark.parametrize("policy", RACES)
def test_nothing_of_a_test_fold_reaches_its_race(policy, tmp_path):
    run = configured(policy, data__equal_images="accept", training__class_weight_exponent=1.0)
    clean = tiny.cohort("float32")
    evaluate(run, str(tmp_path / "clean"), [OUTER], clean, quiet=True)
    with pytest.raises(UsageError, match="could not be finished"):
        evaluate(run, str(tmp_path / "spoilt"), None, spoilt(clean), quiet=True)
    assert seen_from_inside(tmp_path / "clean") == seen_from_inside(tmp_path / "spoilt")


@pytest.mark.thorough
def test_a_run_that_raced_by_default_goes_on_with_its_race(tmp_path):
    """The default of today is another; a config that leaves the policy open takes that of the directory."""
    begun, left_open = configured("race"), configured("")
    assert left_open.search.policy == POLICY != "race"
    evaluate(begun, str(tmp_path / "one"), [0, 1], tiny.cohort(), quiet=True)
    evaluate(begun, str(tmp_path / "two"), [0], tiny.cohort(), quiet=True)
    run = evaluate(left_open, str(tmp_path / "two"), [0, 1], tiny.cohort(), quiet=True)
    assert run.config.search.policy == "race"
    assert records(tmp_path / "two") == records(tmp_path / "one")
    with pytest.raises(UsageError, match=f"search.policy: 'race' -> '{POLICY}'"):
        evaluate(configured(POLICY), str(tmp_path / "two"), None, tiny.cohort(), quiet=True)


def test_the_flat_protocol_refuses_policies(tmp_path):
    run = configured("race", protocol="flat", training__early_stopping=False)
    with pytest.raises(UsageError, match=r"config\.search\.policy = 'race' gives trials up"):
        evaluate(run, str(tmp_path), None, tiny.cohort(), quiet=True)


@pytest.mark.thorough
def test_a_searcher_hears_the_same_after_stops_and_what_is_expected_of_trials_that_left(
    tmp_path, monkeypatch
):
    build, heard = registry.build, {}

    class Listening:
        def __init__(self, setting):
            self._drawn = build("random", setting)

        def ask(self, count, history):
            heard.setdefault(len(history), []).append(tuple(history))
            return self._drawn.ask(count, history)

    run = configured("race", search__initial=3, search__proposals=2, search__lag=1)
    monkeypatch.setattr(registry, "looks_at_scores", lambda _: True)
    monkeypatch.setattr(registry, "build", lambda _, setting: Listening(setting))
    monkeypatch.setattr(door, "check_config", lambda _: None)
    evaluate(run, str(tmp_path / "calm"), [OUTER], tiny.cohort(), quiet=True)
    calm = {number: told for number, (told,) in heard.items()}
    assert sorted(calm) == [0, 3, 5], "three trials, then two and two"
    assert all(one.score is None for one in calm[3]), "with a lag of one nothing is known yet"
    assert all(one.score is not None for one in calm[5][:3])
    assert any(one.error > 0 for one in calm[5][:3]), "a trial has left, and its score is expected"
    assert all(one.score is None for one in calm[5][3:])
    assert interrupted(run, tmp_path / "stopped", monkeypatch, every=4, outer=[OUTER]) > 2
    assert all(told == calm[number] for number, all_told in heard.items() for told in all_told)
    assert records(tmp_path / "stopped") == records(tmp_path / "calm")
