"""Studies of vectors from the file to report and prediction; nothing of a test fold reaches its study."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import nachos_jax
from nachos_jax.cli import main
from nachos_jax.core.errors import UsageError
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.run import door
from tests import tiny, vectors
from tests.protocol.test_leak import OUTER, seen_from_inside

QUICK = ("search.trials=2", "search.searcher=random", "folds.count=3", "training.epochs=2")
QUICK += ("training.batch_size=8", "report.replicates=200", "engine.checkpoint_epochs=1000", "engine.lanes=2")


def nachos(command: str, *words: str) -> int:
    quick = [f"--config.{field}" for field in QUICK] if command in ("evaluate", "deploy", "plan") else []
    return main.main(["nachos", command, *words, *quick])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Radiomics as a CSV with missing values."""
    values, labels, subjects, _ = vectors.arrays(missing=0.05)
    header = [
        "case",
        "label",
        "subject",
        "diagnostics_x",
        *(f"original_{i}" for i in range(vectors.FEATURES)),
    ]
    rows = [
        [
            f"c{i}",
            "abc"[labels[i]],
            subjects[i],
            "1",
            *("" if np.isnan(x) else repr(float(x)) for x in values[i]),
        ]
        for i in range(vectors.CASES)
    ]
    with open(tmp_path / "t.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return tmp_path / "t.csv"


def test_a_table_to_report_and_prediction(table, tmp_path, capsys):
    config = ["--config=vectors", f"--config.data.path={table}", "--config.data.features=('original_*',)"]
    config += ["--config.data.impute=median"]
    workdir = f"--workdir={tmp_path / 'run'}"
    assert nachos("plan", *config, "--devices=1") == 0
    told = capsys.readouterr().out
    assert "vectors of 7 features as float32" in told
    assert "left out of the features: 'diagnostics_x'" in told
    assert "imputed by the median of each fit's training cases" in told
    assert nachos("evaluate", *config, workdir) == 0
    assert nachos("deploy", *config, workdir) == 0
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["metrics"]["accuracy"]["mean"] > 0.6
    assert not (tmp_path / "run/explanations").exists()
    page = (tmp_path / "run/report/index.html").read_text()
    assert "Every fit standardises features" in page
    assert "Linear models with an L2 penalty (linear) that classify cases." in page
    assert "pixels" not in page
    new = tmp_path / "new.csv"
    new.write_text(table.read_text().replace("label,", "note,"))
    words = [f"--model={tmp_path / 'run/deploy'}", f"--output={tmp_path / 'p.csv'}"]
    assert nachos("predict", *words, f"--input={new}") == 0
    with open(tmp_path / "p.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows[:2]] == ["c0", "c1"]
    assert len(rows) == vectors.CASES
    model = nachos_jax.load(tmp_path / "run/deploy")
    values = vectors.arrays(missing=0.05)[0]
    probabilities = model.probabilities(values)
    np.testing.assert_allclose([float(row["probability_a"]) for row in rows], probabilities[:, 0], atol=1e-5)
    _check_coefficients(tmp_path / "run/deploy/coefficients_00.csv", model, values)
    new.write_text(table.read_text().replace("original_3", "original_8"))
    assert nachos("predict", *words, f"--input={new}") == 2
    assert "lacks 1 of the model's 7 features: 'original_3'" in capsys.readouterr().err
    assert nachos("predict", *words, f"--input={table}", f"--explain={tmp_path / 'maps'}") == 2
    assert "this model reads vectors" in capsys.readouterr().err


def _check_coefficients(path: Path, model: nachos_jax.DeployedModel, values: np.ndarray) -> None:
    """The table gives the model's log odds from features as they are measured."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    whole = values[~np.isnan(values).any(axis=1)].astype(np.float64)
    scores = np.stack(
        [
            float(rows[0][name]) + whole @ np.asarray([float(row[name]) for row in rows[1:]])
            for name in model.classes
        ],
        axis=1,
    )
    odds = np.log(model.probabilities(whole.astype(np.float32)).astype(np.float64))
    np.testing.assert_allclose(scores[:, 1:] - scores[:, :1], odds[:, 1:] - odds[:, :1], rtol=1e-3, atol=1e-3)


@pytest.mark.thorough
def test_an_archive_to_report_and_prediction(tmp_path, capsys):
    values, labels, subjects, folds = vectors.arrays()
    path = tmp_path / "t.npz"
    np.savez(path, features=values, labels=labels, subject=subjects, fold=folds % 3)
    config = ["--config=vectors:mlp", f"--config.data.path={path}", "--config.folds.scheme=predefined"]
    workdir = f"--workdir={tmp_path / 'run'}"
    assert nachos("evaluate", *config, workdir) == 0
    assert nachos("deploy", *config, workdir) == 0
    words = [f"--model={tmp_path / 'run/deploy'}", f"--output={tmp_path / 'p.csv'}"]
    assert nachos("predict", *words, f"--input={path}") == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 1 + vectors.CASES
    model = nachos_jax.load(tmp_path / "run/deploy")
    assert model.vectors
    for wrong, told in (
        (values[:, :3], r"this model takes numbers \[N, 7\]"),
        (np.where(values == values[3, 2], np.nan, values), "feature 'feature_2' is missing at row 3"),
    ):
        with pytest.raises(UsageError, match=told):
            model.predictions(wrong)
    assert not list((tmp_path / "run/deploy").glob("coefficients*"))


@pytest.mark.parametrize("architecture", ["linear", pytest.param("mlp", marks=pytest.mark.thorough)])
def test_nothing_of_a_test_fold_reaches_its_study(architecture, tmp_path):
    run = vectors.run_config(architecture, data__equal_images="accept", training__class_weight_exponent=1.0)
    clean = vectors.cohort(0.1, "median")
    values, labels = vectors.values_of(clean).copy(), clean.targets.values.copy()
    fold = np.flatnonzero(clean.table.folds == OUTER)
    values[fold], labels[fold] = 1000 - values[fold][::-1] * 1e4, np.roll(labels[fold], 3)
    strata = dataclasses.replace(clean.targets.strata, numbers=labels)
    has = np.eye(3, dtype=bool)[labels]
    targets = dataclasses.replace(clean.targets, values=labels, strata=strata, has=has)
    spoilt = dataclasses.replace(vectors.with_values(clean, values), targets=targets, hash="spoilt")
    evaluate(run, str(tmp_path / "clean"), [OUTER], clean, quiet=True)
    evaluate(run, str(tmp_path / "spoilt"), None, spoilt, quiet=True)
    assert seen_from_inside(tmp_path / "clean") == seen_from_inside(tmp_path / "spoilt")


@pytest.mark.parametrize(
    ("architecture", "changes", "told"),
    [
        ("cnn", {}, r"'cnn' takes images \[H, W, C\].* vector of 7 features.*'linear' or 'mlp'"),
        ("mlp", {"augmentation__noise": 0.1}, "config.augmentation.noise changes images.*vectors"),
        ("mlp", {"search__space__rotation": "uniform(0, 9)"}, "config.augmentation.rotation changes images"),
        (
            "linear",
            {"search__space__momentum": "uniform(0, 0.9)"},
            "search.space.momentum: linear is not trained step by step",
        ),
        ("linear", {"data__residency": "stream"}, "linear is solved over all cases at once"),
        ("linear", {"task__classification__loss": "cumulative_link"}, "cannot be solved by linear"),
        ("mlp", {"training__batch_size": 64}, "batch_size can be 64"),
    ],
)
def test_what_vectors_do_not_have_is_refused_at_the_door(architecture, changes, told):
    cohort = vectors.cohort()
    run = vectors.run_config(architecture, **changes)
    with pytest.raises(UsageError, match=told):
        door.check(run, cohort, tiny.folds(cohort))


def test_images_are_refused_by_networks_of_vectors_and_a_solved_one_needs_no_batch():
    for name in ("linear", "mlp"):
        with pytest.raises(UsageError, match=rf"{name!r} takes vectors of features \[D\]"):
            door.check(vectors.run_config(name), tiny.cohort(), tiny.folds(tiny.cohort()))
    cohort = vectors.cohort()
    door.check(vectors.run_config(training__batch_size=64), cohort, tiny.folds(cohort))
