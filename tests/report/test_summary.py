"""summary.json: recomputed from predictions.csv alone with scikit-learn, and counted by hand."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn import metrics as sk

from nachos_jax.core.errors import UsageError
from nachos_jax.report import page


def written(directory):
    """Summary, predictions and trials of a run as written to disk."""
    page.write(directory.path)
    summary = json.loads((directory.path / "summary.json").read_text(encoding="utf-8"))
    tables = []
    for name in ("predictions.csv", "trials.csv"):
        with open(directory.path / name, newline="", encoding="utf-8") as file:
            tables.append(list(csv.DictReader(file)))
    return summary, *tables


def by_scikit_learn(name, labels, predicted, probabilities, classes):
    numbers = [classes.index(value) for value in labels]
    # float32 rows sum to one but for rounding, which scikit-learn warns of.
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    scores = probabilities[:, 1] if len(classes) == 2 else probabilities
    return {
        "accuracy": lambda: sk.accuracy_score(labels, predicted),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(labels, predicted),
        "macro_f1": lambda: sk.f1_score(labels, predicted, labels=classes, average="macro"),
        "auc": lambda: sk.roc_auc_score(numbers, scores, multi_class="ovr"),
        "log_loss": lambda: sk.log_loss(numbers, probabilities, labels=range(len(classes))),
    }[name]()


@pytest.mark.parametrize("classes", [("benign", "malignant"), ("covid19", "normal", "pneumonia")])
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
