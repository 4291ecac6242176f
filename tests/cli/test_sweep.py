"""`nachos sweep`: every combination once, checked before the first is run."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nachos_jax.cli import main, sweep
from nachos_jax.core.errors import UsageError
from nachos_jax.records.store import RunDirectory
from tests import tiny
from tests.cli.conftest import said
from tests.tiers import mostly_thorough

ROOT = Path(__file__).resolve().parents[2]
BETA = "--config.search.space.beta1=uniform(0.6, 0.9)"
SMOKE = f"--config={ROOT / 'configs/smoke.py'}"
WEIGHTS = (
    "--config=base",
    "--workdir=w",
    "--config.data.path=cases.npz",
    "--config.backbone.weights=resnet18.pth",
)


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a sweep that is refused says."""
    assert main.main(["nachos", "sweep", *words]) == 2
    return capsys.readouterr().err


def call(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nachos_jax", "sweep", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@given(st.lists(st.sampled_from(["a", "1e-3", "log(1e-4, 1e-1)", "choice('a', 'b')", "x[1,2]"]), unique=True))
def test_values_are_split_at_commas_outside_of_parentheses(values):
    if values:
        assert sweep.split(",".join(values)) == values


@pytest.mark.parametrize("text", ["", "a,", ",a", "a,,b", "a,a"])
def test_values_that_are_empty_or_stand_twice_are_refused(text):
    with pytest.raises(UsageError, match="different values"):
        sweep.split(text)


def test_each_combination_has_flags_and_a_folder_of_its_own():
    words = [SMOKE, "--workdir=runs/s", "--sweep.seed=0,1", "--sweep.search.searcher=ax,random", "--x=1"]
    runs = sweep.combinations(sweep.read(words))
    assert list(runs) == [f"seed={s} search.searcher={t}" for s in (0, 1) for t in ("ax", "random")]
    first = runs["seed=0 search.searcher=ax"]
    assert first[:2] == [SMOKE, "--x=1"]
    assert first[2:] == [
        "--config.seed=0",
        "--config.search.searcher=ax",
        "--workdir=runs/s/seed=0+search.searcher=ax",
    ]


@mostly_thorough(
    ("words", "message"),
    [
        ([SMOKE, "--sweep.seed=0"], "--workdir is missing"),
        ([SMOKE, "--workdir=w"], "nothing to sweep"),
        ([SMOKE, "--workdir=w", "--sweep.seed=0", "--sweep.seed=1"], "given twice"),
        ([SMOKE, "--workdir=w", "seed"], "write flags as"),
        (
            [SMOKE, "--workdir=w", "--sweep.search.space.learning_rate=log(1e-4,1),log(1e-4.1)"],
            "learning_rate",
        ),
        ([SMOKE, "--workdir=w", "--sweep.training.epochs=3,0"], "training.epochs"),
        (
            [SMOKE, "--workdir=w", "--sweep.seeed=3"],
            "--sweep.seeed: there is no such field; did you mean --sweep.seed?",
        ),
        ([SMOKE, "--workdir=w", "--sweep.seed=3,x"], "--sweep.seed=x: must be a whole number"),
        ([SMOKE, "--workdir=w", "--sweep.seed=3", "--command=predict"], "must be evaluate or deploy"),
        ([SMOKE, "--workdir=w", "--sweep.search.searcher=ax,tpe"], "config.search.searcher = 'tpe'"),
        ([SMOKE, "--workdir=w", "--sweep.search.metric=auc,ece"], "config.search.metric = 'ece' would"),
        ([SMOKE, "--workdir=w", "--sweep.search.metric=auc,acc"], "config.search.metric = 'acc'"),
        ([SMOKE, "--workdir=w", "--sweep.report.threshold=youden,half"], "threshold rule 'half'"),
        (
            [SMOKE, "--workdir=w", "--config.data.fold_key=f", "--sweep.folds.scheme=predefined,stratified"],
            "config.data.fold_key = 'f' does nothing with config.folds.scheme = 'stratified'",
        ),
        (
            [SMOKE, "--workdir=w", "--sweep.training.optimizer=adam,sgd", BETA],
            "config.search.space.beta1 does nothing beside optimizer = 'sgd'",
        ),
        ([SMOKE, "--workdir=w", "--sweep.protocol=nested,flat"], "config.protocol = 'flat' scores fits"),
        (
            [*WEIGHTS, "--sweep.model.architecture=mlp,cnn"],
            "--sweep.model.architecture=cnn: beside config.backbone.weights alone it would be 'linear'",
        ),
        (
            [*WEIGHTS, "--sweep.search.space.learning_rate=log(0.001, 0.1),log(0.01, 0.1)"],
            "--sweep.search.space.learning_rate=log(0.001, 0.1): beside config.backbone.weights alone",
        ),
        (
            [SMOKE, "--workdir=w", "--sweep.seed=3", "--slurm=w/array.sbatch"],
            "cannot be written (No such file",
        ),
    ],
    kept=10,
)
def test_mistakes_are_told_before_anything_is_run(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was run"))
    told = refusal(capsys, *[word.replace("=w", f"={tmp_path / 'w'}") for word in words])
    assert message in told
    assert not (tmp_path / "w").exists()


def test_a_mistake_ends_the_script_with_code_2():
    done = call(SMOKE, "--sweep.seed=0")
    assert done.returncode == 2
    assert "--workdir is missing" in done.stderr


def test_a_table_of_the_runs_is_written(here, finished, tmp_path, monkeypatch):
    """Each run is a copy of one that is finished."""
    asked = []

    def run(words):
        assert words[:4] == [sys.executable, "-m", "nachos_jax", "evaluate"]
        asked.append(words)
        shutil.copytree(finished, words[-1].removeprefix("--workdir="))
        return 0, ""

    monkeypatch.setattr(sweep, "run_one", run)
    code, _, told = said("sweep", "--config=study.py", f"--workdir={tmp_path}", "--sweep.report.gallery=0,1")
    assert code == 0, told
    assert [words[-2] for words in asked] == [f"--config.report.gallery={count}" for count in (0, 1)]
    rows = list(csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines()))
    assert [row["run"] for row in rows] == ["report.gallery=0", "report.gallery=1"]
    summary = json.loads((finished / "summary.json").read_text())
    told = summary["metrics"][summary["headline"]]["estimate"]
    assert [float(row["estimate"]) for row in rows] == pytest.approx([told] * 2, abs=1e-3)


@pytest.mark.thorough
def test_a_sweep_runs_all_and_writes_a_table(here, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "run_one", lambda words: (said(*words[3:])[0], ""))
    words = ("--config=study.py", f"--workdir={tmp_path}", "--sweep.seed=0,1", "--config.search.trials=1")
    code, _, told = said("sweep", *words)
    assert code == 0, told
    rows = list(csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines()))
    assert [row["run"] for row in rows] == ["seed=0", "seed=1"]
    assert {row["outer folds"] for row in rows} == {"3"}
    assert all(0 < float(row["estimate"]) < 1 for row in rows)
    assert rows[0]["estimate"] != rows[1]["estimate"]


def test_what_a_scheduler_sends_reaches_the_run_and_no_other_follows(here, tmp_path, monkeypatch, capsys):
    ran, begun = [], tmp_path / "begun"
    trains = (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); "
        f"pathlib.Path({str(begun)!r}).touch(); time.sleep(60)"
    )
    one = sweep.run_one

    def run(words):
        ran.append(words)
        return one([sys.executable, "-c", trains])

    def terminate():
        while not begun.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(sweep, "run_one", run)
    before = signal.getsignal(signal.SIGTERM)
    scheduler = threading.Thread(target=terminate)
    scheduler.start()
    words = ["--config=study.py", f"--workdir={tmp_path}/s", "--sweep.seed=0,1"]
    assert main.main(["nachos", "sweep", *words]) == 75
    scheduler.join()
    assert len(ran) == 1
    assert "stopped by SIGTERM: the same command goes on" in capsys.readouterr().out
    assert (tmp_path / "s/sweep.csv").read_text().splitlines()[1].endswith(",75")
    assert signal.getsignal(signal.SIGTERM) == before


def test_folders_can_be_given_to_compare():
    words = [SMOKE, "--workdir=runs/s", "--sweep.search.space.cnn.width=choice(4, 8),choice(8, 16)"]
    for run in sweep.combinations(sweep.read([*words, "--sweep.seed=0,1"])).values():
        assert "," not in run[-1]


def test_the_home_folder_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/me")
    read = sweep.read([SMOKE, "--workdir=~/s", "--sweep.seed=0,1", "--slurm=~/array.sbatch"])
    assert (read.workdir, read.slurm) == ("/me/s", "/me/array.sbatch")


@pytest.mark.parametrize(("protocol", "row"), [("nested", ["0.7", "0.1", "3"]), ("flat", ["0.7", "", "3"])])
def test_the_table_gives_the_estimate_and_not_the_mean(protocol, row, tmp_path):
    headline = {"estimate": 0.7, "mean": 0.8, "se": 0.1}
    told: dict[str, Any] = {"protocol": protocol, "headline": "auc", "metrics": {"auc": headline}}
    told["progress"] = {"outer_folds_tested": 3}
    (tmp_path / "summary.json").write_text(json.dumps(told))
    config, words = tiny.run_config(), [SMOKE, f"--workdir={tmp_path}"]
    assert sweep.estimate(words, 0, config) == ["", "", ""], "no run"
    RunDirectory(tmp_path).commit_run({"config": config.raw})
    assert sweep.estimate(words, 0, config) == row
    assert sweep.estimate(words, 2, config) == ["", "", ""], "refused"
    assert sweep.estimate(words, 75, tiny.run_config(training__epochs=9)) == ["", "", ""], "another config's"
    by_unit = {"estimate": 0.9, "mean": 0.9, "se": 0.1, "label": "AUC"}
    told["metrics"]["auc"]["label"] = "AUC"
    told["units"] = {"column": "subject", "metrics": {"auc": by_unit}, "leads": True}
    (tmp_path / "summary.json").write_text(json.dumps(told))
    assert sweep.estimate(words, 0, config) == ["0.9", *row[1:]], "what the report leads with"


def test_a_run_begun_under_the_former_policy_keeps_its_estimate(tmp_path):
    config, words = tiny.run_config(search__policy=""), [SMOKE, f"--workdir={tmp_path}"]
    search = {**config.raw["search"], "policy": "race"}
    RunDirectory(tmp_path).commit_run({"config": {**config.raw, "search": search}})
    auc = {"estimate": 0.7, "mean": 0.8, "se": 0.1}
    told: dict[str, Any] = {"protocol": "nested", "headline": "auc", "metrics": {"auc": auc}}
    told["progress"] = {"outer_folds_tested": 3}
    (tmp_path / "summary.json").write_text(json.dumps(told))
    assert sweep.estimate(words, 0, config) == ["0.7", "0.1", "3"]


@pytest.mark.thorough
def test_a_slurm_array_has_a_task_for_each_run(tmp_path):
    script = tmp_path / "array.sbatch"
    done = call(SMOKE, f"--workdir={tmp_path}", "--sweep.seed=0,1,2", f"--slurm={script}")
    assert done.returncode == 0, done.stderr
    text = script.read_text()
    assert "#SBATCH --array=0-2" in text
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    script.write_text(text.replace(sys.executable, str(fake)))
    ran = subprocess.run(
        ["bash", str(script)], env={"SLURM_ARRAY_TASK_ID": "1"}, capture_output=True, text=True, check=False
    )
    assert ran.stdout.split()[-2:] == ["--config.seed=1", f"--workdir={tmp_path / 'seed=1'}"]
