"""The estimate by unit: the metrics of pooled predictions, recomputed by scikit-learn from the tests."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics import pooling
from nachos_jax.records.store import dump
from nachos_jax.report.numbers import comparison, units
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.page import page
from nachos_jax.report.reading import evidence as records
from nachos_jax.report.words import comparison_text
from nachos_jax.report.words.format import decimals, number
from tests.report.rivals import edit_folds, edit_test, rival
from tests.tiers import mostly_thorough

pytestmark = pytest.mark.usefixtures("all_unpainted")  # pictures are for test_figures
TWO = ("no", "yes")


def _evidence(make_run, pool: str, **changes):
    settings = (("unit", "subject"), ("pool", pool), ("replicates", 200))
    directory = make_run(settings=settings, **{"classes": TWO, **changes})
    found = records.read(directory)
    directory.write_units([row.subject for row in found.cases])
    return directory, records.read(directory)


@mostly_thorough("pool", ["mean", "max"], kept=("mean",))
def test_metrics_are_those_of_pooled_predictions(make_run, pool: str):
    _, evidence = _evidence(make_run, pool)
    told = summarise(evidence)["units"]
    subjects = {row.case: row.subject for row in evidence.cases}
    for fold, (truth, predicted) in evidence.predictions.items():
        names = [subjects[case] for case in evidence.tests[fold].cases]
        found = sorted(set(names))
        rows = [[i for i, name in enumerate(names) if name == unit] for unit in found]
        known = [int(truth[r].max()) for r in rows]
        scores = [float(getattr(np, pool)(predicted[r, 1])) for r in rows]
        folds = told["metrics"]
        assert folds["auc"]["folds"][str(fold)]["value"] == pytest.approx(roc_auc_score(known, scores))
        assert folds["log_loss"]["folds"][str(fold)]["value"] == pytest.approx(log_loss(known, scores))
    assert (told["units"], told["cases_a_unit"]) == (len(set(subjects.values())), [2, 2.0, 2])


def test_a_learned_power_is_that_of_the_lowest_loss_on_inner_folds(make_run):
    _, evidence = _evidence(make_run, "learned")
    fold, rule = min(evidence.tests), evidence.section.pooling(evidence)
    subjects = {row.case: row.subject for row in evidence.cases}
    losses = []
    assert rule is not None
    for power in pooling.LEARNED:
        known, scores = [], []
        for v, outputs in evidence.inner[fold].items():
            truth, made = evidence.truth(v), evidence.section.predicted(outputs)
            for _, rows in pooling.members([subjects[row.case] for row in evidence.members(v)]):
                known.append(int(truth[rows].max()))
                scores.append(rule.predicted(made[rows], power)[1])
        losses.append(log_loss(known, scores))
    found = units.by_unit(evidence)
    assert found is not None
    assert found.powers[fold] == pooling.LEARNED[int(np.argmin(losses))]


@pytest.mark.thorough
def test_without_inner_predictions_the_mean_is_taken_and_told(make_run):
    directory, evidence = _evidence(make_run, "learned", inner=False)
    mean = _evidence(make_run, "mean", name="mean", inner=False)[1]
    found, other = units.by_unit(evidence), units.by_unit(mean)
    assert found is not None
    assert other is not None
    assert set(found.powers.values()) == {None}
    assert found.evidence.same_predictions(other.evidence)
    assert "for want of inner predictions" in page.write(directory.path).read_text()


@pytest.mark.thorough
@mostly_thorough("task", ["multilabel", "regression"], kept=("regression",))
def test_other_tasks_have_units(make_run, task: str):
    classes = {"multilabel": ("edema", "mass"), "regression": ("age",)}[task]
    _, evidence = _evidence(
        make_run,
        "max",
        task=task,
        classes=classes,
        metric={"multilabel": "macro_auc", "regression": "mae"}[task],
    )
    told = summarise(evidence)["units"]
    assert all(metric["estimate"] is not None for metric in told["metrics"].values())


def test_page_sentence_and_table_tell_the_units(make_run):
    directory, evidence = _evidence(make_run, "max")
    text = page.write(directory.path).read_text()
    assert "By subject" in text
    assert "the largest of its cases" in summarise(evidence)["sentence"]
    with open(directory.path / "unit_predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row.subject for row in evidence.cases})
    assert "Units" in (directory.path / "report/report.md").read_text()


@pytest.mark.thorough
def test_a_run_without_units_has_none(make_run):
    directory = make_run(classes=TWO)
    assert summarise(records.read(directory))["units"] is None
    page.write(directory.path)
    assert not (directory.path / "unit_predictions.csv").exists()


@mostly_thorough("task", ["classification", "regression"], kept=("classification",))
def test_the_unit_can_be_the_headline(make_run, task: str):
    """Sentence, page, figure, appendix and checklists lead with it; the scores of cases stay beside it."""
    more = {} if task == "classification" else {"task": task, "classes": ("age",), "metric": "mae"}
    directory, plain = _evidence(make_run, "mean", **more)
    before = summarise(plain)
    directory.write_settings({**_settings(directory), "headline": "unit"})
    found = summarise(records.read(directory))
    name = found["headline"]
    assert found["metrics"] == before["metrics"]
    assert "leads" not in before["units"]
    assert found["units"] == {**before["units"], "leads": True}
    metrics = found["units"]["metrics"][name], found["metrics"][name]
    mine, case = (number(metric["mean"], decimals(metric)) for metric in metrics)
    label = found["metrics"][name]["label"]
    assert mine != case
    assert found["sentence"].startswith(f"{label} by subject {mine}")
    assert f"By case: {case}" in found["sentence"]
    assert "trials were selected by case" in found["sentence"]
    assert before["sentence"].startswith(f"{label} {case}")
    text = page.write(directory.path).read_text()
    assert f"<title>{label} by subject {mine}" in text
    appendix = (directory.path / "report/report.md").read_text()
    assert appendix.index("## Headline, by unit") < appendix.index("## Main results")
    assert f"Leading metric: {label} by subject." in appendix
    with open(directory.path / "report/figures/folds.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "outer fold"]
    values = [value["value"] for value in found["units"]["metrics"][name]["folds"].values()]
    np.testing.assert_allclose([float(row["value"]) for row in rows], values)


def _pair(make_run, **settings):
    """A run with units and one of other predictions over the same folds."""
    first, _ = _evidence(make_run, "mean")
    other = rival(first, "other", better=0.1)
    for directory in (first, other):
        directory.write_settings({**_settings(first), **settings})
        directory.write_units(list(records.read(first).units))
    return first, other


def test_runs_are_compared_by_the_unit_that_their_reports_lead_with(make_run):
    first, other = _pair(make_run, headline="unit")
    paths = [str(run.path) for run in (first, other)]
    found = comparison.compare(paths, "auc")
    assert found["label"] == "AUC by subject"
    assert found["units"] == {
        "column": "subject",
        "units": len(set(records.read(first).units)),
        "pools": {"run": "mean", "other": "mean"},
    }
    for run, told in zip((first, other), found["runs"], strict=True):
        wanted = summarise(records.read(run))["units"]["metrics"]["auc"]["folds"]
        assert {fold: value["value"] for fold, value in told["folds"].items()} == {
            fold: value["value"] for fold, value in wanted.items()
        }
    assert f"cases of {found['units']['units']} units (subject)" in comparison_text.markdown(found)
    by_case = comparison.compare(paths, "auc", by="case")
    assert "units" not in by_case
    assert by_case["runs"][0]["mean"] != found["runs"][0]["mean"]


@pytest.mark.thorough
def test_what_cannot_be_compared_by_unit_is_refused(make_run):
    first, other = _pair(make_run)
    paths = [str(run.path) for run in (first, other)]
    assert "units" not in comparison.compare(paths, "auc")
    assert "units" in comparison.compare(paths, "auc", by="unit")
    other.write_settings({**_settings(other), "headline": "unit"})
    with pytest.raises(UsageError, match=r"--by=case or --by=unit"):
        comparison.compare(paths, "auc")
    other.write_settings({**_settings(other), "pool": "max"})
    told = comparison.compare(paths, "auc", by="unit")
    assert any("run: mean, other: max" in text for text in told["caveats"])
    other.write_units([f"{unit}!" for unit in records.read(other).units])
    with pytest.raises(UsageError, match="differ in the unit of"):
        comparison.compare(paths, "auc", by="unit")
    other.write_units([])
    with pytest.raises(UsageError, match="no scores by unit"):
        comparison.compare(paths, "auc", by="unit")


def _mixed(make_run, **changes):
    """Two runs over the same cases; each unit holds two of a fold, of either class or of other numbers."""
    first, evidence = _evidence(make_run, "mean", **changes)
    names = {}
    for fold, test in evidence.tests.items():
        rows = np.argsort(evidence.predictions[fold][0], kind="stable")
        half = (len(rows) + 1) // 2
        names |= {test.cases[row]: f"{fold}-{place % half}" for place, row in enumerate(rows.tolist())}
    other = rival(first, "other", better=0.1)
    for directory in (first, other):
        directory.write_settings({**_settings(first), "headline": "unit"})
        directory.write_units([names[row.case] for row in evidence.cases])
    return first, other


@pytest.mark.thorough
@mostly_thorough(
    ("task", "changed", "metric"),
    [("classification", {"positive": "no"}, "auc"), ("regression", {"pool": "max"}, "mae")],
    kept=("classification",),
)
def test_units_that_are_pooled_to_other_targets_are_not_compared(make_run, task, changed, metric):
    more = {} if task == "classification" else {"task": task, "classes": ("age",), "metric": "mae"}
    first, other = _mixed(make_run, **more)
    paths = [str(run.path) for run in (first, other)]
    same = "balanced_accuracy" if task == "classification" else metric
    assert "units" in comparison.compare(paths, same, rope=0.01)
    other.write_settings({**_settings(other), **changed})
    with pytest.raises(
        UsageError, match=r"differ in the target of \d+ of \d+ units .*config.report.pool and"
    ):
        comparison.compare(paths, metric, rope=0.01)
    assert "units" not in comparison.compare(paths, metric, rope=0.01, by="case")


@pytest.mark.thorough
def test_caveats_are_of_the_units_that_the_report_leads_with(make_run):
    """In one fold each subject has a case of either class: AUC is defined by case alone."""
    directory, _ = _evidence(make_run, "mean", folds=4, metric="auc", inner=False)
    fold, seen = 2, {}

    def mixed(rows):
        for row in rows:
            if row["fold"] == str(fold):
                seen[row["subject"]] = seen.get(row["subject"], 0) + 1
                row["label"] = TWO[seen[row["subject"]] % 2]

    edit_folds(directory, mixed)
    rows = {row["case"]: TWO.index(row["label"]) for row in directory.read_table("folds.csv")}

    def labelled(test):
        return {"arrays": {**test.arrays, "labels": np.array([rows[case] for case in test.cases])}}

    edit_test(directory, fold, labelled)
    before = summarise(records.read(directory))
    directory.write_settings({**_settings(directory), "headline": "unit"})
    found = summarise(records.read(directory))
    assert found["metrics"]["auc"]["count"] == 4
    assert found["units"]["metrics"]["auc"]["count"] == 3
    told, other = (" ".join(of["caveats"]) for of in (found, before))
    assert "AUC by subject" in told
    assert "undefined in outer fold 2" in told
    assert "undefined in outer fold 2" not in other
    assert found["cautions"]["few_folds"]
    assert not before["cautions"]["few_folds"]
    text = page.write(directory.path).parent.joinpath("report.md").read_text()
    assert "by subject over outer folds: SD" in text


@pytest.mark.thorough
def test_a_headline_that_was_changed_later_is_told(make_run):
    """Also in a run of an older version, which led with cases and did not say so."""
    directory, plain = _evidence(make_run, "mean")
    config = dict(plain.run["config"])
    for first, newest, told in (
        ({"unit": "subject"}, "unit", ["'case' when the run began and is 'unit' now"]),
        ({"headline": "unit"}, "case", ["'unit' when the run began and is 'case' now"]),
        ({"headline": "unit"}, "unit", []),
        ({"unit": "subject"}, "case", []),
    ):
        run = {**plain.run, "config": {**config, "report": first}}
        (directory.records / "run.json").write_bytes(dump(run))
        directory.write_settings({**_settings(directory), "headline": newest})
        caveats = summarise(records.read(directory))["caveats"]
        found = [text for text in caveats if "config.report.headline" in text]
        assert len(found) == len(told)
        assert all(one in text for one, text in zip(told, found, strict=True))


def test_a_unit_or_a_pool_that_was_changed_under_its_headline_is_told(make_run):
    """As is a threshold; where neither report leads with units they decide nothing that it leads with."""
    directory, plain = _evidence(make_run, "mean")
    began = {"unit": "subject", "pool": "mean", "headline": "unit"}
    for first, newest, told in (
        (began, {"pool": "max"}, ["config.report.pool was 'mean' when the run began and is 'max' now"]),
        (began, {"unit": "breast"}, ["config.report.unit was 'subject' when the run began and is 'breast'"]),
        (began, {"pool": "max", "headline": "case"}, ["pool was 'mean'", "headline was 'unit'"]),
        (began, {}, []),
        ({**began, "headline": "case"}, {"pool": "max", "headline": "case"}, []),
        ({"headline": "unit"}, {"pool": "max"}, []),
    ):
        run = {**plain.run, "config": {**plain.run["config"], "report": first}}
        (directory.records / "run.json").write_bytes(dump(run))
        directory.write_settings({**_settings(directory), **began, **newest})
        found = records.read(directory).run["warnings"]
        assert len(found) == len(told)
        assert all(one in text for one, text in zip(told, found, strict=True))


def _settings(directory) -> dict:
    found = directory.settings()
    assert found is not None
    return found
