"""Damaged, foreign or busy run directories and models: refused by one message, and no record is touched."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import arrays
from tests.records import seals

Refused = Callable[..., str]
CONFIG = ("--config=study.py",)


def _first(run: Path, pattern: str) -> Path:
    return sorted(run.glob(f"records/evaluate/{pattern}"))[0]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def _older(run: Path) -> Path:
    """Makes it a run without digests, whose case table is in folds.csv alone; returns that file."""
    (run / "records/cases.json").unlink()
    seals.remove(run)
    return run / "folds.csv"


def _move_a_case(run: Path) -> None:
    """The first case, whose subject has a second one, goes to the next fold."""
    table = _older(run)
    header, row, *rest = table.read_text(encoding="utf-8").splitlines()
    *cells, fold = row.split(",")
    table.write_text("\n".join([header, ",".join([*cells, str((int(fold) + 1) % 3)]), *rest]) + "\n")


def _exchange_folds(run: Path) -> None:
    table = _older(run)
    text = table.read_text(encoding="utf-8").replace(",0\n", ",X\n").replace(",1\n", ",0\n")
    table.write_text(text.replace(",X\n", ",1\n"), encoding="utf-8")


def _edit_a_label(run: Path) -> None:
    table = _older(run)
    table.write_text(table.read_text(encoding="utf-8").replace(",0,", ",1,", 1), encoding="utf-8")


def _a_case_more(run: Path) -> None:
    more: dict[str, Any] = {name: np.concatenate([values, values[-1:]]) for name, values in arrays().items()}
    np.savez(run / "other.npz", **more)


def _other_pixels(run: Path) -> None:
    changed = arrays()
    changed["images"][5] += 1
    np.savez(run / "other.npz", **changed)


DAMAGE: dict[str, tuple[Callable[[Path], Any], tuple[str, ...], tuple[str, ...], list[str]]] = {
    "another config": (
        lambda run: None,
        ("evaluate", "deploy"),
        ("--config.training.epochs=3", "--config.search.searcher=sobol"),
        ["another config", "training.epochs: 2 -> 3", "search.searcher: 'random' -> 'sobol'", "--workdir"],
    ),
    "other pixels": (
        _other_pixels,
        ("evaluate", "deploy"),
        ("--config.data.path=RUN/other.npz",),
        ["cases or folds of", "have changed", "hash", "--workdir"],
    ),
    "subject in two folds": (_move_a_case, ("report",), (), ["folds.csv was edited; delete it and run"]),
    "folds exchanged": (_exchange_folds, ("report",), (), ["folds.csv was edited; delete it and run"]),
    "a label edited": (
        _edit_a_label,
        ("report",),
        (),
        ["other targets", "folds.csv was edited; delete it and run"],
    ),
    "folds of another run": (
        lambda run: _older(run).write_text("case,subject,site,label,fold\nx,s,,0,0\n"),
        ("report",),
        (),
        ["folds.csv was edited; delete it and run"],
    ),
    "a case more, in an older run": (
        lambda run: (_older(run), _a_case_more(run)),
        ("evaluate", "deploy"),
        ("--config.data.path=RUN/other.npz",),
        ["folds.csv lacks 1 of the 91 cases", "Restore it and the data", "--workdir"],
    ),
    "a case more, in an older run without folds.csv": (
        lambda run: (_older(run).unlink(), _a_case_more(run)),
        ("evaluate", "deploy"),
        ("--config.data.path=RUN/other.npz",),
        ["cases or folds of", "have changed", "restore the data", "--workdir"],
    ),
    "binary folds": (
        lambda run: _older(run).write_bytes(bytes(range(256))),
        ("evaluate", "deploy", "status", "report"),
        (),
        ["folds.csv", "is damaged", "delete this file"],
    ),
    "folds lost": (
        lambda run: _older(run).unlink(),
        ("report",),
        (),
        ["folds.csv", "nachos evaluate"],
    ),
    "cases.json cut": (
        lambda run: _cut(run / "records/cases.json"),
        ("evaluate", "deploy", "report"),
        (),
        ["records/cases.json is damaged", "delete this file"],
    ),
    "run.json cut": (
        lambda run: _cut(run / "records/run.json"),
        ("evaluate", "deploy", "status", "report"),
        (),
        ["records/run.json is damaged", "delete this file"],
    ),
    "run.json empty": (
        lambda run: (run / "records/run.json").write_text("{}"),
        ("evaluate", "status", "report"),
        (),
        ["records/run.json is damaged", "config", "delete this file"],
    ),
    "run.json is a list": (
        lambda run: (run / "records/run.json").write_text("[]"),
        ("evaluate", "status", "report"),
        (),
        ["records/run.json is damaged"],
    ),
    "later schema": (
        lambda run: seals.edit(run / "records/run.json", schema=99),
        ("evaluate", "deploy", "status", "report"),
        (),
        ["records/run.json has schema 99", "this version reads 2", "update nachos_jax"],
    ),
    "fit cut": (
        lambda run: _cut(_first(run, "fits/*.json")),
        ("evaluate", "status", "report"),
        (),
        ["records/evaluate/fits/", "is damaged", "delete this file", "all other records stay"],
    ),
    "folds beyond number": (
        lambda run: seals.edit(run / "records/run.json", folds={"count": 10**12, "repeats": 1}),
        ("evaluate", "status", "report"),
        (),
        ["records/run.json is damaged", "folds"],
    ),
    "cases in words": (
        lambda run: seals.edit(run / "records/run.json", n_cases="many"),
        ("evaluate", "status", "report"),
        (),
        ["records/run.json is damaged", "n_cases"],
    ),
    "epochs in words": (
        lambda run: seals.edit(_first(run, "fits/*.json"), epochs="many"),
        ("evaluate", "status", "report"),
        (),
        ["records/evaluate/fits/", "is damaged (epochs = 'many')"],
    ),
    "a trial beyond number": (
        lambda run: seals.edit(_first(run, "studies/fold_00/outcome.json"), selected=10**9),
        ("evaluate", "status", "report"),
        (),
        ["outcome.json is damaged (selected = 1000000000"],
    ),
    "another trial selected": (
        lambda run: seals.change(
            _first(run, "studies/fold_00/outcome.json"),
            lambda told: {**told, "selected": 1 - told["selected"]},
        ),
        ("evaluate", "report"),
        (),
        ["tests/fold_00.json is not of the fit that was selected", "delete this file"],
    ),
    "predictions exchanged": (
        lambda run: seals.change(
            _first(run, "tests/*.json"), lambda told: {**told, "probabilities": told["probabilities"][::-1]}
        ),
        ("report",),
        (),
        ["tests/fold_00.json does not tell what fit", "predicted: delete this file"],
    ),
    "fit of a later version": (
        lambda run: seals.edit(_first(run, "fits/*.json"), watts=300),
        ("evaluate", "status", "report"),
        (),
        ["records/evaluate/fits/", "is damaged", "'watts'"],
    ),
    "trial cut": (
        lambda run: _cut(_first(run, "studies/fold_00/trial_*.json")),
        ("evaluate", "report"),
        (),
        ["studies/fold_00/trial_0000.json is damaged", "delete this file"],
    ),
    "outcome cut": (
        lambda run: _cut(_first(run, "studies/fold_00/outcome.json")),
        ("evaluate", "status", "report"),
        (),
        ["studies/fold_00/outcome.json is damaged", "delete this file"],
    ),
    "test cut": (
        lambda run: _cut(_first(run, "tests/*.json")),
        ("evaluate", "status", "report"),
        (),
        ["tests/fold_00.json is damaged", "delete this file"],
    ),
    "test of other cases": (
        lambda run: seals.change(
            _first(run, "tests/*.json"), lambda v: {**v, "cases": ["x", *v["cases"][1:]]}
        ),
        ("evaluate", "report"),
        (),
        ["outer fold 0", "folds.csv"],
    ),
    "records are a file": (
        lambda run: (shutil.rmtree(run / "records"), (run / "records").write_text("mine")),
        ("evaluate", "status", "report"),
        (),
        ["records"],
    ),
    "run.log is a folder": (
        lambda run: ((run / "run.log").unlink(), (run / "run.log").mkdir()),
        ("evaluate", "deploy"),
        (),
        ["run.log", "cannot be written"],
    ),
}


@pytest.mark.parametrize(
    ("name", "command"),
    [
        pytest.param(
            name, word, marks=[pytest.mark.thorough] * bool(place or number % 2)
        )  # the first command tells it here
        for number, (name, row) in enumerate(DAMAGE.items())
        for place, word in enumerate(row[1])
    ],
)
def test_run_directory(name: str, command: str, refused: Refused, finished: Path, tmp_path: Path):
    damage, _, flags, parts = DAMAGE[name]
    run = shutil.copytree(finished, tmp_path / "run")
    damage(run)
    before = _records(run)
    config = CONFIG if command in ("evaluate", "deploy") else ()
    words = [word.replace("RUN", str(run)) for word in (*config, f"--workdir={run}", *flags)]
    _says(refused(command, *words), parts)
    assert _records(run) == before


@pytest.mark.parametrize("command", ["evaluate", "deploy"])
def test_directory_that_another_process_holds(command: str, refused: Refused, finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    with open(run / ".lock", "r+", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write('{"process": 7, "host": "gamma", "since": "2026-01-02 03:04:05 +0000"}')
        handle.flush()
        message = refused(command, *CONFIG, f"--workdir={run}")
    _says(message, [f"{run} is in use by process 7 on gamma since 2026-01-02", "wait", "another --workdir"])


@pytest.mark.parametrize("command", ["evaluate", "deploy"])
def test_a_folder_of_other_work_stays_as_it_is(command: str, refused: Refused, tmp_path: Path):
    names = [
        "predictions.csv",
        "summary.json",
        "report/figures/mine.svg",
        "checkpoints/evaluate/net/best/w.pt",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine", encoding="utf-8")
    message = refused(command, *CONFIG, f"--workdir={tmp_path}")
    _says(message, [f"{tmp_path} holds other files", "and no run", "name a new or an empty folder"])
    files = {
        str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()
    }
    assert files == dict.fromkeys(names, "mine")


@pytest.mark.parametrize("command", ["status", "report"])
def test_directory_without_a_run(command: str, refused: Refused, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    for workdir in (tmp_path, tmp_path / "nowhere", tmp_path / "mine.txt"):
        message = refused(command, f"--workdir={workdir}")
        _says(message, [f"{workdir} holds no run", "--workdir"])
    _says(refused(command, f"--workdir={tmp_path / ('x' * 300)}"), ["cannot be read", "run directory"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def _records(run: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run.glob("records/**/*") if path.is_file()}


def _says(message: str, parts: list[str]) -> None:
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"
