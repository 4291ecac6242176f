"""`nachos compare` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nachos_jax.records.store import RunDirectory
from tests.cli.conftest import said
from tests.report.conftest import FakeRun, build
from tests.report.rivals import rival


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, RunDirectory, RunDirectory]:
    """Three finished runs over the same folds, called first, second and third."""
    first = build(tmp_path_factory.mktemp("runs") / "first", FakeRun(trials=1, inner=False))
    return first, rival(first, "second"), rival(first, "third", 2, better=-0.5)


def words(*runs: RunDirectory) -> str:
    return f"--runs={','.join(str(run.path) for run in runs)}"


def test_two_runs(runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = said("compare", words(*runs[:2]))
    assert (code, err) == (0, "")
    assert out.startswith("# Balanced accuracy of 2 runs\n\n5 of 5 outer folds")
    assert "- " in out
    assert "p (Holm)" not in out
    assert list(tmp_path.iterdir()) == []


def test_three_runs_written_to_a_folder(runs, tmp_path: Path):
    output = tmp_path / "a" / "b"
    code, out, err = said("compare", words(*runs), "--metric=auc", "--rope=0.05", f"--output={output}")
    assert (code, err) == (0, "")
    assert out.startswith("# AUC of 3 runs\n")
    assert out.endswith(f"\n\ncomparison: {output / 'comparison.md'}\n")
    assert out.startswith((output / "comparison.md").read_text(encoding="utf-8"))
    result = json.loads((output / "comparison.json").read_text(encoding="utf-8"))
    assert (result["metric"], result["rope"], len(result["pairs"])) == ("auc", 0.05, 3)
    assert "P(within 0.05)" in out
    again = said("compare", words(*runs), "--metric=auc", "--rope=0.05", f"--output={output}")
    assert again == (code, out, err)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--rope=-0.1",), "--rope=-0.1: must be a number from 0"),
        (("--rope=much",), "--rope=much: must be a number from 0"),
        (("--rope=nan",), "--rope=nan: must be a number from 0"),
        (("--metric=aucc",), "--metric=aucc: there is no such metric; choose one of accuracy"),
        (("--metrics=auc",), "did you mean --metric?"),
        (("--output=cases.npz",), "--output=cases.npz: is a file; name a folder"),
    ],
)
def test_mistakes_are_refused(runs, refused: Callable[..., str], flags: tuple[str, ...], told: str):
    assert told in refused("compare", words(*runs[:2]), *flags)


def test_too_few_runs_are_refused(runs, refused: Callable[..., str]):
    assert "nachos compare needs --runs=DIR,DIR" in refused("compare")
    assert "needs at least two runs" in refused("compare", words(runs[0]))
    assert "stands twice" in refused("compare", words(runs[0], runs[0]))
    assert "there is no folder 'nowhere'" in refused("compare", f"{words(runs[0])},nowhere")


def test_help_names_the_flags():
    code, out, err = said("compare", "--help")
    assert (code, err) == (0, "")
    for flag in ("runs", "metric", "rope", "output"):
        assert f"--{flag}=" in out
    assert "\nnachos compare " in said("--help")[1]
