"""`nachos study` on the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nachos_jax.records.store import RunDirectory
from tests.cli.conftest import Call, said
from tests.report.conftest import FakeRun, build
from tests.report.rivals import edit_run
from tests.report.search_runs import sweep

ONCE = {"ranks", "importance", "best_so_far"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run of three outer folds with four trials each, one of which has failed."""
    fake = FakeRun(folds=3, inner=False, failed=((2, 1),), groups=False)
    return build(tmp_path_factory.mktemp("runs") / "first", fake)


@pytest.fixture(scope="module")
def many(first: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep: three runs of each of two searchers, over the same cases."""
    runs = {f"search.searcher={name}+seed={seed}": name for seed in range(3) for name in ("ax", "random")}
    return Path(sweep(first, runs, str(tmp_path_factory.mktemp("sweep"))))


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_run(first: RunDirectory, tmp_path: Path):
    code, out, err = said("study", f"--workdir={first.path}")
    assert (code, err) == (0, "")
    folder = first.path / "study"
    assert out.endswith(f"tables and figures: {folder}\n")
    assert out.startswith("# What the search of first teaches\n\nScored by the mean balanced accuracy of the")
    assert "3 studies with 12 trials; left out, as they have no score: 1 failed." in out
    assert "Kendall's tau between the ranking" in out
    assert "## Runs" not in out
    assert (
        {path.stem for path in folder.glob("*.svg")} == {path.stem for path in folder.glob("*.csv")} == ONCE
    )
    assert {row["study"] for row in table(folder / "ranks.csv")} == {"fold 0", "fold 1", "fold 2", "mean"}
    assert said("study", f"--workdir={first.path}", f"--output={tmp_path}")[0] == 0
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), (
            "the bytes depend on the records alone"
        )


def test_json_is_one_object_with_the_numbers_of_the_folder(first: RunDirectory, tmp_path: Path):
    code, out, err = said("study", f"--workdir={first.path}", f"--output={tmp_path}", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result == json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    assert (result["metric"], result["trials"], result["repeated"]) == (
        "balanced_accuracy",
        {"done": 11, "failed": 1},
        None,
    )
    outcomes = [first.outcome(fold) for fold in range(3)]
    inner = [outcome.scores[outcome.selected].score for outcome in outcomes if outcome]
    assert result["runs"][0]["inner"] == pytest.approx(sum(filter(None, inner)) / 3)
    ranks = table(tmp_path / "ranks.csv")
    mean = [float(row["tau"]) for row in ranks if row["study"] == "mean"]
    assert mean == result["ranks"]["mean"]


def test_the_runs_of_a_sweep_are_compared_in_groups(many: Path, tmp_path: Path):
    code, out, err = said("study", f"--workdir={many}", f"--output={tmp_path}")
    assert (code, err) == (0, "")
    assert out.startswith("# What the search of 6 runs teaches")
    assert "Outer scores by config.search.searcher: Kruskal-Wallis H(1) = 3.86, p = 0.050" in out, (
        "all runs of one searcher are above those of the other"
    )
    assert "The smallest group has 3 runs" in out
    assert {path.stem for path in tmp_path.glob("*.svg")} == ONCE | {"runs"}
    result = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    assert {name: len(runs) for name, runs in result["repeated"]["groups"].items()} == {"ax": 3, "random": 3}
    assert result["repeated"]["tests"]["outer"]["epsilon_squared"] == pytest.approx(3.857 / 5, abs=1e-3)
    assert set(result["best_so_far"]["groups"]) == {"ax", "random"}
    words = ("study", f"--workdir={many}", f"--output={tmp_path}", "--by=config.search.metric")
    code, out, _ = said(*words)
    assert "Outer scores were not tested: all runs are of one group." in out


@pytest.mark.thorough
def test_what_has_no_answer_is_refused(many: Path, first: RunDirectory, refused: Callable[..., str]):
    runs = sorted(map(str, many.iterdir()))
    told = refused("study", f"--workdir={many}", "--by=config.seed", "--output=x")
    assert "--by=config.seed: the group '1' has one run only" in told
    assert "at least 2 of each group" in told
    told = refused("study", f"--workdir={many}", "--by=config.search.searchr", "--output=x")
    assert "has no such field; `nachos config` lists them" in told
    told = refused("study", f"--workdir={','.join(runs[:4])}", "--output=x")  # three of ax, one of random
    assert "the group 'random' has one run only, search.searcher=random+seed=0" in told
    assert "name a folder for their tables and figures" in refused("study", f"--workdir={many}")
    assert "name a folder for their tables and figures" in refused("study", f"--workdir={','.join(runs)}")
    assert "stands twice" in refused("study", f"--workdir={runs[0]},{runs[0]}", "--output=x")
    assert "is a file; name a folder" in refused("study", f"--workdir={runs[0]}", "--output=cases.npz")
    assert "nachos study needs --workdir=DIR" in refused("study")


def test_no_run_and_unfinished_runs_are_refused(tmp_path: Path, refused: Callable[..., str]):
    assert "there is no folder 'nowhere'" in refused("study", "--workdir=nowhere")
    assert "holds no run" in refused("study", f"--workdir={tmp_path}")
    small = {"folds": 3, "trials": 1, "inner": False, "groups": False}
    part = build(tmp_path / "part", FakeRun(**small, tested=(1,)))
    told = refused("study", f"--workdir={part.path}")
    assert f"{part.path} is not finished: outer folds 0, 2 are not tested; run the same `nachos eva" in told
    assert "--outer_folds=0,2" in told
    none = build(tmp_path / "none", FakeRun(**small, tested=()))
    assert "no outer fold is tested" in refused("study", f"--workdir={none.path}")
    edit_run(none.path, lambda run: run["config"].update(protocol="flat"))
    assert "its search has not ended" in refused("study", f"--workdir={none.path}")
    assert not (part.path / "study").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"metric": "auc"}, "selected their trials by different metrics (balanced_accuracy; auc)"),
        ({"classes": ("a", "b", "c")}, "have other classes"),
        ({"seed": 1}, "have other cases or another label of one, like 'images/"),
    ],
)
def test_runs_that_differ_are_refused(
    first: RunDirectory, tmp_path: Path, refused: Callable[..., str], changes: dict, told: str
):
    told_of: dict[str, Any] = {"folds": 3, "trials": 1, "inner": False, "groups": False, **changes}
    fake = FakeRun(**told_of)
    other = build(tmp_path / "other", fake)
    assert told in refused("study", f"--workdir={first.path},{other.path}", "--output=x")


def test_a_folder_of_other_work_is_refused_and_an_earlier_one_written_again(finished: Path, tmp_path: Path):
    (tmp_path / "importance.csv").write_text("mine")
    code, _, err = said("study", f"--workdir={finished}", f"--output={tmp_path}")
    assert code == 2
    assert "holds other files (e.g. importance.csv)" in err
    assert [path.name for path in tmp_path.iterdir()] == ["importance.csv"]
    assert (tmp_path / "importance.csv").read_text() == "mine"
    for _ in range(2):
        assert said("study", f"--workdir={finished}", f"--output={tmp_path / 'new'}")[0] == 0


def test_a_run_of_the_program_itself(finished: Path, tmp_path: Path):
    code, out, err = said("study", f"--workdir={finished}", f"--output={tmp_path}")
    assert (code, err) == (0, "")
    assert "Rankings cannot be compared: 1 to rank: at least 3 are needed." in out
    assert "3 stopped" in out
    assert {path.stem for path in tmp_path.glob("*.svg")} == {"best_so_far"}


@pytest.mark.thorough
def test_it_is_told_and_loads_no_jax(call: Call, first: RunDirectory, tmp_path: Path):
    code, out, err = said("study", "--help")
    assert (code, err) == (0, "")
    assert all(f"--{flag}" in out for flag in ("workdir=", "by=", "output=", "json]"))
    assert "\nnachos study " in said("--help")[1]
    quiet = "import sys; from nachos_jax.cli.main import main; code = main(sys.argv); "
    wanted = "assert 'jax' not in sys.modules; sys.exit(code)"
    done = call("-c", quiet + wanted, "study", f"--workdir={first.path}", f"--output={tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
