"""Sections of tasks: labels and numbers recomputed with scikit-learn and SciPy; a planted task."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from nachos_jax.core.errors import UsageError
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.appendix import latex
from nachos_jax.report.checklists.checklist import checklist
from nachos_jax.report.numbers import comparison
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.page import page
from nachos_jax.report.reading.evidence import read
from nachos_jax.report.sections import registry
from tests.report.conftest import FakeRun
from tests.report.rivals import edit_run, edit_test
from tests.report.task_cases import LABELS, MASKS, NUMBER
from tests.tiers import mostly_thorough

pytestmark = pytest.mark.usefixtures("all_unpainted")  # pictures are for test_figures
TASKS: dict[str, dict[str, Any]] = {"multilabel": LABELS, "regression": NUMBER, "segmentation": MASKS}


def summary_of(directory):
    return json.loads((directory.path / "summary.json").read_text(encoding="utf-8"))


def columns(directory, *names):
    """Columns of predictions.csv by outer fold, NaN where a cell is empty."""
    with (directory.path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    cells = np.array([[float(row[name] or "nan") for name in names] for row in rows])
    folds = np.array([int(row["outer_fold"]) for row in rows])
    return {fold: cells[folds == fold] for fold in np.unique(folds).tolist()}


@pytest.fixture(params=TASKS)
def task(request):
    return request.param


@pytest.fixture(scope="module")
def written(built):
    """Runs of the tasks whose reports are written; nothing in them may be changed."""
    known = {}

    def find(task):
        if task not in known:
            known[task] = RunDirectory(built(replace(FakeRun(), **TASKS[task])))
            page.write(known[task].path)
        return known[task]

    return find


def test_a_number_is_measured_as_scikit_learn_and_scipy_do(written):
    run = written("regression")
    summary, folds = summary_of(run), columns(run, "age", "predicted_age")
    for fold, cells in folds.items():
        y, made = cells.T
        expected = {
            "mae": sk.mean_absolute_error(y, made),
            "rmse": sk.root_mean_squared_error(y, made),
            "r2": sk.r2_score(y, made),
            "pearson": stats.pearsonr(y, made)[0],
        }
        for name, value in expected.items():
            assert summary["metrics"][name]["folds"][str(fold)]["value"] == pytest.approx(value)
    differences = np.concatenate([made - y for y, made in (cells.T for cells in folds.values())])
    agreement = summary["agreement"]
    assert agreement["bias"]["mean"] == pytest.approx(
        np.mean([np.mean(c[:, 1] - c[:, 0]) for c in folds.values()])
    )
    assert agreement["high"] - agreement["low"] == pytest.approx(2 * 1.96 * differences.std(ddof=1))


def test_a_number_is_told_with_its_unit_its_interval_and_its_counts(written):
    run = written("regression")
    summary = summary_of(run)
    mean, interval = (summary["metrics"]["mae"][key] for key in ("mean", "intervals"))
    assert summary["metrics"]["mae"]["decimals"] == 2
    assert summary["sentence"].startswith(
        f"Mean absolute error {mean:.2f} in the unit of age (95 % interval {interval[0]['low']:.2f} to "
    )
    assert "240 cases of 120 subjects" in summary["sentence"]
    assert "target age (from " in summary["sentence"]
    assert {row["unit"] for row in interval} == {"outer folds", "subjects"}


def test_overlap_is_measured_class_by_class_with_empty_masks_counted_apart(written):
    run = written("segmentation")
    summary, tests = summary_of(run), read(run).predictions
    dice = []
    for _, volumes in tests.values():
        whole = 2 * volumes[..., 0] + volumes[..., 1] + volumes[..., 2]
        dice.append(np.where(whole > 0, 2 * volumes[..., 0] / np.where(whole > 0, whole, 1), 1.0))
    rows = summary["per_class"]["classes"]
    wanted = np.mean([fold.mean(axis=0) for fold in dice], axis=0)
    assert [row["dice"]["mean"] for row in rows.values()] == pytest.approx(wanted.tolist())
    assert summary["metrics"]["mean_dice"]["mean"] == pytest.approx(wanted.mean())
    truth = np.concatenate([reference for reference, _ in tests.values()])
    made = np.concatenate([volumes[..., :2].sum(axis=-1) for _, volumes in tests.values()])
    tumour = rows["tumour"]["empty"]
    assert tumour["cases"] == np.sum(truth[:, 1] == 0) > 0
    assert tumour["right"] == np.sum((truth[:, 1] == 0) & (made[:, 1] == 0)) > 0
    assert rows["liver"]["volume"]["mean"] == pytest.approx(np.mean(made[:, 0] - truth[:, 0]))
    cells = np.concatenate(list(columns(run, "dice", "dice_liver", "reference_tumour").values()))
    assert np.nanmean(cells[:, 1]) == pytest.approx(np.concatenate(dice)[:, 0].mean())
    assert sorted(cells[:, 2].tolist()) == sorted(truth[:, 1].tolist())


def test_labels_are_measured_where_they_are_known(written):
    run = written("multilabel")
    summary = summary_of(run)
    for name in LABELS["classes"]:
        found, areas = summary["per_label"]["labels"][name], []
        for fold, cells in columns(run, f"label_{name}", f"probability_{name}").items():
            y, p = cells[~np.isnan(cells[:, 0])].T
            row = found["folds"][str(fold)]
            areas.append(sk.roc_auc_score(y, p))
            assert row["auc"]["value"] == pytest.approx(areas[-1])
            assert row["average_precision"]["value"] == pytest.approx(sk.average_precision_score(y, p))
            assert row["f1"]["value"] == pytest.approx(sk.f1_score(y, p >= row["threshold"]["value"]))
        assert found["auc"]["mean"] == pytest.approx(np.mean(areas))
        assert found["auc_interval"]["low"] < found["auc"]["mean"] < found["auc_interval"]["high"]
        assert found["auc_interval"]["unit"] == "subjects"
        assert found["known"] < 240


def test_thresholds_of_labels_come_from_inner_folds_alone(make_run):
    run = make_run(**LABELS)
    before = summarise(read(run))["per_label"]["labels"]

    def reversed_predictions(test):
        return {"arrays": {**test.arrays, "probabilities": 1 - test.arrays["probabilities"]}}

    edit_test(run, 0, reversed_predictions)
    after = summarise(read(run))["per_label"]["labels"]
    for name, row in before.items():
        assert after[name]["folds"]["0"]["threshold"] == row["folds"]["0"]["threshold"]
        assert after[name]["folds"]["0"]["auc"] != row["folds"]["0"]["auc"]


def test_the_page_holds_the_figures_and_words_of_the_task(written, task):
    run = written(task)
    html = (run.path / "report" / "index.html").read_text(encoding="utf-8")
    section = registry.of(task)
    drawn = {path.stem for path in (run.path / "report" / "figures").glob("*.svg")}
    assert set(section.figures) <= drawn
    assert html.count("<svg") >= len(section.figures)
    for word in ("confusion", "softmax", "class weights"):
        assert word not in re.sub(r"<style>.*?</style>", "", html, flags=re.S).lower()
    appendix = (run.path / "report" / "report.md").read_text(encoding="utf-8")
    own = {
        "multilabel": "| Label |",
        "regression": "## Agreement",
        "segmentation": "| Class | Cases | Dice |",
    }
    assert own[task] in appendix


@pytest.mark.thorough
def test_a_refit_that_met_nan_is_told_and_left_out(make_run, task, figures_unpainted):
    run = make_run(**TASKS[task], diverged_refit=2)
    page.write(run.path)
    summary = summary_of(run)
    assert summary["without_numbers"] == len(read(run).tests[2].cases)
    assert any(
        "predictions are of outer folds with predictions that are not numbers" in text
        for text in summary["caveats"]
    )
    assert summary["metrics"][summary["headline"]]["folds"]["2"]["value"] is None
    assert summary["metrics"][summary["headline"]]["count"] == 4


def test_nothing_is_claimed_before_the_first_test(make_run, task, figures_unpainted):
    run = make_run(**TASKS[task], tested=())
    html = page.write(run.path).read_text(encoding="utf-8")
    assert "No estimate yet" in html
    assert summary_of(run)["metrics"][TASKS[task]["metric"]]["mean"] is None


def test_every_item_of_the_checklists_is_answered(make_run, task):
    evidence = read(make_run(**TASKS[task]))
    items = {(item.guideline, item.number): item for item in checklist(evidence, summarise(evidence))}
    assert len(items) == 44 + 52
    told = " ".join(item.answer + item.missing for item in items.values())
    assert "softmax" not in told
    assert ("each class" in told) == (task == "segmentation")
    assert "{" not in told
    assert items["TRIPOD+AI", "8a"].answer.startswith("Predicted is the ")
    assert items["CLAIM 2024", "14"].missing


def test_tables_for_a_paper_have_the_values_of_the_task(make_run, task):
    evidence = read(make_run(**TASKS[task]))
    tables = latex.tables(summarise(evidence), evidence.section)
    assert {"multilabel": "labels", "regression": "agreement", "segmentation": "classes"}[task] in tables
    assert "confusion" not in tables


def test_runs_of_different_tasks_are_not_compared(make_run):
    one, other = make_run("one", **LABELS), make_run("other", **NUMBER)
    with pytest.raises(UsageError, match="different tasks, multilabel and regression"):
        comparison.compare([str(one.path), str(other.path)])


@mostly_thorough("task", list(TASKS), kept=("segmentation",))
def test_runs_of_one_task_are_compared_by_its_metrics(make_run, task):
    one = make_run("one", **TASKS[task])
    other = make_run("other", **TASKS[task])
    edit_run(other.path, lambda run: run["config"].update(seed=1))

    def worse(test):
        if task == "segmentation":  # half of what was right is missed
            right, wrong, missed = np.moveaxis(test.arrays["volumes"], -1, 0)
            volumes = np.stack([0.5 * right, wrong, missed + 0.5 * right], axis=-1)
            return {"arrays": {**test.arrays, "volumes": volumes}}
        key = "probabilities" if task == "multilabel" else "predictions"
        return {"arrays": {**test.arrays, key: 0.5 * test.arrays[key]}}

    for fold in range(5):
        edit_test(other, fold, worse)
    metric = {"multilabel": "log_loss", "regression": "mae", "segmentation": "mean_dice"}[task]
    found = comparison.compare([str(one.path), str(other.path)], metric, rope=0.01)
    assert found["label"] == registry.of(task).metrics({}).METRICS[metric].label
    assert (found["pairs"][0]["mean"] > 0) == (task == "segmentation")


@pytest.mark.thorough
def test_a_planted_task_shows_what_it_measured_itself(make_run, figures_unpainted):
    run = make_run()
    rows = {
        "dice": {"label": "Dice", "higher_is_better": True},
        "time": {"label": "Time", "higher_is_better": False},
    }
    edit_run(run.path, lambda record: record.update(task="planted", metrics=rows, inner_metric="dice"))
    for fold in range(5):
        edit_test(run, fold, lambda _, fold=fold: {"values": {"dice": 0.7 + 0.01 * fold, "time": None}})
    html = page.write(run.path).read_text(encoding="utf-8")
    summary = summary_of(run)
    assert summary["metrics"]["dice"]["mean"] == pytest.approx(0.72)
    assert summary["metrics"]["dice"]["intervals"][0]["low"] < 0.72
    assert summary["sentence"].startswith("Dice 0.720 (95 % interval ")
    assert "task planted" in summary["sentence"]
    assert "Dice" in html


def test_an_unknown_selection_metric_is_refused_and_never_replaced(make_run):
    run = make_run()
    edit_run(run.path, lambda record: record.update(inner_metric="sharpness"))
    with pytest.raises(UsageError, match="'sharpness', which is no metric of the task 'classification'"):
        page.write(run.path)
    edit_run(run.path, lambda record: record.pop("inner_metric"))
    assert read(run).headline == "balanced_accuracy"
