"""`nachos track` on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nachos_jax.records.store import RunDirectory
from tests.cli.conftest import Call, said
from tests.report.conftest import FakeRun, build

BOTH = """
import sys
from nachos_jax.cli.main import main
workdir, events = sys.argv[1:]
assert main(["nachos", "report", f"--workdir={workdir}"]) == 0
assert not {"mlflow", "tensorboard"} & set(sys.modules)
assert main(["nachos", "track", f"--workdir={workdir}", f"--tensorboard={events}"]) == 0
assert "mlflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run of three outer folds with two trials each."""
    return build(tmp_path_factory.mktemp("runs") / "study", FakeRun(folds=3, trials=2, inner=False))


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_at_once_and_again(run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # where MLflow puts files of its own
    words = ("track", f"--workdir={run.path}", f"--tensorboard={tmp_path / 'events'}")
    words += (f"--mlflow=sqlite:///{tmp_path / 'mlflow.db'}", "--experiment=tiny")
    code, out, err = said(*words)
    assert (code, err) == (0, "")
    files = len(list((tmp_path / "events").rglob("events.out.tfevents.*")))
    assert files == 3 * (2 * (1 + 2) + 1)  # an outer fold has 2 trials with 2 inner folds each, and a refit
    assert f"TensorBoard: {tmp_path / 'events'} ({files} event files, {files} new or longer)" in out
    assert "(experiment tiny: run study with 3 nested runs)" in out
    code, out, err = said(*words)
    assert (code, err) == (0, "")
    assert f"({files} event files, 0 new or longer)" in out


@pytest.mark.thorough
def test_nothing_is_imported_that_is_not_asked_for(run: RunDirectory, call: Call, tmp_path: Path):
    done = call("-c", BOTH, str(run.path), str(tmp_path / "events"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "nachos track needs --tensorboard=FOLDER or --mlflow=URI"),
        (("--tensorboard=x", "--experiment=y"), "--experiment=y is of MLflow: add --mlflow=URI"),
        (("--tensorboard=cases.npz",), "--tensorboard=cases.npz: is a file; name a folder"),
        (("--tensorbord=x",), "did you mean --tensorboard?"),
    ],
)
def test_mistakes_are_refused(
    run: RunDirectory, refused: Callable[..., str], flags: tuple[str, ...], told: str
):
    assert told in refused("track", f"--workdir={run.path}", *flags)


def test_a_folder_without_a_run_is_refused(refused: Callable[..., str], tmp_path: Path):
    assert "holds no run" in refused("track", f"--workdir={tmp_path}", f"--tensorboard={tmp_path / 'x'}")
    assert not (tmp_path / "x").exists()
    assert "nachos track needs --workdir=DIR" in refused("track", "--tensorboard=x")


def test_help_names_the_flags():
    code, out, err = said("track", "--help")
    assert (code, err) == (0, "")
    for flag in ("workdir", "tensorboard", "mlflow", "experiment"):
        assert f"--{flag}=" in out
    assert "\nnachos track " in said("--help")[1]
