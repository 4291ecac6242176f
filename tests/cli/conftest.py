"""A tiny study on disk, one finished run of it, and two ways to call the command line."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nachos_jax.cli.main import main
from nachos_jax.protocol.crew import crews
from nachos_jax.protocol.study.conduct import Conductor
from nachos_jax.runtime.stopping import StoppedError
from tests import painting
from tests.cli.case_inputs import READY, SMALL

ROOT = Path(__file__).resolve().parents[2]
CASES = 90
CONFIG = """
from nachos_jax import default_config

def get_config():
    config = default_config()
    config.data.source, config.data.path, config.data.subject_key = "npz", "cases.npz", "subjects"
    config.folds.count = 3
    config.model.cnn.stages, config.model.cnn.width = 1, 4
    config.training.batch_size, config.training.epochs, config.training.patience = 16, 2, 2
    config.search.searcher, config.search.trials, config.report.replicates = "random", 2, 200
    config.engine.lanes, config.engine.packing, config.engine.convolution = 1, "map", "custom"
    config.engine.checkpoint_epochs = 1000  # saving after every epoch costs more than the epoch
    return config
"""

Call = Callable[..., subprocess.CompletedProcess[str]]


def arrays() -> dict[str, Any]:
    """90 gray images of 8 x 8 pixels, two a subject; stripes tell class 0 from class 1."""
    number = np.arange(CASES)
    labels = number // 2 % 2
    images = np.random.default_rng(0).normal(100, 30, (CASES, 8, 8))
    images[labels == 0, ::2] += 40
    return {
        "images": np.clip(images, 0, 255).astype(np.uint8),
        "labels": labels,
        "subjects": np.asarray([f"s{i // 2}" for i in number]),
        "folds": number // 6 % 3,
        "sites": np.asarray([f"h{i // 6 % 3}" for i in number]),
    }


@pytest.fixture(autouse=True)
def unpainted(figures_unpainted: None) -> None:
    """The figures of commands that run in this process; those of processes of their own are painted."""


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with cases.npz and study.py; nothing in it may be changed."""
    folder = tmp_path_factory.mktemp("study")
    np.savez(folder / "cases.npz", **arrays())
    (folder / "study.py").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What $XDG_CACHE_HOME is in these tests."""
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="session")
def call(study: Path, caches: Path) -> Call:
    """Runs `python` with these words in the folder of the study, as a user would in a shell."""
    known = {**os.environ, "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(caches), "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words], cwd=study, env=known, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="session")
def finished(study: Path, caches: Path) -> Path:
    """Run directory after evaluate and deploy; copy it before you change it."""
    with pytest.MonkeyPatch.context() as patch, painting.unpainted():
        patch.chdir(study)
        patch.setenv("XDG_CACHE_HOME", str(caches))
        for command in ("evaluate", "deploy"):
            code, out, err = said(command, "--config=study.py", "--workdir=finished")
            (study / f"{command}.out").write_text(out, encoding="utf-8")
            (study / f"{command}.err").write_text(err, encoding="utf-8")
            assert code == 0, err
    return study / "finished"


@pytest.fixture
def here(study: Path, caches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the study as the working directory of this process."""
    monkeypatch.chdir(study)
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))
    return study


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it an error to begin the work of a run."""

    def conduct(self: Conductor) -> None:
        raise AssertionError("training has begun")

    monkeypatch.setattr(Conductor, "conduct", conduct)


def said(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["nachos", *words])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def refused(here: Path, no_training: None) -> Callable[..., str]:
    """Calls a command that must be refused, by one message and nothing else; returns the message."""

    def run(*words: str) -> str:
        code, out, err = said(*words)
        assert code == 2, err
        assert out == ""
        assert err.startswith("nachos: "), "something was said before the message"
        assert err.endswith("\n")
        assert "Traceback" not in err
        assert " INFO " not in err
        return err

    return run


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Calls `nachos evaluate` up to where it would train; returns what was said, the message last."""

    class Nobody:
        def prepare(self) -> None:
            raise StoppedError(READY)

        def look(self) -> None: ...

        def close(self, *_: object, **__: object) -> None: ...

    monkeypatch.setattr(crews, "gather", lambda *_: Nobody())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))

    def run(config: str, path: str | Path, *words: str, workdir: str = "run") -> str:
        record = tmp_path / workdir / "records/run.json"
        before = record.exists()
        flags = [f"--config={config}", f"--config.data.path={path}", f"--workdir={workdir}", *SMALL, *words]
        code, out, err = said("evaluate", *flags)
        assert out == ""
        assert "Traceback" not in err
        assert code == (75 if READY in err else 2), err
        assert record.exists() == (before or code == 75), "what is refused leaves no record"
        return err

    return run
