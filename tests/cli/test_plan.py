"""`nachos plan`: it tells what a run takes, writes nothing, and trains only when asked to measure."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nachos_jax.engine.pool import LanePool
from nachos_jax.engine.resident import Resident
from nachos_jax.records.store import RunDirectory
from tests.cli.conftest import said
from tests.tiers import mostly_thorough


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def planned(*words: str) -> list[str]:
    """Lines of a plan of the study, their columns apart by one blank."""
    code, out, err = said("plan", "--config=study.py", *words)
    assert (code, err) == (0, "")
    return [" ".join(line.split()) for line in out.splitlines()]


@pytest.fixture
def untouched(here: Path):
    """The folder of the study, in which nothing may change."""
    before = files(here)
    yield here
    assert files(here) == before


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it an error to compile a bucket or to open lanes."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plan without --measure and --compile must stay light")

    monkeypatch.setattr(LanePool, "__init__", refuse)
    monkeypatch.setattr(Resident, "__init__", refuse)


def test_a_plan_without_a_run(untouched: Path, light: None):
    lines = planned()
    assert "90 cases, 2 classes, 8 x 8 x 1 pixels as uint8; 3 of 3 outer folds" in lines
    assert "search fits without pair reuse 12" in lines
    assert "search fits with pair reuse 6" in lines
    assert "refits 3" in lines
    assert "search fits of the deployment 6" in lines
    assert "epochs of evaluate, at most 18" in lines
    rows = [line.split() for line in lines if line.startswith(("evaluate ", "deploy "))]
    assert [row[:3] for row in rows] == [
        [command, str(devices), str(devices)] for command in ("evaluate", "deploy") for devices in (1, 8, 32)
    ]
    assert {row[-1] for row in rows} == {"unknown"}
    assert any(line.startswith("unknown until an epoch was measured") for line in lines)
    assert any(line.startswith("policy race-fitted: all figures here are without it") for line in lines)
    full = planned("--config.search.policy=full")
    assert full == [line for line in lines if not line.startswith("policy race-fitted")]


def test_a_plan_tells_the_rounds_of_proposals_and_what_they_wait_for(untouched: Path, light: None):
    def rounds(*words: str) -> str:
        (told,) = [
            line for line in planned("--config.search.trials=12", *words) if "rounds of trials" in line
        ]
        return told.removeprefix("rounds of trials: ")

    ax = ("--config.search.searcher=ax", "--config.search.initial=5")
    waiting = "a round waits for all before it, and sees their scores (config.search.lag = 0)"
    assert rounds(*ax, "--config.search.proposals=3") == (
        f"5, then 2 of 3, then 1 (config.search.proposals = 3); {waiting}"
    )
    an_eighth = "an eighth of what follows the first round, on any number of lanes"
    assert rounds(*ax, "--config.search.proposals=0", "--config.search.lag=1") == (
        f"5, then 7 of 1 (config.search.proposals = 0, {an_eighth}); a round does not wait for the one "
        "before it, and sees no score of what it did not wait for (config.search.lag = 1)"
    )
    assert "does not wait for the 3 before it" in rounds(*ax, "--config.search.lag=3")
    assert rounds("--config.search.searcher=sobol", "--config.search.lag=1") == (
        "12; sobol looks at no scores, so none waits for another"
    )


def test_a_lag_shortens_what_waits(untouched: Path, light: None):
    def epochs(lag: int) -> int:
        words = ("searcher=ax", "initial=5", "proposals=1", "trials=12", f"lag={lag}")
        flags = [f"--config.search.{word}" for word in words]
        (row,) = [line for line in planned(*flags, "--devices=32") if line.startswith("evaluate 32 ")]
        return int(row.split()[3].replace(",", ""))

    assert epochs(0) > epochs(1) >= epochs(3)


def test_a_plan_of_the_flat_protocol(untouched: Path, light: None):
    lines = planned("--config.protocol=flat", "--config.training.early_stopping=false")
    assert "90 cases, 2 classes, 8 x 8 x 1 pixels as uint8; 3 folds, flat" in lines
    assert "search fits 6" in lines
    assert "epochs of evaluate, at most 12" in lines
    assert not [line for line in lines if line.startswith(("refits", "pair reuse", "outer folds"))]


def test_a_plan_from_the_records_of_a_run(untouched: Path, finished: Path, light: None):
    lines = planned("--workdir=finished", "--devices=1,2", "--outer_folds=0")
    stores = [RunDirectory(finished, task) for task in ("evaluate", "deploy")]
    sessions = [session for store in stores for session in store.sessions()]
    epochs = sum(session["epochs"] for session in sessions)
    seconds = sum(s["train_seconds"] * len(s["devices"]) for s in sessions) / epochs
    (told,) = [line for line in lines if line.startswith("a lane-epoch takes")]
    assert told.startswith(f"a lane-epoch takes {seconds:.3g} s of a device")
    assert f"{epochs:,} lane-epochs" in told
    assert "search fits with pair reuse 4" in lines
    assert "refits 1" in lines
    assert "outer folds: all 3 take 9 fits, the 1 planned 5, one alone 5" in lines
    rows = [line for line in lines if line.startswith("evaluate ")]
    assert len(rows) == 2
    assert not any("unknown" in row for row in rows)


def test_lanes_can_be_set(untouched: Path, light: None):
    lines = planned("--devices=2", "--lanes=5", "--config.engine.packing=vmap")
    assert any(line.startswith("evaluate 2 10 ") for line in lines)
    assert any("5 in step" in line for line in lines)


def test_measuring_trains_and_keeps_nothing(untouched: Path):
    lines = planned("--measure=1", "--devices=1")
    assert any("timed here, lanes on each of" in line for line in lines)
    (row,) = [line for line in lines if line.startswith("evaluate ")]
    assert "unknown" not in row


@pytest.mark.thorough
def test_compiling_tells_the_memory_of_a_bucket(untouched: Path):
    lines = planned("--compile=1", "--lanes=2", "--config.engine.packing=map", "--devices=1")
    (told,) = [line for line in lines if line.startswith("compiled in")]
    assert re.search(r"2 lanes and their program take [\d,.]+ (KiB|MiB) beside the cases", told)


@mostly_thorough(
    ("words", "told"),
    [
        (("--devices=0,2",), "--devices=0,2: must be at least 1"),
        (("--devices=many",), "--devices=many: must be whole numbers"),
        (("--lanes=0",), "--lanes=0: must be at least 1"),
        (("--lanes=x",), "--lanes=x: must be a whole number"),
        (("--measure=0",), "--measure=0: must be at least 1"),
        (("--compile=-1",), "--compile=-1: must be a whole number"),
        (("--outer_folds=7",), "--outer_folds=7: outer folds are numbered 0 to 2"),
        (
            ("--config.protocol=flat", "--config.training.early_stopping=false", "--outer_folds=1"),
            "no outer folds",
        ),
        (("--config.search.trials=0",), "config.search.trials"),
        (("--workdirr=x",), "did you mean --workdir?"),
    ],
    kept=4,
)
def test_mistakes_are_refused(
    untouched: Path, refused: Callable[..., str], words: tuple[str, ...], told: str
):
    assert told in refused("plan", "--config=study.py", *words)


def test_a_directory_of_another_run_is_refused(untouched: Path, finished: Path, refused: Callable[..., str]):
    words = ("--workdir=finished", "--config.training.epochs=3")
    assert "holds a run with another config" in refused("plan", "--config=study.py", *words)


def test_a_copied_run_without_sessions_has_no_speed(here: Path, finished: Path, tmp_path: Path, light: None):
    shutil.copytree(finished, tmp_path / "copy")
    for task in ("evaluate", "deploy"):
        shutil.rmtree(tmp_path / "copy" / "records" / task / "sessions")
    lines = planned(f"--workdir={tmp_path / 'copy'}", "--devices=1")
    assert any(line.startswith("unknown until an epoch was measured") for line in lines)
    assert any(line.startswith("epochs of evaluate, expected") for line in lines)


def test_help_names_the_flags():
    code, out, err = said("plan", "--help")
    assert (code, err) == (0, "")
    for flag in ("config", "workdir", "outer_folds", "devices", "lanes", "measure", "compile"):
        assert f"--{flag}=" in out
    assert "Traceback" not in out
