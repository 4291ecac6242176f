"""The launch scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch import local

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "launch" / "study.sh"


def call(*words: str, python: str = sys.executable) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHON": python}
    return subprocess.run([str(STUDY), *words], capture_output=True, text=True, env=environment, check=False)


def test_a_study_is_estimated_then_deployed_with_the_same_flags(tmp_path: Path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    done = call("--config=a b.py", "--workdir=w", python=str(python))
    assert done.stdout.splitlines() == [
        "-m nachos_jax evaluate --config=a b.py --workdir=w",
        "-m nachos_jax deploy --config=a b.py --workdir=w",
    ]


def test_a_refusal_stops_it_with_its_exit_code(tmp_path: Path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\nexit 2\n')
    python.chmod(0o755)
    done = call("--config=absent.py", "--workdir=w", python=str(python))
    assert done.returncode == 2
    assert done.stdout.splitlines() == ["-m nachos_jax evaluate --config=absent.py --workdir=w"]


@pytest.mark.parametrize("words", [["--outer_folds=0,1"], ["--outer_folds", "0,1"], ["-outer_folds=0"]])
def test_a_study_of_some_outer_folds_is_refused_before_anything_is_run(words: list[str], tmp_path: Path):
    """`deploy` would refuse the flag when the estimate is done."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    done = call("--config=a.py", *words, python=str(python))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--outer_folds is a flag of evaluate alone" in done.stderr


@pytest.mark.parametrize(
    ("codes", "code"), [((0, 0), 0), ((0, 75), 0), ((0, -9), 0), ((75, 75), 75), ((2, 0), 2), ((-9, 0), 137)]
)
def test_process_0_speaks_for_a_local_launch(codes, code, monkeypatch, capfd):
    def start(given, process, address, command):
        end = codes[process]
        ending = f"os.kill(os.getpid(), {-end})" if end < 0 else f"sys.exit({end})"
        words = [sys.executable, "-ISc", f"import os, sys; {ending}"]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(local, "start", start)
    monkeypatch.setattr(local.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["local.py", "--num_processes=2", "--", "evaluate"])
    assert local.main() == code
    assert ("[1] ended with exit code" in capfd.readouterr().err) == (codes[1] != 0)


def test_an_image_holds_nothing_that_git_ignores():
    left_out = {line.strip("/") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    names = {line.strip("/") for line in ignored if line and not line.startswith("#")}
    assert {name for name in names if not {name, f"**/{name}"} & left_out} == set()
    assert {".git", "**/*.npz", "!nachos_jax/**/*.npz"} <= left_out
