"""What calls for caution is said, each by a run in which it holds and one in which it does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.reading.evidence import read
from nachos_jax.statistics.bootstrap import blocks
from tests.report.rivals import edit_folds, edit_run, edit_test
from tests.report.task_cases import LABELS, NUMBER
from tests.tiers import mostly_thorough

BINARY = {"classes": ("benign", "malignant"), "metric": "auc"}
FEW = (("replicates", 200),)


def summary_of(directory):
    summary = summarise(read(directory))
    return summary, "\n".join(summary["caveats"])


def everywhere(directory, folds, probabilities):
    """Every case of every test gets one prediction."""

    def change(test):
        rows = np.tile(np.asarray(probabilities, float), (len(test.cases), 1))
        return {"arrays": {**test.arrays, "probabilities": rows}}

    for fold in range(folds):
        edit_test(directory, fold, change)


@pytest.mark.thorough
def test_three_folds(make_run):
    _, told = summary_of(make_run(folds=3, inner=False))
    assert "Three values are all that the interval over folds rests on" in told
    assert "config.folds.count" in told
    _, told = summary_of(make_run("some", tested=(0, 1, 4), inner=False))
    assert "Three values are all" in told
    assert "config.folds.count" not in told
    _, told = summary_of(make_run("five", inner=False))
    assert "Three values" not in told


def test_epochs_at_the_limit(make_run):
    run = make_run(inner=False)
    epochs = {outcome.study: outcome.epochs for outcome in map(run.outcome, range(5)) if outcome}
    most = max(epochs.values())
    edit_run(run.path, lambda record: record["config"].update(training={"epochs": most}))
    summary, told = summary_of(run)
    folds = [fold for fold, number in epochs.items() if number == most]
    assert summary["cautions"]["epochs_at_limit"] == {"limit": most, "folds": folds}
    assert f"the best number of epochs is the most that was allowed ({most})" in told
    edit_run(run.path, lambda record: record["config"].update(training={"epochs": most + 1}))
    assert "most that was allowed" not in summary_of(run)[1]


def test_one_class_in_nearly_all_predictions(make_run):
    run = make_run(inner=False)
    assert "nearly all cases get one class" not in summary_of(run)[1]
    everywhere(run, 5, [0.2, 0.5, 0.3])
    summary, told = summary_of(run)
    share = np.mean(read(run).targets == 1)
    assert summary["cautions"]["one_class"]["share_of_cases"] == pytest.approx(share)
    part = f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
    assert f"100\N{NO-BREAK SPACE}% of the predictions are normal, which {part} of the cases are" in told


def test_no_better_than_the_majority_class(make_run):
    run = make_run(metric="accuracy", inner=False)
    assert "giving every case" not in summary_of(run)[1]
    everywhere(run, 5, [0.5, 0.3, 0.2])  # the majority class
    evidence = read(run)
    _, told = summary_of(run)
    majority = np.mean([np.mean(labels == 0) for labels, _ in evidence.predictions.values()])
    assert "Accuracy is no better than giving every case the same prediction" in told
    assert f"the majority class), which scores {majority:.3f}." in told


def test_not_shown_to_be_better_where_the_interval_reaches_that_far(make_run):
    run = make_run(metric="accuracy", inner=False, folds=3)
    for fold, right in enumerate((0.2, 0.6, 0.95)):

        def change(test, right=right):
            labels = test.arrays["labels"]
            given = np.where(np.arange(len(labels)) < right * len(labels), labels, (labels + 1) % 3)
            return {"arrays": {**test.arrays, "probabilities": np.eye(3)[given] * 0.9 + 0.1 / 3}}

        edit_test(run, fold, change)
    summary, told = summary_of(run)
    assert summary["cautions"]["constant"]["better"]
    assert "Accuracy is not shown to be better than giving every case" in told


@mostly_thorough(("changes", "expected"), [(LABELS, 0.5), (NUMBER, None)], kept=1)
def test_a_constant_of_other_tasks(make_run, changes, expected):
    run = make_run(**changes, inner=False)
    key = "probabilities" if changes is LABELS else "predictions"

    def noise(test):
        return {"arrays": {**test.arrays, key: np.random.default_rng(1).permutation(test.arrays[key])}}

    for fold in range(5):
        edit_test(run, fold, noise)
    summary, told = summary_of(run)
    evidence = read(run)
    if expected is None:
        mean = evidence.targets.mean()
        expected = np.mean([np.abs(truth - mean).mean() for truth, _ in evidence.predictions.values()])
    assert summary["cautions"]["constant"]["value"] == pytest.approx(expected)
    assert f"scores {expected:.3f}" in told


def test_a_positive_class_by_default(make_run):
    assert "Decisions are about malignant by default" in summary_of(make_run(**BINARY))[1]
    named = make_run("named", **BINARY, settings=(("positive", "malignant"), *FEW))
    assert "by default" not in summary_of(named)[1]
    assert "by default" not in summary_of(make_run("three"))[1]


def of_sites(run):
    """The case table has a site for each fold."""

    def change(rows):
        for row in rows:
            row["site"] = f"hospital-{row['fold']}"

    edit_folds(run, change)
    edit_run(run.path, lambda record: record["folds"].update(scheme="predefined"))
    edit_run(run.path, lambda record: record.update(n_sites=5))


def test_predefined_folds_that_are_sites_tell_of_these_sites_and_of_a_further_one(make_run):
    run = make_run(inner=False)
    summary, told = summary_of(run)
    assert summary["metrics"]["balanced_accuracy"]["further_site"] is None
    assert "further site" not in told
    of_sites(run)
    summary, told = summary_of(run)
    metric = summary["metrics"]["balanced_accuracy"]
    values = np.array([row["value"] for row in metric["folds"].values()])
    half = stats.t(4).ppf(0.975) * values.std(ddof=1) * np.sqrt(1 + 1 / 5)
    assert metric["further_site"]["low"] == pytest.approx(values.mean() - half)
    assert metric["further_site"]["high"] == pytest.approx(min(1.0, values.mean() + half))
    assert "holds for the mean over these sites, and not for a further one" in told
    assert f"At a further site Balanced accuracy may be {metric['further_site']['low']:.3f} to" in told
    assert "95 % prediction interval, t over 5 sites" in told


def test_the_interval_over_subjects_is_told_where_one_fold_is_all_there_is(make_run):
    summary, _ = summary_of(make_run(tested=(2,), inner=False))
    found = next(
        i for i in summary["metrics"]["balanced_accuracy"]["intervals"] if i["method"] == "percentile"
    )
    assert (
        f"95 % interval {found['low']:.3f} to {found['high']:.3f}, bootstrap over {found['count']} subjects; "
        "no interval over folds; from 1 of 5 outer folds, so without SE" in summary["sentence"]
    )


RATES = {
    "sensitivity": lambda tn, fp, fn, tp: tp / (tp + fn),
    "specificity": lambda tn, fp, fn, tp: tn / (tn + fp),
    "ppv": lambda tn, fp, fn, tp: tp / (tp + fp),
    "npv": lambda tn, fp, fn, tp: tn / (tn + fn),
}


@pytest.mark.thorough
def test_rates_of_decisions_have_intervals_over_subjects(make_run):
    """A plain loop with scikit-learn over the same replicates."""
    run = make_run(**BINARY, settings=FEW, groups=False)
    evidence, (summary, _) = read(run), summary_of(run)
    estimates = Estimates(evidence)
    order = np.argsort(estimates.cases.folds, kind="stable")
    weights = np.concatenate(list(blocks(estimates.cases.take(order), estimates.resampling)))
    folds = estimates.cases.folds[order]
    y, scores = estimates.truth[order] == 1, estimates.predicted[order, 1]
    least = {fold: summary["decisions"]["folds"][str(fold)]["threshold"]["value"] for fold in range(5)}
    called = np.array([score >= least[fold] for fold, score in zip(folds, scores, strict=True)])
    of_fold = [folds == fold for fold in range(5)]
    counts = [
        [sk.confusion_matrix(y[f], called[f], sample_weight=w[f]).ravel() for f in of_fold] for w in weights
    ]
    for name, rate in RATES.items():
        values = [np.mean([rate(*fold) for fold in replicate]) for replicate in counts]
        first, second = summary["decisions"]["rates"][name]["intervals"]
        assert (first["unit"], second["unit"]) == ("subjects", "outer folds")
        assert [first["low"], first["high"]] == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_ece_stands_beside_that_of_a_calibrated_model(make_run):
    """A plain loop: labels drawn from the probabilities themselves, the error by its own definition."""
    run = make_run(**BINARY, inner=False)
    evidence, (summary, _) = read(run), summary_of(run)
    found = summary["calibration"]["ece"]
    assert found["mean"] == pytest.approx(summary["metrics"]["ece"]["mean"])
    rng, expected = np.random.default_rng(1), []
    for _ in range(60):
        errors = []
        for _, probabilities in evidence.predictions.values():
            labels = np.array([rng.choice(2, p=row / row.sum()) for row in probabilities])
            errors.append(evidence.metrics.evaluate("ece", labels, probabilities, evidence.classes).value)
        expected.append(np.mean(errors))
    assert found["if_calibrated"] == pytest.approx(np.mean(expected), abs=4 * np.std(expected) / np.sqrt(60))
    assert found == summary_of(run)[0]["calibration"]["ece"]
