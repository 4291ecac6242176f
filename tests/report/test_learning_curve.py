"""The learning curve over subjects: the law that made the points is found, and what is no part is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics.contract import NOT_NEGATIVE, SHARE
from nachos_jax.report.figures.learning_curve import learning_curve
from nachos_jax.report.numbers import learning_curve as curves
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.learning_curve import Point
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.page import audit_page
from nachos_jax.report.reading import evidence as records


def _points(values: np.ndarray, subjects: np.ndarray, se: float = 0.01) -> list[Point]:
    return [
        Point(f"run{n:.0f}", float(n), float(v), se, float(v) - 0.02, float(v) + 0.02)
        for n, v in zip(subjects, values, strict=True)
    ]


SUBJECTS = np.asarray([50.0, 100.0, 200.0, 400.0, 800.0])


@pytest.mark.parametrize(("a", "b", "c", "higher"), [(0.95, 2.0, 0.6, True), (0.2, 3.0, 0.5, False)])
def test_the_law_behind_points_is_found(a: float, b: float, c: float, higher: bool):
    sign = 1 if higher else -1
    points = _points(a - sign * b * SUBJECTS**-c, SUBJECTS)
    law = curves.fitted(points, higher, SHARE if higher else NOT_NEGATIVE)
    np.testing.assert_allclose(
        law.at(np.asarray([50, 1600])), a - sign * b * np.asarray([50, 1600.0]) ** -c, atol=1e-3
    )
    assert law.c == pytest.approx(c, abs=0.02)


def test_no_law_leaves_the_range_and_none_bends_down():
    steep = _points(np.asarray([0.7, 0.85, 0.999]), SUBJECTS[:3])
    assert curves.fitted(steep, True, SHARE).at(np.asarray([1e9])) <= 1
    falling = curves.fitted(_points(np.asarray([0.9, 0.8, 0.7]), SUBJECTS[:3]), True, SHARE)
    assert falling.b == 0
    assert falling.at(np.asarray([1e6])) == pytest.approx(0.8)


def test_drawing_words_and_interval(monkeypatch):
    monkeypatch.setattr(curves, "DRAWS", 50)
    points = _points(0.95 - 2 * SUBJECTS**-0.6, SUBJECTS)
    law = curves.fitted(points, True, SHARE)
    ahead = curves._ahead(points, law, True, SHARE)
    assert ahead["low"] < ahead["value"] < ahead["high"] <= 1
    assert ahead["subjects"] == 1600
    found = {
        "metric": "auc",
        "label": "AUC",
        "points": [vars(point) for point in points],
        "law": vars(law),
        "ahead": ahead,
    }
    figure = learning_curve(found)
    assert figure.rows[-1][0] == "extrapolated"
    assert len(figure.rows) == 6
    words = audit_page.curve_words(found)
    assert "with 1,600: an extrapolation and no estimate" in words
    assert "takes the runs for independent, each with its corrected SE over folds; they share cases." in words
    assert "fitted to three runs" in audit_page.curve_words({**found, "law": None, "ahead": None})


def test_runs_that_are_no_part_are_refused(make_run):
    whole, other = make_run("whole"), make_run("other", classes=("no", "yes"))
    with pytest.raises(UsageError, match="differ in task, classes or metric"):
        curves.curve([str(whole.path), str(other.path)])
    with pytest.raises(UsageError, match="is no run over a part of the cases"):
        curves.curve([str(whole.path), str(make_run("same", seed=1).path)])


def test_points_of_runs_count_their_training_subjects(make_run, monkeypatch):
    whole, part = make_run("whole"), make_run("part", cases=120)
    monkeypatch.setattr(curves, "_check", lambda *_: None)
    told = curves.curve([str(whole.path), str(part.path)])
    assert [point["run"] for point in told["points"]] == [str(part.path), str(whole.path)]
    assert told["points"][1]["subjects"] == pytest.approx(120 * 4 / 5)
    assert told["law"] is None
    for point, run in zip(told["points"], (part, whole), strict=True):
        evidence = records.read(run)
        assert evidence.ratio
        values = [Estimates(evidence).of_fold("balanced_accuracy", fold).value for fold in range(5)]
        sd = np.std(np.array(values, float), ddof=1)
        assert point["se"] == pytest.approx(np.sqrt(1 / 5 + evidence.ratio) * sd)
        assert point["se"] > 1.4 * sd / np.sqrt(5)


def test_a_run_without_spread_takes_that_of_the_others():
    points = _points(np.asarray([0.7, 0.8, 0.9]), SUBJECTS[:3])
    _, _, spread = curves._columns([replace(points[0], se=0.0), *points[1:]])
    assert spread.tolist() == [0.01, 0.01, 0.01]


def _by_subject(make_run, name: str, pool: str = "mean", **changes):
    settings = (("unit", "subject"), ("pool", pool), ("headline", "unit"), ("replicates", 200))
    run = make_run(name, settings=settings, classes=("no", "yes"), inner=False, **changes)
    run.write_units([row.subject for row in records.read(run).cases])
    return run


def test_points_are_by_the_unit_that_reports_lead_with(make_run, monkeypatch):
    whole, part = _by_subject(make_run, "whole"), _by_subject(make_run, "part", cases=120)
    monkeypatch.setattr(curves, "_check", lambda *_: None)
    told = curves.curve([str(whole.path), str(part.path)])
    assert told["label"] == "Balanced accuracy by subject"
    for point, run in zip(told["points"], (part, whole), strict=True):
        summary = summarise(records.read(run))
        led, by_case = (of["metrics"]["balanced_accuracy"] for of in (summary["units"], summary))
        assert point["value"] == led["mean"] != by_case["mean"]
        assert [point[end] for end in ("low", "high")] == [led["intervals"][0][e] for e in ("low", "high")]
    other = _by_subject(make_run, "other", "max", cases=120)
    with pytest.raises(UsageError, match=r"lead with different scores \(by subject, mean; by subject, max\)"):
        curves.curve([str(whole.path), str(other.path)])
    plain = make_run("plain", classes=("no", "yes"), cases=120)
    with pytest.raises(UsageError, match=r"\(by subject, mean; by case\)"):
        curves.curve([str(whole.path), str(plain.path)])
