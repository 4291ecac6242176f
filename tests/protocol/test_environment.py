"""environment.json says what a run was made with, and nothing that is not so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import jax
import pytest

from nachos_jax.protocol.run import environment
from nachos_jax.records.store import RunDirectory
from tests import tiny

GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of its own in which the module seems to lie; committed with the message "first"."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    file = tmp_path / "package" / "environment.py"
    file.parent.mkdir()
    file.write_text("first")
    monkeypatch.setattr(environment, "__file__", str(file))
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*GIT, *arguments], cwd=tmp_path, check=True, capture_output=True)
    return file


def head(folder: Path) -> str:
    asked = [*GIT, "rev-parse", "HEAD"]
    return subprocess.run(asked, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_everything_that_shapes_a_result_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/nachos", "evaluate", "--config=c.py"])
    run, store = tiny.run_config(), RunDirectory(tmp_path)
    environment.write(store, run, "0123456789abcdef")
    found = json.loads((tmp_path / "environment.json").read_text(encoding="utf-8"))
    assert found["config"] == json.loads(json.dumps(run.raw))
    assert (found["seed"], found["cases"]) == (run.seed, "0123456789abcdef")
    assert found["command"] == ["nachos", "evaluate", "--config=c.py"]
    assert found["versions"] == environment.versions()
    assert found["devices"] == [f"cpu {device.device_kind}" for device in jax.local_devices()]
    assert len(found["devices"]) == 8
    assert found["commit"] == environment.commit()
    assert found["platform"]


def test_versions_are_those_installed():
    found = environment.versions()
    assert found["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert list(found) == ["python", *environment.PACKAGES]
    for name in ("jax", "numpy", "scikit-learn", "pillow"):
        assert found[name] == metadata.version(name)


def test_a_package_that_is_missing_is_said_to_be(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package-anywhere"))
    assert environment.versions()["no-such-package-anywhere"] == "not installed"


def test_the_commit_is_that_of_the_checkout_and_changes_are_told(checkout):
    commit = environment.commit()
    assert re.fullmatch(r"[0-9a-f]{12}", commit)
    assert head(checkout.parent).startswith(commit)
    checkout.write_text("changed")
    assert environment.commit() == f"{commit}-dirty"


def test_a_package_installed_inside_the_checkout_of_something_else_has_no_commit(checkout, monkeypatch):
    """A virtual environment often lies in the folder of the user's own project."""
    installed = checkout.parents[1] / ".venv" / "environment.py"
    installed.parent.mkdir()
    installed.write_text("installed")
    monkeypatch.setattr(environment, "__file__", str(installed))
    assert environment.commit() == ""


def test_without_a_checkout_or_without_git_the_commit_is_empty(tmp_path, monkeypatch):
    file = tmp_path / "environment.py"
    file.write_text("")
    monkeypatch.setattr(environment, "__file__", str(file))
    assert environment.commit() == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.commit() == ""


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("/some/bin/nachos", ["nachos", "evaluate"]),
        ("/some/nachos_jax/__main__.py", ["python", "-m", "nachos_jax", "evaluate"]),
        ("/mine/study/__main__.py", ["python", "-m", "study", "evaluate"]),
    ],
)
def test_the_command_is_one_that_can_be_given_again(monkeypatch, program, told):
    monkeypatch.setattr("sys.argv", [program, "evaluate"])
    assert environment.command() == told
