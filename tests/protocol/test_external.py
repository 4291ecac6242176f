"""External cases: kept out of everything, and tested once by each model."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nachos_jax
from nachos_jax import ArrayCases
from nachos_jax.core.errors import UsageError
from nachos_jax.data.store import Dense
from nachos_jax.data.table import Cohort
from nachos_jax.protocol.deploy import deploy
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import external
from nachos_jax.protocol.run import opening, outside
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from nachos_jax.report.reading import evidence
from nachos_jax.tasks import classification, regression
from tests import tiny, vectors
from tests.inputs import dense

AWAY = 24
EXTERNAL = {"data__external": ("away",)}
SHORT: dict[str, Any] = {"training__epochs": 2, "training__patience": 2, "search__trials": 2}
SHORT |= {"report__replicates": 200}


def whole(dtype: str = "float32") -> Cohort:
    """The tiny cohort of one site, and cases of another one behind it: darker, and fewer of class 0."""
    images, labels, folds = tiny.arrays(dtype)
    draw = np.random.default_rng(11)
    there = np.arange(6, 6 + AWAY)
    more = images[there] * 0.9 + draw.normal(0, 3, images[there].shape)
    subjects = [f"s{row // 2:02d}" for row in range(len(images) + AWAY)]
    sites = ["home"] * len(images) + ["away"] * AWAY
    found = ArrayCases(
        np.concatenate([images, more.astype(dtype)]),
        np.concatenate([labels, np.where(np.arange(AWAY) < 6, 2, labels[there])]),
        subjects,
        sites,
        np.concatenate([folds, folds[:AWAY]]),
    )
    return nachos_jax.cohort(found)


def home(of: Cohort) -> Cohort:
    """The cases of the first site, as if no others had been read."""
    rows = np.flatnonzero(np.asarray(of.table.sites) == "home")
    return of.take(rows, classification.TASK.part(of.targets, rows))


def spoilt(of: Cohort) -> Cohort:
    """The external cases hold NaN, and their labels are shuffled."""
    away = np.flatnonzero(np.asarray(of.table.sites) == "away")
    images, labels = np.array(dense(of)), np.array(of.targets.values)
    images[away], labels[away] = np.nan, np.roll(labels[away], 5)
    has = np.eye(len(of.targets.names), dtype=bool)[labels]
    targets = dataclasses.replace(of.targets, values=labels, has=has)
    return dataclasses.replace(of, store=Dense(images), targets=targets)


def content(run: Path, leave: tuple[str, ...] = ()) -> dict[str, bytes]:
    """All records and tables by name, but what tells times, and what the caller leaves out."""
    leave = ("sessions", "run.json", "external", "external.json", "report", "report.json", *leave)
    files = [
        path for path in run.rglob("*") if path.is_file() and not {*path.relative_to(run).parts} & {*leave}
    ]
    names = {str(path.relative_to(run)): path.read_bytes() for path in files}
    return {name: data for name, data in names.items() if name not in ("environment.json", ".lock")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("external") / "run"
    evaluate(tiny.run_config(**EXTERNAL, **SHORT), str(run), None, whole(), quiet=True)
    deploy(tiny.run_config(**EXTERNAL, **SHORT), str(run), whole(), quiet=True)
    return run


def test_external_cases_are_parted_from_those_inside():
    every = whole()
    inside = outside.parted(tiny.run_config(**EXTERNAL), every)
    assert inside.outside is not None
    assert inside.table.names.tolist() == every.table.names[: tiny.CASES].tolist()
    assert inside.outside.table.names.tolist() == every.table.names[tiny.CASES :].tolist()
    np.testing.assert_array_equal(dense(inside), dense(every)[: tiny.CASES])
    np.testing.assert_array_equal(dense(inside.outside), dense(every)[tiny.CASES :])


def test_the_run_is_that_of_the_cases_inside_alone(finished: Path, tmp_path: Path):
    alone = tmp_path / "run"
    evaluate(tiny.run_config(**SHORT), str(alone), None, home(whole()), quiet=True)
    deploy(tiny.run_config(**SHORT), str(alone), home(whole()), quiet=True)
    assert content(finished, ("model.json",)) == content(alone, ("model.json",))
    ours, theirs = (RunDirectory(run).run() for run in (finished, alone))
    assert ours is not None
    assert theirs is not None
    assert ours["cases"] == theirs["cases"]
    assert ours["n_cases"] == theirs["n_cases"] == tiny.CASES
    assert ours["external"]["cases"] == AWAY
    assert "external" not in theirs
    assert not (alone / "records/external.json").exists()


@pytest.mark.thorough
@pytest.mark.parametrize("searcher", ["random", pytest.param("ax", marks=pytest.mark.thorough)])
def test_nothing_of_external_cases_reaches_the_estimate(searcher: str, tmp_path: Path):
    more = {**EXTERNAL, **SHORT, "search__searcher": searcher, "training__class_weight_exponent": 1.0}
    more |= {"search__trials": 3, "search__initial": 2, "data__equal_images": "accept"}
    for name, of in (("clean", whole()), ("spoilt", spoilt(whole()))):
        evaluate(tiny.run_config(**more), str(tmp_path / name), None, of, quiet=True)
    assert content(tmp_path / "clean") == content(tmp_path / "spoilt")
    clean, other = (RunDirectory(tmp_path / name).external_tests() for name in ("clean", "spoilt"))
    assert len(clean) == len(other) == tiny.FOLDS
    for one, another in zip(clean, other, strict=True):
        assert one.fits == another.fits
        assert not np.array_equal(one.arrays["probabilities"], another.arrays["probabilities"])


def test_each_model_meets_them_once(finished: Path):
    store, shipped = RunDirectory(finished), RunDirectory(finished, "deploy")
    tests, (deployed,) = store.external_tests(), shipped.external_tests()
    assert [test.model for test in tests] == [f"fold_{fold:02d}" for fold in range(tiny.FOLDS)]
    assert [test.fits for test in tests] == [(test.fit,) for test in store.tests()]
    cases = store.external_cases()
    assert cases is not None
    assert len(cases.names) == AWAY
    images = dense(whole())[-AWAY:]
    model = nachos_jax.load(finished / "deploy")
    np.testing.assert_allclose(deployed.arrays["probabilities"], model.probabilities(images), atol=1e-6)
    np.testing.assert_array_equal(deployed.arrays["labels"], whole().targets.values[-AWAY:])


@pytest.mark.thorough
def test_what_is_lost_comes_back_with_the_same_bytes(finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    wanted = {path: path.read_bytes() for path in run.rglob("external*/*.json")}
    wanted[run / "records/external.json"] = (run / "records/external.json").read_bytes()
    assert len(wanted) == tiny.FOLDS + 2
    for path in wanted:
        path.unlink()
    (run / "records/evaluate/tests/fold_02.json").unlink()
    evaluate(tiny.run_config(**EXTERNAL, **SHORT), str(run), None, whole(), quiet=True)
    deploy(tiny.run_config(**EXTERNAL, **SHORT), str(run), whole(), quiet=True)
    assert {path: path.read_bytes() for path in wanted} == wanted


@pytest.mark.thorough
def test_another_deployed_model_is_another_test(finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    config = tiny.run_config(**EXTERNAL, **SHORT, deploy__members="folds")
    for _ in range(2):
        deploy(config, str(run), whole(), quiet=True)
    tests = RunDirectory(run, "deploy").external_tests()
    assert sorted(len(test.fits) for test in tests) == [1, tiny.FOLDS]
    (folds,) = (test for test in tests if len(test.fits) > 1)
    model = nachos_jax.load(run / "deploy")
    found = model.probabilities(dense(whole())[-AWAY:])
    np.testing.assert_allclose(folds.arrays["probabilities"], found, atol=1e-6)


@pytest.mark.thorough
def test_vectors_are_tested_too(tmp_path: Path):
    values, labels, subjects, folds = vectors.arrays(0.05)
    sites = np.where(np.arange(len(labels)) >= 84, "away", "home")
    of = nachos_jax.cohort(ArrayCases(values, labels, subjects, sites, folds, impute="mean"))
    config = vectors.run_config("linear", **EXTERNAL, search__trials=2)
    evaluate(config, str(tmp_path), None, of, quiet=True)
    tests = RunDirectory(tmp_path).external_tests()
    assert [len(test.arrays["labels"]) for test in tests] == [12] * vectors.FOLDS
    assert np.mean([(t.arrays["probabilities"].argmax(1) == t.arrays["labels"]).mean() for t in tests]) > 0.5


def test_other_external_cases_are_refused(finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    with pytest.raises(UsageError, match="The external cases of .* have changed"):
        evaluate(tiny.run_config(**EXTERNAL, **SHORT), str(run), None, spoilt(whole()), quiet=True)
    with pytest.raises(UsageError, match="data.external"):
        evaluate(tiny.run_config(**SHORT), str(run), None, home(whole()), quiet=True)


def _with(of: Cohort, **columns: Any) -> Cohort:
    return dataclasses.replace(of, table=dataclasses.replace(of.table, **columns))


def _labelled(of: Cohort, labels: np.ndarray) -> Cohort:
    has = np.eye(len(of.targets.names), dtype=bool)[labels]
    return dataclasses.replace(of, targets=dataclasses.replace(of.targets, values=labels, has=has))


LAST = np.arange(tiny.CASES + AWAY) >= tiny.CASES
REFUSED = {
    "no such site": (("Away",), lambda of: of, "no case is of site 'Away'.*'away', 'home'"),
    "all sites": (("away", "home"), lambda of: of, "names all sites, and leaves no case"),
    "no sites": (
        ("away",),
        lambda of: _with(of, sites=None),
        "names sites, and the cases have none.*site_key",
    ),
    "a subject on both sides": (
        ("away",),
        lambda of: _with(of, subjects=np.where(LAST, "s00", of.table.subjects)),
        "1 subjects have cases on both sides, like 's00'",
    ),
    "an unknown class": (
        ("away",),
        lambda of: _labelled(of, np.where(LAST, 2, of.targets.values % 2).astype(np.int32)),
        "leaves too little for the estimate: no case of class '2' is left",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_external_is_refused_with_the_cure(name: str):
    sites, change, told = REFUSED[name]
    with pytest.raises(UsageError, match=told):
        outside.parted(tiny.run_config(data__external=sites), change(whole()))


def test_equal_images_on_both_sides_are_refused_unless_accepted(tmp_path: Path):
    of = whole()
    images = np.array(dense(of))
    images[-1] = images[4]
    of = dataclasses.replace(of, store=Dense(images))
    run = tmp_path / "run"
    with pytest.raises(UsageError, match=r"1 external cases are equal to cases inside.*--allow=duplicates"):
        open_run(tiny.run_config(**EXTERNAL), str(run), "evaluate", of)
    opened = open_run(tiny.run_config(**EXTERNAL, data__allow=("duplicates",)), str(run), "evaluate", of)
    assert any("The user has accepted this" in text for text in opened.beyond)


def test_numbers_are_parted_as_if_read_alone():
    images, labels, folds = tiny.arrays()
    values = labels + np.linspace(0, 1, len(labels))
    sites = np.where(np.arange(len(labels)) < 80, "home", "away")
    subjects = np.arange(len(labels)) // 2
    of = nachos_jax.cohort(ArrayCases(images, values, subjects, sites, folds), task="regression")
    found = outside.parted(tiny.run_config(**EXTERNAL, task__name="regression"), of)
    alone = nachos_jax.cohort(
        ArrayCases(images[:80], values[:80], subjects[:80], sites[:80], folds[:80]), task="regression"
    )
    assert found.hash == alone.hash
    assert found.outside is not None
    assert len(found.outside.table) == 16
    assert regression.TASK.name == found.outside.targets.task


@pytest.mark.thorough
def test_the_report_tells_of_them_beside_the_estimate(finished: Path, tmp_path: Path, all_unpainted: None):
    run = shutil.copytree(finished, tmp_path / "run")
    page.write(run)
    summary = json.loads((run / "summary.json").read_text())
    beyond = summary["external"]
    assert (beyond["cases"], beyond["subjects"], beyond["sites"]) == (AWAY, AWAY // 2, ["away"])
    assert len(beyond["tested_by"]) == tiny.FOLDS + 1
    metric = beyond["metrics"]["balanced_accuracy"]
    with open(run / "external_predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == AWAY * (tiny.FOLDS + 1)
    of = {f"fold_{fold:02d}": fold for fold in range(tiny.FOLDS)}
    for model, fold in of.items():
        own = [row for row in rows if row["model"] == model]
        recalls = [
            np.mean([row["predicted"] == name for row in own if row["label"] == name]) for name in "012"
        ]
        assert np.isclose(metric["models"][str(fold)]["value"], np.mean(recalls))
    assert metric["range"][0] <= metric["mean"] <= metric["range"][1]
    made = np.mean(
        [
            [[float(row[f"probability_{name}"]) for name in "012"] for row in rows if row["model"] == m]
            for m in of
        ],
        0,
    )
    truth = [int(row["label"]) for row in rows[:AWAY]]
    score = np.mean([np.mean(made.argmax(1)[np.equal(truth, name)] == name) for name in range(3)])
    assert np.isclose(metric["together"]["value"], score)
    assert metric["together"]["interval"]["count"] == AWAY // 2
    large = beyond["shift"]["calibration_in_the_large"]["external"]
    np.testing.assert_allclose(large, made.mean(0) - np.bincount(truth, minlength=3) / AWAY, atol=1e-12)
    images = dense(whole())
    shown = beyond["shift"]["intensity"]
    for side, part in (("inside", images[:-AWAY]), ("external", images[-AWAY:])):
        np.testing.assert_allclose(
            [shown[side]["mean"][0], shown[side]["sd"][0]], [part.mean(), part.std()], rtol=1e-4
        )
    assert "kept out of everything: Balanced accuracy is" in summary["sentence"]
    text = (run / "report/index.html").read_text()
    told = "tested 5 times in this run directory, once by each model: 4 models of outer folds and 1 deployed"
    assert told in text
    assert "External cohort" in text
    assert "external_predictions.csv" in text


@pytest.mark.thorough
def test_one_class_outside_gives_no_number_that_needs_two(tmp_path: Path, all_unpainted: None):
    of = whole()
    labels = np.array(of.targets.values)
    labels[-AWAY:] = 1
    evaluate(tiny.run_config(**EXTERNAL, **SHORT), str(tmp_path), None, _labelled(of, labels), quiet=True)
    page.write(tmp_path)
    metrics = json.loads((tmp_path / "summary.json").read_text())["external"]["metrics"]
    assert metrics["auc"]["mean"] is None
    assert metrics["auc"]["together"]["note"]
    assert metrics["accuracy"]["together"]["value"] is not None


@pytest.mark.parametrize("name", ["external.json", "evaluate/external/fold_01.json"])
def test_damage_is_told_and_mended(name: str, finished: Path, tmp_path: Path):
    run = shutil.copytree(finished, tmp_path / "run")
    path = run / "records" / name
    before = path.read_bytes()
    path.write_bytes(before.replace(b"[", b"[ ", 1))
    with pytest.raises(UsageError, match="is damaged"):
        evidence.read(RunDirectory(run))
    path.unlink()
    evaluate(tiny.run_config(**EXTERNAL, **SHORT), str(run), None, whole(), quiet=True)
    assert path.read_bytes() == before


@pytest.mark.thorough
def test_the_flat_protocol_tests_its_deployed_model_alone(tmp_path: Path, all_unpainted: None):
    config = tiny.run_config(**EXTERNAL, **SHORT, protocol="flat", training__early_stopping=False)
    evaluate(config, str(tmp_path), None, whole(), quiet=True)
    page.write(tmp_path)
    before = json.loads((tmp_path / "summary.json").read_text())
    assert before["external"]["tested_by"] == []
    assert "external" not in before["sentence"]
    assert "They are not tested yet." in (tmp_path / "report/index.html").read_text()
    deploy(config, str(tmp_path), whole(), quiet=True)
    page.write(tmp_path)
    after = json.loads((tmp_path / "summary.json").read_text())
    assert [test["model"] for test in after["external"]["tested_by"]] == ["deploy"]
    assert "of the deployed model" in after["sentence"]
    known = opening._tested(open_run(config, str(tmp_path), "evaluate", whole()))
    assert known == tiny.FOLDS, "who names others now may know the estimate"


def test_the_truth_that_members_share_is_not_averaged():
    truth = np.random.default_rng(0).normal(size=40)
    each = [{"targets": truth.copy(), "predictions": truth + number} for number in range(5)]
    found = external._mean(each)
    assert (found["targets"] == truth).all(), "a mean of equal numbers may differ in its last bit"
    np.testing.assert_allclose(found["predictions"], truth + 2)
