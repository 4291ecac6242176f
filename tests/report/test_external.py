"""The external cohort beside the estimate: intervals against a plain loop, the shift, the figure."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nachos_jax.metrics import classification
from nachos_jax.metrics.calibration import recalibration
from nachos_jax.records.external import ExternalCases, ExternalTest
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.checklists.facts import Facts
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.page import page
from nachos_jax.report.reading import evidence as records
from nachos_jax.report.reading.external import External
from nachos_jax.report.words.templating import environment, one_line
from nachos_jax.statistics.bootstrap import resamples
from tests.records import seals
from tests.report import task_cases
from tests.report.conftest import FakeRun

pytestmark = pytest.mark.usefixtures("all_unpainted")

pytestmark = pytest.mark.usefixtures("all_unpainted")  # pictures are for test_figures
CASES, CLASSES, HASH = 90, 3, "ab12"
RNG = np.random.default_rng(5)
LABELS = np.repeat(RNG.choice(CLASSES, CASES // 2, p=(0.6, 0.3, 0.1)), 2)
SUBJECTS = np.array([f"x{row // 2:02d}" for row in range(CASES)])
SITES = np.where(np.arange(CASES) < 60, "north", "south")


def made(seed: int, noise: float = 1.0) -> np.ndarray:
    """[CASES, CLASSES] probabilities that are often right, as float32 records hold them."""
    logits = np.random.default_rng(seed).normal(0, noise, (CASES, CLASSES)) + 1.5 * np.eye(CLASSES)[LABELS]
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32).astype(float)


def add(
    directory: RunDirectory,
    labels: np.ndarray = LABELS,
    seeds: Any = None,
    mean: float | None = 90.0,
    noise: float = 1.0,
) -> dict[str, Any]:
    """Commits external cases and a test by each refit to a run; returns the entry of summary.json."""
    seals.edit(directory.records / "run.json", external={"hash": HASH})
    sides: Any = {"inside": {"mean": [100.0], "sd": [20.0]}, "external": {"mean": [mean], "sd": [30.0]}}
    names = np.array([f"e{row:03d}" for row in range(len(labels))])
    where = (names, SUBJECTS[: len(labels)], SITES[: len(labels)])
    directory.commit_external_cases(ExternalCases(HASH, *where, labels, sides))
    for test in directory.tests():
        name = f"fold_{test.outer_fold:02d}"
        rows = made((seeds or {}).get(test.outer_fold, test.outer_fold), noise)[: len(labels)]
        arrays = {"labels": labels, "probabilities": rows}
        directory.commit_external_test(name, ExternalTest(name, (test.fit,), HASH, arrays))
    page.write(directory.path)
    return json.loads((directory.path / "summary.json").read_text())["external"]


@pytest.fixture
def run(make_run) -> RunDirectory:
    return make_run(folds=3, groups=False)


@pytest.fixture(scope="module")
def told(built, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run with external cases whose report is written, and its entry of summary.json; only to be read."""
    place = tmp_path_factory.mktemp("external") / "run"
    shutil.copytree(built(FakeRun(folds=3, groups=False)), place)
    return place, add(RunDirectory(place))


def loop(of: list[np.ndarray]) -> tuple[float, float]:
    """The percentiles of the mean over models of a plain loop that repeats drawn cases."""
    values = []
    for weights in resamples(SUBJECTS, LABELS, 200, 0).astype(int):
        rows = np.repeat(np.arange(CASES), weights)
        one = [classification.evaluate("balanced_accuracy", LABELS[rows], p[rows], "abc").value for p in of]
        values.append(np.mean([value for value in one if value is not None]))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def test_intervals_of_each_model_and_of_their_mean_are_those_of_a_plain_loop(told):
    metric = told[1]["metrics"]["balanced_accuracy"]
    models = {str(fold): made(fold) for fold in range(3)}
    assert set(metric["intervals"]) == {*models, "mean"}
    for name, of in {**{name: [one] for name, one in models.items()}, "mean": [*models.values()]}.items():
        found = metric["intervals"][name]
        assert found["unit"] == "subjects"
        assert found["count"] == CASES // 2
        np.testing.assert_allclose((found["low"], found["high"]), loop(of), atol=1e-6)
    assert np.isclose(metric["intervals"]["mean"]["estimate"], metric["mean"])


@pytest.mark.thorough
def test_models_that_agree_have_the_interval_of_one(run: RunDirectory):
    metric = add(run, seeds=dict.fromkeys(range(3), 7))["metrics"]["balanced_accuracy"]
    ends = {(round(i["low"], 6), round(i["high"], 6)) for i in metric["intervals"].values()}
    assert ends == {
        (round(metric["together"]["interval"]["low"], 6), round(metric["together"]["interval"]["high"], 6))
    }


def test_the_estimate_inside_is_held_against_the_average_of_the_models_as_it_is_one(make_run):
    """The errors of these models are independent, so what they predict together is far better than each."""
    beyond = add(make_run(folds=5, groups=False), noise=2.5)
    metric = beyond["metrics"]["balanced_accuracy"]
    together, ends = metric["together"]["value"], metric["intervals"]["mean"]
    assert together > ends["high"] + 0.05
    template, macro = environment(html=False).get_template("words/external.j2"), "difference"

    def said(inside: float) -> str:
        changed = {**beyond, "metrics": {"balanced_accuracy": {**metric, "inside": inside}}}
        return one_line(
            getattr(template.module, macro)({"headline": "balanced_accuracy", "external": changed})
        )

    assert said(together).endswith("; the interval of their average does not hold it.")
    assert said(metric["mean"]).endswith("; the interval of their average holds it.")
    low, high = (f"{ends[end]:.3f}" for end in ("low", "high"))
    assert f"; 95 % interval {low} to {high} over 45 subjects) and {together:.3f} of their" in said(together)
    own = metric["together"]["interval"]
    told = f"mean prediction (95 % interval {own['low']:.3f} to {own['high']:.3f} over 45 subjects)."
    assert told in said(together)


def test_the_shift_has_intervals_slope_and_a_difference_in_sds(told):
    shift = told[1]["shift"]
    assert shift["standardised_difference"] == [-0.5]
    for place, interval in enumerate(shift["observed_intervals"]["external"]):
        assert np.isclose(interval["estimate"], np.mean(place == LABELS))
        assert interval["low"] < interval["estimate"] < interval["high"]
        assert interval["count"] == CASES // 2
    assert [interval["count"] for interval in shift["observed_intervals"]["inside"]] == [120] * CLASSES
    together = np.mean([made(fold) for fold in range(3)], axis=0)
    for place, found in enumerate(shift["calibration_slope"]["external"]):
        wanted = recalibration(np.equal(LABELS, place), together[:, place]).slope
        assert found["note"] == wanted.note
        assert found["value"] == pytest.approx(wanted.value)


def test_calibration_in_the_large_has_one_meaning_on_a_page(told):
    """The intercept of its name is above 0 where predictions are too low; the shift is not."""
    path, beyond = told
    inside, outside = (path / "report/index.html").read_text().split('<section aria-labelledby="external">')
    outside = outside.split("</section>")[0]
    assert "in the large" not in outside.lower()
    assert "minus what was observed is above 0, the models say too much" in outside
    assert "Mean prediction minus observed" in outside
    together = np.mean([made(fold) for fold in range(3)], axis=0)
    rows = [
        row for row in beyond["shift"]["rows"] if row["name"].startswith("Mean prediction minus observed")
    ]
    for place, row in enumerate(rows):
        minus = together[:, place].mean() - np.mean(place == LABELS)
        assert row["external"]["value"] == pytest.approx(minus)
    assert "Calibration in the large is the intercept at slope 1" in inside


def test_the_figure_shows_models_sites_and_the_estimate_inside(told):
    path, beyond = told
    with open(path / "report/figures/external.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["subgroup"] for row in rows]
    wanted = ["model 0", "model 1", "model 2", "mean of models", "mean prediction", "north", "south"]
    assert [name.rstrip("*") for name in names] == [*wanted, "estimate inside"]
    noted = [row["site"] for row in beyond["by_site"] if row["value"] is not None and row["note"]]
    assert [name.rstrip("*") for name in names if name.endswith("*")] == noted
    values = [beyond["metrics"]["balanced_accuracy"]["models"][str(fold)]["value"] for fold in range(3)]
    np.testing.assert_allclose([float(row["value"]) for row in rows[:3]], values)
    assert [int(row["cases"]) for row in rows[5:7]] == [60, 30]
    assert "Calibration slope" in (path / "report/index.html").read_text()


@pytest.mark.thorough
def test_pixels_that_are_no_numbers_have_no_difference(run: RunDirectory):
    assert add(run, mean=None)["shift"]["standardised_difference"] == [None]


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.thorough), 4])
def test_few_external_subjects_get_no_interval_but_the_reason(count: int, run: RunDirectory):
    beyond = add(run, LABELS[:count])
    interval = beyond["metrics"]["accuracy"]["intervals"]["mean"]
    assert interval["low"] is None
    assert "subject" in interval["note"]
    assert "no interval" in Path(run.path / "report/index.html").read_text()


def test_a_total_difference_of_what_is_constant_on_each_side_is_a_large_one(make_run):
    """All cases inside from one maker and all external ones from another: no SD measures it."""
    evidence = records.read(make_run(folds=3, groups=False))
    sides = {"inside": {"counts": {"GE": 0, "Siemens": 40}}, "external": {"counts": {"GE": 25, "Siemens": 0}}}
    alone = {
        side: {"subjects": 1, "mean": mean, "sd": None}
        for side, mean in zip(sides, (50.0, 60.0), strict=True)
    }
    cases = ExternalCases(
        HASH, np.arange(CASES).astype(str), SUBJECTS, SITES, LABELS, {}, {"maker": sides, "age": alone}
    )
    arrays = {"labels": LABELS, "probabilities": made(0)}
    tests = {
        fold: ExternalTest(f"fold_{fold:02d}", (test.fit,), HASH, arrays)
        for fold, test in evidence.tests.items()
    }
    summary = summarise(dataclasses.replace(evidence, external=External(cases, tests, ())))
    shift = summary["external"]["shift"]
    assert "Share of maker GE" in shift["large"]
    assert "Mean of age" not in shift["large"]  # of one subject no SD is known
    template, macro = environment(html=False).get_template("words/external.j2"), "differing"
    said = one_line(getattr(template.module, macro)(summary["external"]))
    assert "share of maker GE (1.000 against 0.000 inside)" in said


@pytest.mark.thorough
def test_a_run_without_external_cases_has_no_such_figure(run: RunDirectory):
    page.write(run.path)
    assert not (run.path / "report/figures/external.csv").exists()
    assert "External cohort" not in (run.path / "report/index.html").read_text()


@pytest.mark.parametrize(
    ("task", "title", "absent"),
    [
        (
            task_cases.MASKS,
            "Mean volume of {} in voxels",
            "that counts as 1 in a case where nothing of it is",
        ),
        (task_cases.LABELS, "Share of {}", "areas over labels leave that out"),
    ],
    ids=["masks", "labels"],
)
def test_what_is_averaged_of_external_cases_is_called_what_it_is(make_run, task, title: str, absent: str):
    """The last class or label is in no external case."""
    kind, names = task["task"], task["classes"]
    evidence = records.read(make_run(folds=3, groups=False, inner=False, **task))
    truth = task_cases.truth(kind, LABELS, len(names), 8)
    truth[:, -1] = 0.0
    who = np.array([f"e{row:02d}" for row in range(CASES)])
    tests = {}
    for fold, test in evidence.tests.items():
        arrays = task_cases.recorded(
            kind, truth, task_cases.outputs(kind, truth, np.random.default_rng(fold))
        )
        tests[fold] = ExternalTest(f"fold_{fold:02d}", (test.fit,), HASH, arrays)
    cases = ExternalCases(HASH, who, SUBJECTS, SITES, truth, {})
    evidence = dataclasses.replace(evidence, external=External(cases, tests, ()))
    summary = summarise(evidence)
    rows = {row["name"]: row for row in summary["external"]["shift"]["rows"]}
    for name, mean in zip(names, np.nanmean(truth, axis=0), strict=True):
        row = rows[title.format(name)]
        assert row["external"]["value"] == pytest.approx(mean)
        assert ("decimals" in row) == (kind == "segmentation")
    text = Facts(evidence, summary).of("results.external").text
    assert f"None of them has {names[-1]}: " in text
    assert absent in text
    assert "has no value" not in text


def test_what_an_older_run_json_says_of_other_external_cases_is_not_said_again():
    warnings = [
        "Few cases.",
        "12 external cases are equal to cases inside.",
        "Nothing is known of the subjects of the cases inside: whether some have cases on both sides cannot "
        "be checked.",
    ]
    run = {"external": {"hash": "old"}, "warnings": warnings}
    cases = SimpleNamespace(hash="new", cautions=("External cases come from 'b', a site inside too.",))
    found: Any = SimpleNamespace(cases=cases)
    assert records._with_cautions(run, found)["warnings"] == ["Few cases.", *cases.cautions]
    cases.hash = "old"
    assert records._with_cautions(run, found)["warnings"] == [*warnings, *cases.cautions]
    assert records._with_cautions(run, None)["warnings"] == warnings
