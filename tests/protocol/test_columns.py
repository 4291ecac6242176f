"""What columns add: a planted one is missed once permuted, noise is not, no record changes."""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

import nachos_jax
from nachos_jax.core.errors import UsageError
from nachos_jax.metrics import classification
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import columns
from nachos_jax.protocol.run.opening import open_run
from nachos_jax.records.columns import ColumnTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.numbers import columns as numbers
from nachos_jax.report.numbers.estimates import SITES
from nachos_jax.report.page import page
from nachos_jax.splits.folds import Folds
from tests import joined, tiny, vectors

SHORT: dict[str, Any] = {"search__trials": 1, "report__replicates": 200, "training__epochs": 12}
SHORT |= {"training__patience": 12, "training__learning_rate": 0.05}
TELLING, NOISE = "age", "texture"


def blank() -> Any:
    """The tiny cases with columns, of which one tells the class; their images tell nothing."""
    found = joined.cohort()
    values = np.array(joined.columns())
    draw, labels = np.random.default_rng(3), found.targets.values
    values[:, 0] = 50 + 10 * labels + draw.normal(size=len(labels))
    store = joined.store_of(joined.with_columns(found, values))
    noise = draw.integers(0, 255, store.images.values.shape).astype(store.images.values.dtype)
    images = dataclasses.replace(store.images, values=noise)
    return dataclasses.replace(found, store=dataclasses.replace(store, images=images))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("columns") / "run"
    evaluate(tiny.run_config(**SHORT), str(run), None, blank(), quiet=True)
    return run


def rows(run: Path) -> dict[str, Any]:
    page.write(run)
    found = json.loads((run / "summary.json").read_text())["columns"]
    return {row["column"]: row for row in (*found["rows"], found["together"])}


def test_a_planted_column_is_missed_and_noise_is_not(finished: Path):
    found = rows(finished)
    assert set(found) == {*joined.NAMES, ""}
    assert found[TELLING]["worse_by"] > 0.2
    assert found[TELLING]["interval"]["low"] > 0
    assert found[NOISE]["interval"]["low"] <= 0 <= found[NOISE]["interval"]["high"]
    assert found[""]["worse_by"] > 0.2
    text = (finished / "report/index.html").read_text()
    assert "What the columns add" in text
    assert "A column that tells what another column, or the image, tells too" in text
    assert "all together" in (finished / "report/report.md").read_text()
    assert f"({TELLING})" in (finished / "report/report.md").read_text()  # in the checklists
    with open(finished / "column_drops.csv", newline="") as file:
        told = list(csv.DictReader(file))
    assert len(told) == 4 * tiny.FOLDS
    mean = np.mean([float(row["worse_by"]) for row in told if row["column"] == TELLING])
    assert mean == pytest.approx(found[TELLING]["worse_by"])


def test_the_plain_score_is_that_of_the_test(finished: Path):
    metrics = json.loads((finished / "summary.json").read_text())
    of_test = metrics["metrics"][metrics["headline"]]["folds"]
    for test in RunDirectory(finished).column_tests():
        assert test.plain == pytest.approx(of_test[str(test.outer_fold)]["value"], abs=1e-6)
        assert {len(scores) for scores in test.columns.values()} == {columns.REPEATS}


@pytest.mark.thorough
def test_an_older_run_is_asked_later_and_gives_the_same_bytes(finished: Path, tmp_path: Path):
    folder = finished / "records/evaluate/columns"
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    others = {path: path.read_bytes() for path in (finished / "records/evaluate/studies").rglob("*.json")}
    for path in folder.iterdir():
        path.unlink()
    page.write(finished)
    assert "columns" not in json.loads((finished / "summary.json").read_text())
    evaluate(tiny.run_config(**SHORT), str(finished), None, blank(), quiet=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    assert {path: path.read_bytes() for path in others} == others


@pytest.mark.thorough
def test_a_refit_that_cannot_predict_again_costs_a_finished_run_no_more_than_its_columns(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """As an estimator of another version of scikit-learn."""
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    store, network = RunDirectory(run), columns.external.network
    for path in (run / "records/evaluate/columns").iterdir():
        path.unlink()

    def changed(opened, record):
        if record.fit == store.tests()[0].fit:
            raise UsageError("another version")
        return network(opened, record)

    monkeypatch.setattr(columns.external, "network", changed)
    with caplog.at_level(logging.WARNING, "nachos_jax"):
        evaluate(tiny.run_config(**SHORT), str(run), None, blank(), quiet=True)
    assert "columns of outer fold 0 are not asked: another version" in caplog.text
    assert {test.outer_fold for test in store.column_tests()} == set(range(1, tiny.FOLDS))
    assert set(rows(run)) == {*joined.NAMES, ""}


def test_a_test_of_another_fit_is_refused(finished: Path):
    store = RunDirectory(finished)
    path = store.column_path(0)
    data = path.read_bytes()
    found = json.loads(data)
    fits = [test.fit for test in store.tests()]
    try:
        path.write_text(data.decode().replace(found["fit"], fits[1]))
        with pytest.raises(UsageError, match="fold_00"):
            page.write(finished)
    finally:
        path.write_bytes(data)


def test_permutations_are_named(tmp_path: Path):
    """By seed, fit, column and repeat: others move other cases, the same ones the same."""
    run = open_run(tiny.run_config(**SHORT), str(tmp_path / "run"), "evaluate", blank())
    record: Any = type("Record", (), {"fit": "00"})()
    values = np.arange(60.0).reshape(20, 3)
    one, same, other = (columns._permuted(run, record, values, [1], ("age", i)) for i in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(one[:, [0, 2]], values[:, [0, 2]])
    assert sorted(one[:, 1]) == sorted(values[:, 1])
    together = columns._permuted(run, record, values, [0, 1, 2], ("", 0))
    assert {tuple(row) for row in together} == {tuple(row) for row in values}


@pytest.mark.thorough
def test_images_alone_are_not_asked(tmp_path: Path):
    config = tiny.run_config(search__trials=1, training__epochs=1)
    assert columns.asked(blank()) == joined.NAMES
    run = evaluate(config, str(tmp_path / "run"), [0], tiny.cohort(), quiet=True)
    assert columns.asked(run.cohort) == ()
    assert not (tmp_path / "run/records/evaluate/columns").exists()


@pytest.mark.thorough
def test_columns_alone_are_asked_and_too_many_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    values, labels, subjects, folds = vectors.arrays()
    draw = np.random.default_rng(4)
    values = draw.normal(size=values.shape).astype(np.float32)
    values[:, 2] += 3 * labels
    cohort = nachos_jax.cohort(nachos_jax.ArrayCases(values, labels, subjects, folds=folds))
    config = vectors.run_config(search__trials=1, report__replicates=200)
    run = evaluate(config, str(tmp_path / "one"), None, cohort, quiet=True)
    names = columns.asked(run.cohort)
    assert len(names) == vectors.FEATURES
    found = rows(tmp_path / "one")
    assert set(found) == {*names, ""}
    assert max(names, key=lambda name: found[name]["worse_by"]) == names[2]
    assert found[names[2]]["interval"]["low"] > 0
    monkeypatch.setattr(columns, "MOST_ALONE", 3)
    evaluate(config, str(tmp_path / "two"), None, cohort, quiet=True)
    assert set(rows(tmp_path / "two")) == {""}
    told, one = ((tmp_path / name / "report/index.html").read_text() for name in ("two", "one"))
    assert f"{vectors.FEATURES} columns are too many to permute one by one" in told
    assert "once the values of all columns together are permuted" in told
    assert "A column that tells" not in told
    assert "With the values of all columns permuted" in (tmp_path / "two/report/report.md").read_text()
    assert "A column that tells what another column tells too" in one, "no image is there"
    assert "too many to permute" not in one


def test_estimators_are_asked_one_by_one_of_few_rows_alone(monkeypatch: pytest.MonkeyPatch):
    names = tuple(f"f{i}" for i in range(vectors.FEATURES))
    folds = Folds(vectors.arrays()[3].astype(np.int32)[None], vectors.FOLDS)

    def asked(*architectures: str) -> int:
        config = SimpleNamespace(candidates=lambda _: architectures)
        run: Any = SimpleNamespace(config=config, folds=folds, cohort=vectors.cohort())
        return len(columns._one_by_one(run, names))

    rows = vectors.CASES // vectors.FOLDS * vectors.FEATURES * columns.REPEATS
    monkeypatch.setattr(columns, "MOST_ROWS", rows)
    assert asked("linear", "random_forest") == vectors.FEATURES
    monkeypatch.setattr(columns, "MOST_ROWS", rows - 1)
    assert asked("linear", "random_forest") == 0, "whichever was chosen: folds are asked alike"
    assert asked("linear") == vectors.FEATURES


@pytest.mark.parametrize(("name", "sign"), [("accuracy", 1.0), ("brier", -1.0)])
def test_worse_is_worse_whatever_the_sign_of_the_metric(name: str, sign: float):
    """Scores are turned in the records, and as they were measured in the summary."""
    tests = {
        fold: ColumnTest(
            fold,
            "",
            name,
            0.9 * sign,
            {"a": (0.7 * sign - 0.01 * fold,) * 2, "b": (None,) * 2},
            (0.5 * sign,) * 2,
        )
        for fold in range(3)
    }
    evidence: Any = SimpleNamespace(
        columns=tests,
        tests=dict.fromkeys(tests),
        of_sites=False,
        headline=name,
        metrics=classification,
        count=3,
        ratio=None,
        settings=SimpleNamespace(level=0.95),
        run={"preparation": {"features": ["a", "b"]}},
    )
    plain: dict[str, Any] = {evidence.headline: {}}
    found = numbers.columns(evidence, plain)
    assert found is not None
    a, b = found["rows"]
    assert a["folds"]["2"]["plain"] == pytest.approx(0.9)
    assert a["folds"]["2"]["permuted"] == pytest.approx(0.7 - 0.02 * sign)
    assert a["worse_by"] == pytest.approx(0.2 * sign + 0.01)
    assert a["interval"]["low"] < a["worse_by"] < a["interval"]["high"]
    assert b["worse_by"] is None
    assert not found["beside_images"]
    fewer = {**tests, 1: dataclasses.replace(tests[1], columns={"a": tests[1].columns["a"], "b": ()})}
    mixed = numbers.columns(SimpleNamespace(**{**vars(evidence), "columns": fewer}), plain)  # pyrefly: ignore[bad-argument-type]
    assert mixed is not None
    assert ([row["column"] for row in mixed["rows"]], mixed["left_out"]) == (["a"], 1)
    assert evidence.headline == found["metric"]
    part = {fold: tests[fold] for fold in (0, 2)}
    further = numbers.columns(SimpleNamespace(**{**vars(evidence), "columns": part, "of_sites": True}), plain)  # pyrefly: ignore[bad-argument-type]
    assert further is not None
    assert further["rows"][0]["interval"]["count"] == 2
    assert further["rows"][0]["interval"] != a["interval"]
    assert SITES in further["rows"][0]["interval"]["note"] or further["rows"][0]["interval"]["low"] is None
    whole = numbers.columns(SimpleNamespace(**{**vars(evidence), "of_sites": True}), plain)  # pyrefly: ignore[bad-argument-type]
    assert whole is not None
    assert SITES in whole["rows"][0]["interval"]["note"]
    settings = SimpleNamespace(level=0.8)
    wide = numbers.columns(SimpleNamespace(**{**vars(evidence), "ratio": 0.7, "settings": settings}), plain)  # pyrefly: ignore[bad-argument-type]
    assert wide is not None
    half = stats.t(2).ppf(0.9) * np.sqrt(1 / 3 + 0.7) * 0.01
    assert wide["rows"][0]["interval"]["low"] == pytest.approx(a["worse_by"] - half)
