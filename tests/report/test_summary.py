"""summary.json: recomputed from predictions.csv alone with scikit-learn, and counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as sk

from nachos_jax.core.errors import UsageError
from nachos_jax.metrics.classification import METRICS
from nachos_jax.records.store import dump
from nachos_jax.report.numbers import summary as summaries
from nachos_jax.report.page import page
from nachos_jax.report.reading.evidence import read
from nachos_jax.report.sections.classification import decided
from nachos_jax.report.words import tables
from tests.tiers import mostly_thorough

pytestmark = pytest.mark.usefixtures("all_unpainted")  # pictures are for test_figures


def written(directory):
    """Summary, predictions and trials of a run as they are written to disk."""
    evidence = read(directory)
    summary = json.loads(dump(summaries.summarise(evidence)))
    found = []
    for header, rows in (tables.predictions(evidence), tables.trials(evidence)):
        directory.write_table("table.csv", header, rows)
        found.append(directory.read_table("table.csv"))
    return summary, *found


def by_scikit_learn(name, labels, predicted, probabilities, classes):
    numbers = [classes.index(value) for value in labels]
    # float32 rows sum to one but for rounding, which scikit-learn warns of.
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    scores = probabilities[:, 1] if len(classes) == 2 else probabilities
    one_hot = np.eye(len(classes))[numbers]
    places = [classes.index(value) for value in predicted]
    return {
        "accuracy": lambda: sk.accuracy_score(labels, predicted),
        "micro_f1": lambda: sk.f1_score(labels, predicted, average="micro"),
        "average_precision": lambda: sk.average_precision_score(
            one_hot[:, 1:] if len(classes) == 2 else one_hot,
            probabilities[:, 1:] if len(classes) == 2 else probabilities,
        ),
        "mcc": lambda: sk.matthews_corrcoef(labels, predicted),
        "kappa": lambda: sk.cohen_kappa_score(numbers, places, weights="quadratic"),
        "brier": lambda: float(np.mean(np.sum((probabilities - one_hot) ** 2, axis=1))),
        "mean_class_distance": lambda: sk.mean_absolute_error(numbers, places),
        "ece": lambda: expected_calibration_error(np.equal(numbers, places), probabilities.max(axis=1)),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(labels, predicted),
        "macro_f1": lambda: sk.f1_score(labels, predicted, labels=classes, average="macro"),
        "auc": lambda: sk.roc_auc_score(numbers, scores, multi_class="ovr"),
        "log_loss": lambda: sk.log_loss(numbers, probabilities, labels=range(len(classes))),
    }[name]()


def expected_calibration_error(right, confidence):
    """The definition in a loop over fifteen bins of equally many cases; no two confidences are equal."""
    order, gap = np.argsort(confidence), 0.0
    middles = (2 * np.arange(len(order)) + 1) * 15 // (2 * len(order))
    for number in range(15):
        inside = order[middles == number]
        gap += abs(sum(right[inside]) - sum(confidence[inside]))
    return gap / len(order)


def corrected(mean, half, bounds):
    """Method and ends: on the scale of the metric, or by the delta method on that of its logit."""
    low, high = bounds
    if not np.isfinite(bounds).all() or (low <= mean - half and mean + half <= high):
        return "corrected_t", np.clip([mean - half, mean + half], low, high).tolist()
    share = (mean - low) / (high - low)
    step = half / (high - low) / (share * (1 - share))
    ends = special.expit(special.logit(share) + step * np.array([-1, 1]))
    return "corrected_t_logit", (low + (high - low) * ends).tolist()


@mostly_thorough("classes", [("benign", "malignant"), ("covid19", "normal", "pneumonia")], kept=1)
def test_every_number_follows_from_predictions_csv_alone(make_run, classes):
    summary, rows, _ = written(make_run(classes=classes))
    assert len(rows) == 240
    found = {name: [] for name in summary["metrics"]}
    for fold in range(5):
        mine = [row for row in rows if row["outer_fold"] == str(fold)]
        labels, predicted = [row["label"] for row in mine], [row["predicted"] for row in mine]
        probabilities = np.array([[float(row[f"probability_{c}"]) for c in classes] for row in mine])
        for name in found:
            value = by_scikit_learn(name, labels, predicted, probabilities, list(classes))
            assert summary["metrics"][name]["folds"][str(fold)]["value"] == pytest.approx(value, abs=1e-6)
            found[name].append(value)
    for name, values in found.items():
        metric = summary["metrics"][name]
        assert metric["count"] == 5
        assert metric["mean"] == pytest.approx(np.mean(values), abs=1e-6)
        assert metric["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-6)
        assert metric["se"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(5), abs=1e-6)
        assert metric["estimate"] == metric["mean"]
        half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * np.sqrt(1 / 5 + 1 / 4)
        interval = metric["intervals"][0]
        method, ends = corrected(np.mean(values), half, METRICS[name].bounds)
        assert (interval["method"], interval["unit"], interval["count"]) == (method, "outer folds", 5)
        assert [interval["low"], interval["high"]] == pytest.approx(ends, abs=1e-5)
    labels, predicted = [row["label"] for row in rows], [row["predicted"] for row in rows]
    probabilities = np.array([[float(row[f"probability_{c}"]) for c in classes] for row in rows])
    for name in found:
        value = by_scikit_learn(name, labels, predicted, probabilities, list(classes))
        pooled = summary["metrics"][name]["out_of_fold"]
        assert pooled["value"] == pytest.approx(value, abs=1e-6)
        assert ("scores of different models" in pooled["note"]) == (name in ("auc", "average_precision"))
    counts = sk.confusion_matrix([r["label"] for r in rows], [r["predicted"] for r in rows], labels=classes)
    assert summary["confusion"]["counts"] == counts.tolist()


def test_every_case_is_predicted_once_in_table_order(make_run):
    directory = make_run()
    _, rows, _ = written(directory)
    cases = directory.read_table("folds.csv")
    assert [row["case"] for row in rows] == [row["case"] for row in cases]
    for row, case in zip(rows, cases, strict=True):
        assert (row["subject"], row["site"], row["label"]) == (case["subject"], case["site"], case["label"])
        assert (row["outer_fold"], row["repeat"]) == (case["fold"], "1")


def test_repeats_predict_every_case_once_each(make_run):
    directory = make_run(repeats=2)
    summary, rows, _ = written(directory)
    cases = directory.read_table("folds.csv")
    assert len(rows) == 2 * len(cases)
    for row, case in zip(rows, cases + cases, strict=True):
        assert row["case"] == case["case"]
        assert row["outer_fold"] == case["fold" if row["repeat"] == "1" else "fold_2"]
    metric = summary["metrics"]["accuracy"]
    assert metric["count"] == 10
    assert metric["se"] == pytest.approx(metric["sd"] / np.sqrt(5))
    assert summary["confusion"]["predictions"] == 480


def test_trials_table_holds_every_trial_and_one_selected_a_study(make_run):
    directory = make_run(failed=((1, 2),))
    summary, _, rows = written(directory)
    assert [(row["study"], row["number"]) for row in rows] == [
        (str(f), str(n)) for f in range(5) for n in range(4)
    ]
    for fold in range(5):
        outcome = directory.outcome(fold)
        chosen = [row for row in rows if row["study"] == str(fold) and row["selected"] == "true"]
        assert [row["number"] for row in chosen] == [str(outcome.selected)]
        assert float(chosen[0]["score"]) == outcome.scores[outcome.selected].score
        assert float(chosen[0]["learning_rate"]) == outcome.trials[outcome.selected].hparams["learning_rate"]
        assert summary["outer_folds"][fold]["selected"] == outcome.selected
        assert summary["outer_folds"][fold]["epochs"] == outcome.epochs
    failed = next(row for row in rows if (row["study"], row["number"]) == ("1", "2"))
    assert (failed["status"], failed["score"], failed["selected"]) == ("failed", "", "false")
    adam = next(row for row in rows if row["optimizer"] == "adam")
    assert (adam["momentum"], adam["nesterov"]) == ("", "")


def test_trials_of_an_open_study_are_listed_as_open(make_run):
    directory = make_run(tested=(0,))
    directory.commit_trial(directory.trials(0)[0].__class__(3, 0, {"learning_rate": 0.5}, "default"))
    _, _, rows = written(directory)
    assert [row["status"] for row in rows if row["study"] == "3"] == ["open"]


def test_pair_reuse_is_counted_from_the_fits(make_run):
    """Trials 0 to 2 are shared by all studies: 10 pairs each; trial 3 is each study's own: 4 fits."""
    directory = make_run()
    summary, _, _ = written(directory)
    spent, fits = summary["spent"], list(directory.fits())
    assert spent["fits_without_pair_reuse"] == 5 * 4 * 4 + 5
    assert spent["fits_trained"] == spent["fits_of_finished_studies"] == len(fits) == 3 * 10 + 5 * 4 + 5
    assert spent["epochs"] == sum(fit.epochs for fit in fits)
    assert spent["occupancy"] == pytest.approx(291 / 320)
    assert spent["seconds"] == pytest.approx(512.4 * 1.5)


def test_subjects_and_cases_of_folds_add_up(make_run):
    summary, _, _ = written(make_run())
    folds = summary["outer_folds"]
    assert sum(fold["cases"] for fold in folds) == summary["data"]["cases"] == 240
    assert sum(fold["subjects"] for fold in folds) == summary["data"]["subjects"] == 120
    assert all(fold["cases"] + fold["training_cases"] == 240 for fold in folds)


def test_undefined_folds_are_null_with_the_reason_and_skipped(make_run):
    summary, _, _ = written(make_run(absent_in_fold=1))
    auc = summary["metrics"]["auc"]
    assert auc["folds"]["1"] == {"value": None, "note": "no case of covid19"}
    defined = [value["value"] for fold, value in auc["folds"].items() if fold != "1"]
    assert (auc["count"], auc["undefined"]) == (4, 1)
    assert auc["mean"] == pytest.approx(np.mean(defined))
    assert summary["metrics"]["balanced_accuracy"]["folds"]["1"]["note"].startswith("over 2 of 3 classes")


def test_a_diverged_refit_is_in_no_count_and_has_no_prediction(make_run):
    summary, rows, _ = written(make_run(diverged_refit=2))
    lost = [row for row in rows if row["outer_fold"] == "2"]
    assert {row["predicted"] for row in lost} == {""}
    assert {row["probability_normal"] for row in lost} == {""}
    assert summary["confusion"]["without_numbers"] == len(lost)
    assert summary["confusion"]["predictions"] == 240 - len(lost)
    assert summary["metrics"]["log_loss"]["count"] == 4


def test_a_directory_without_a_run_is_refused_in_words(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        page.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_edited_folds_table_is_refused_in_words(make_run):
    directory = make_run()
    path = directory.path / "folds.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(UsageError, match=r"folds\.csv was edited"):
        page.write(directory.path)
    path.write_text("\n".join([lines[0], lines[1].rsplit(",", 1)[0] + ",x"]))
    with pytest.raises(UsageError, match="damaged"):
        page.write(directory.path)
    path.unlink()
    with pytest.raises(UsageError, match="missing"):
        page.write(directory.path)


# --- intervals, subgroups, decisions -------------------------------------------------------------------


def test_other_intervals_say_what_they_count(make_run):
    summary = written(make_run(classes=("benign", "malignant")))[0]
    methods = {name: [i["method"] for i in m["intervals"]] for name, m in summary["metrics"].items()}
    assert methods["accuracy"] == ["corrected_t", "percentile", "bca", "bayle", "bates"]
    assert methods["auc"] == ["corrected_t_logit", "percentile", "bca", "auc_influence"]
    assert methods["mcc"] == ["corrected_t"]
    for metric in summary["metrics"].values():
        for interval in metric["intervals"][1:]:
            assert (interval["unit"], interval["count"]) == ("subjects", 120)
            assert interval["low"] < metric["mean"] < interval["high"]


@pytest.mark.thorough
def test_bates_needs_the_predictions_of_all_pairs(make_run):
    for changes in ({"inner": False}, {"tested": (0, 1, 2, 3)}, {"diverged_refit": 2}):
        summary = written(make_run(name=str(changes), **changes))[0]
        assert "bates" not in [i["method"] for i in summary["metrics"]["accuracy"]["intervals"]]


def test_folds_that_are_sites_qualify_the_interval(make_run):
    directory = make_run()
    run = json.loads((directory.records / "run.json").read_text())
    run["folds"]["scheme"] = "site"
    (directory.records / "run.json").write_text(json.dumps(run))
    summary = written(directory)[0]
    assert "folds are sites" in summary["metrics"]["balanced_accuracy"]["intervals"][0]["note"]
    assert any("folds are sites" in text for text in summary["caveats"])


def test_subgroups_are_the_metric_of_their_rows(make_run):
    directory = make_run(sites=3)
    summary, rows, _ = written(directory)
    groups = {row["case"]: row for row in directory.read_table("subgroups.csv")}
    found = {(group["column"], group["group"]): group for group in summary["subgroups"]}
    assert [column for column, _ in found] == ["site"] * 3 + ["sex"] * 2 + ["age"] * 4
    assert list(found)[-4:] == [
        ("age", name) for name in ("below 40", "40 to below 65", "65 and above", "not known")
    ]
    for (column, name), group in found.items():
        mine = [r for r in rows if (r["site"] if column == "site" else groups[r["case"]][column]) == name]
        assert group["cases"] == len(mine)
        assert group["subjects"] == len({row["subject"] for row in mine})
        assert group["counts"] == {c: sum(r["label"] == c for r in mine) for c in summary["data"]["classes"]}
        if all(group["counts"].values()):
            value = sk.balanced_accuracy_score([r["label"] for r in mine], [r["predicted"] for r in mine])
            assert group["metrics"]["balanced_accuracy"]["value"] == pytest.approx(value)
    tiny = found["age", "not known"]
    assert tiny["subjects"] == 1
    assert tiny["metrics"]["balanced_accuracy"]["interval"]["low"] is None


def test_thresholds_come_from_inner_folds_and_are_applied_to_the_outer_one(make_run):
    directory = make_run(classes=("benign", "malignant"), settings=(("threshold", "sensitivity(0.9)"),))
    summary, rows, _ = written(directory)
    decided = summary["decisions"]
    assert (decided["class"], decided["rule"]) == ("malignant", "sensitivity(0.9)")
    evidence = read(directory)
    for fold, row in decided["folds"].items():
        found = evidence.inner_predictions(int(fold))
        assert found is not None
        labels, logits = found
        inner = np.exp(logits - logits.max(axis=1, keepdims=True))
        inner = (inner / inner.sum(axis=1, keepdims=True))[:, 1]
        threshold = row["threshold"]["value"]
        assert np.mean(inner[labels == 1] >= threshold) >= 0.9 - 1e-9
        higher = np.unique(inner[inner > threshold])[1]
        assert np.mean(inner[labels == 1] >= higher) < 0.9 + 2 / sum(labels == 1)
        mine = [r for r in rows if r["outer_fold"] == fold]
        called = [float(r["probability_malignant"]) >= threshold for r in mine]
        positive = [r["label"] == "malignant" for r in mine]
        hits = sum(c and p for c, p in zip(called, positive, strict=True))
        assert row["decision"]["tp"] == hits
        assert row["decision"]["sensitivity"]["value"] == pytest.approx(hits / sum(positive))
    sensitivities = [row["decision"]["sensitivity"]["value"] for row in decided["folds"].values()]
    assert decided["rates"]["sensitivity"]["mean"] == pytest.approx(np.mean(sensitivities))


def test_no_outer_prediction_reaches_a_threshold_or_a_temperature(make_run):
    """Metamorphic: other outer predictions, the same thresholds and temperatures."""
    plain = make_run(classes=("benign", "malignant"))
    other = make_run(name="other", classes=("benign", "malignant"))
    for path in (other.folder / "tests").glob("*.json"):
        test = json.loads(path.read_text())
        test["probabilities"] = [row[::-1] for row in test["probabilities"]]
        path.write_text(json.dumps(test))
    first, second = written(plain)[0], written(other)[0]
    assert first["metrics"]["auc"]["mean"] != second["metrics"]["auc"]["mean"]
    for key, value in (("decisions", "threshold"), ("temperature", "temperature")):
        assert [row[value] for row in first[key]["folds"].values()] == [
            row[value] for row in second[key]["folds"].values()
        ]


def test_the_temperature_is_the_factor_by_which_logits_are_too_small(make_run):
    """Logits are 2.1 for the class plus normal noise: true ones are 2.1 times these, inner ones 1.5."""
    found = written(make_run())[0]["temperature"]
    for row in found["folds"].values():
        assert row["temperature"]["value"] == pytest.approx(1.5 / 2.1, rel=0.2)
    assert found["before"].keys() == found["after"].keys() == {"log_loss", "brier", "ece"}


@pytest.mark.thorough
def test_several_classes_decide_nothing_unless_one_is_named(make_run):
    assert written(make_run())[0]["decisions"] is None
    named = written(make_run(name="named", settings=(("positive", "covid19"),)))[0]["decisions"]
    assert named["class"] == "covid19"


@pytest.mark.thorough
def test_a_run_of_an_older_version_has_no_thresholds_and_says_why(make_run):
    summary = written(make_run(classes=("benign", "malignant"), inner=False))[0]
    assert summary["temperature"] is None
    assert {row["threshold"]["note"] for row in summary["decisions"]["folds"].values()} == {decided.NO_INNER}


@pytest.mark.thorough
def test_money_and_energy_follow_from_device_hours(make_run):
    spent = written(make_run(settings=(("price", 2.5), ("watts", 700.0))))[0]["spent"]
    hours = 512.4 * 1.5 * 8 / 3600
    assert spent["device_hours"] == pytest.approx(hours)
    assert spent["money"] == pytest.approx(2.5 * hours)
    assert spent["kilowatt_hours"] == pytest.approx(0.7 * hours)
    none = written(make_run(name="none"))[0]["spent"]
    assert (none["money"], none["kilowatt_hours"]) == (None, None)


def test_a_lost_inner_prediction_costs_thresholds_not_the_report(make_run, caplog):
    directory = make_run(classes=("benign", "malignant"))
    outcome = directory.outcome(2)
    record = directory.fit(outcome.fits[outcome.selected][0])
    directory.payload_path(record, "inner.safetensors").write_bytes(b"torn")
    summary = written(directory)[0]
    assert "without inner predictions" in caplog.text
    assert summary["metrics"]["accuracy"]["count"] == 5
    assert summary["decisions"]["folds"]["2"]["decision"] is None


def test_a_changed_threshold_rule_is_said(make_run):
    directory = make_run(classes=("benign", "malignant"))
    run = json.loads((directory.records / "run.json").read_text())
    run["config"]["report"] = {**directory.settings(), "threshold": "cost(1, 5)"}
    (directory.records / "run.json").write_text(json.dumps(run))
    caveats = written(directory)[0]["caveats"]
    assert any("'cost(1, 5)' when the run began and is 'youden' now" in text for text in caveats)


def test_confusion_means_are_over_folds_that_predicted(make_run):
    found = written(make_run(diverged_refit=2))[0]["confusion"]
    assert np.sum(found["mean"]) == pytest.approx(found["predictions"] / 4)
