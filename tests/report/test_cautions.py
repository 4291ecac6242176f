"""What calls for caution is said, each by a run in which it holds and one in which it does not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from sklearn.dummy import DummyRegressor

from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.reading.evidence import read
from nachos_jax.report.sections.registry import of as of_task
from nachos_jax.report.words.format import number, percent
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


def test_nearly_all_is_not_said_to_be_all(make_run):
    run = make_run(inner=False)
    everywhere(run, 5, [0.2, 0.5, 0.3])

    def but_one(test):
        rows = test.arrays["probabilities"].copy()
        rows[0] = [0.5, 0.2, 0.3]
        return {"arrays": {**test.arrays, "probabilities": rows}}

    edit_test(run, 0, but_one)
    _, told = summary_of(run)
    assert "Over 99\N{NO-BREAK SPACE}% of the predictions are normal, which" in told
    assert "100\N{NO-BREAK SPACE}%" not in told
    assert [percent(value) for value in (0.0, 0.42, 0.994, 0.9999, 1.0)] == [
        f"{text}\N{NO-BREAK SPACE}%" for text in ("0", "42", "99", "over 99", "100")
    ]


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
        dummy = DummyRegressor(strategy="median").fit(np.zeros((len(evidence.targets), 1)), evidence.targets)
        of_folds = [truth for truth, _ in evidence.predictions.values()]
        expected = np.mean(
            [np.abs(truth - dummy.predict(np.zeros((len(truth), 1)))).mean() for truth in of_folds]
        )
        assert "the same prediction (the median of the target), which scores" in told
    assert summary["cautions"]["constant"]["value"] == pytest.approx(expected)
    shown = number(float(expected), summary["metrics"][evidence.headline].get("decimals", 3))
    assert f"scores {shown}" in told


def best_of(section, metric: str, targets: np.ndarray, tried) -> tuple[float, float]:
    """What the section's constant scores, and the best of those tried; more is better."""
    metrics, names = section.metrics({}), [f"n{place}" for place in range(9)]

    def score(constant) -> float:
        same = np.broadcast_to(constant, (len(targets), *np.shape(constant)))
        names_of = names[: np.shape(constant)[-1]] if np.ndim(constant) else ["y"]
        value = metrics.evaluate(metric, targets, same, names_of).value
        return -np.inf if value is None else metrics.METRICS[metric].turned(value)

    return score(section.constant(targets, metric)), max(score(one) for one in tried)


@pytest.mark.parametrize("metric", ["mae", "rmse", "mse", "median_absolute_error", "r2"])
@pytest.mark.parametrize("seed", range(3))
def test_no_constant_number_beats_the_one_that_is_told(metric: str, seed: int):
    targets = np.random.default_rng(seed).lognormal(0, 1.5, 51)
    ours, best = best_of(
        of_task("regression"), metric, targets, np.linspace(targets.min(), targets.max(), 2000)
    )
    assert ours >= best - 1e-12


@pytest.mark.parametrize("metric", ["macro_f1", "micro_f1", "log_loss", "brier"])
@mostly_thorough("seed", range(3), kept=1)
def test_no_constant_labels_beat_those_that_are_told(metric: str, seed: int):
    rng = np.random.default_rng(seed)
    targets = (rng.uniform(size=(60, 4)) < [0.05, 0.15, 0.3, 0.4]).astype(float)
    targets[rng.uniform(size=targets.shape) < 0.1] = np.nan
    levels = (0.0, 1.0) if metric.endswith("f1") else np.linspace(0.05, 0.95, 10)
    ours, best = best_of(of_task("multilabel"), metric, targets, itertools.product(levels, repeat=4))
    assert ours >= best - 1e-12
    if metric.endswith("f1"):  # the shares themselves call no label at all
        assert ours > best_of(of_task("multilabel"), metric, targets, [np.nanmean(targets, axis=0)])[1]


def test_no_class_for_all_cases_is_nearer_than_the_middle_one():
    targets = np.random.default_rng(0).choice(5, 101, p=(0.3, 0.15, 0.15, 0.15, 0.25))
    ours, best = best_of(of_task("classification"), "mean_class_distance", targets, np.eye(5))
    assert ours == pytest.approx(best)


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


def test_two_scores_of_brier_are_told_apart(make_run):
    """One is a sum over classes, the other of one event: of two classes it is half of the former."""
    summary, _ = summary_of(make_run(**{**BINARY, "metric": "brier"}, inner=False))
    whole, half = summary["metrics"]["brier"], summary["calibration"]["brier_parts"]["brier"]
    assert whole["out_of_fold"]["value"] == pytest.approx(2 * half)
    assert whole["label"] == "Brier score (sum over classes, 0 to 2)"
    assert summary["sentence"].startswith(f"{whole['label']} {whole['mean']:.3f}")
    section = of_task("classification")
    grid = section.tables(summary).further["Calibration"][0]
    told = [row[0].text for row in grid.rows if row[1].text == f"{half:.3f}"]
    assert section.parts(summary).context["squared"] in told
    assert section.metrics({}).METRICS["brier"].label == "Brier score"  # in run.json of runs that are there


@pytest.mark.parametrize("moved", [-1.0, 1.0])
def test_in_the_large_is_above_0_where_predictions_are_too_low(make_run, moved: float):
    run = make_run(**BINARY, inner=False)

    def change(test):
        odds = np.exp(moved) * test.arrays["probabilities"][:, 1] / test.arrays["probabilities"][:, 0]
        return {"arrays": {**test.arrays, "probabilities": np.stack([1 / (1 + odds), odds / (1 + odds)], 1)}}

    before = summary_of(run)[0]["calibration"]["in_the_large"]["value"]
    for fold in range(5):
        edit_test(run, fold, change)
    summary, _ = summary_of(run)
    assert summary["calibration"]["in_the_large"]["value"] == pytest.approx(before - moved, abs=1e-4)
    (grid,) = of_task("classification").tables(summary).further["Calibration"][:1]
    assert "In the large is the intercept at slope 1, above 0 where predictions are too low." in grid.caption


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
