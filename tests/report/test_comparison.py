"""Comparisons of runs: their numbers from predictions alone, their words, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, log_loss

from nachos_jax.core.errors import UsageError
from nachos_jax.records.store import RunDirectory
from nachos_jax.report.numbers import comparison
from nachos_jax.report.reading import finished
from nachos_jax.report.words import comparison_text
from tests.report.rivals import edit_folds, edit_run, edit_test, rival
from tests.report.task_cases import MASKS


@pytest.fixture
def make_run(make_run):
    """Builds a run directory of one trial a study: searches are not what is compared."""

    def make(name: str = "run", **changes) -> RunDirectory:
        return make_run(name, **{"trials": 1, "inner": False, **changes})

    return make


def paths(*runs: RunDirectory) -> list[str]:
    return [str(run.path) for run in runs]


def scores(run: RunDirectory, score) -> np.ndarray:
    """A scikit-learn metric of each outer fold, from the records alone."""
    return np.array([score(test.arrays["labels"], test.arrays["probabilities"]) for test in run.tests()])


def balanced(labels, probabilities) -> float:
    return balanced_accuracy_score(labels, probabilities.argmax(axis=1))


def loss(labels, probabilities) -> float:
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    return float(log_loss(labels, probabilities, labels=[0, 1, 2]))


def _one_label_changed(test):
    labels = test.arrays["labels"].copy()
    labels[0] = (labels[0] + 1) % 3
    return {"arrays": {**test.arrays, "labels": labels}}


@pytest.mark.parametrize(("metric", "score"), [("balanced_accuracy", balanced), ("log_loss", loss)])
def test_numbers_recomputed_from_the_predictions(make_run, metric, score):
    first = make_run()
    other = rival(first, "other", better=0.1)
    result = comparison.compare(paths(first, other), metric, rope=0.02)
    differences = scores(first, score) - scores(other, score)
    (pair,) = result["pairs"]
    assert list(pair["differences"].values()) == pytest.approx(differences, abs=1e-6)
    se = np.sqrt(1 / 5 + 1 / 4) * differences.std(ddof=1)
    posterior = stats.t(4, differences.mean(), se)
    assert pair["mean"] == pytest.approx(differences.mean(), abs=1e-6)
    assert pair["test"]["p"] == pytest.approx(2 * stats.t.sf(abs(differences.mean() / se), 4), rel=1e-3)
    assert pair["test"]["low"] == pytest.approx(posterior.ppf(0.025), abs=1e-5)
    assert pair["p_holm"] == pair["test"]["p"]
    above, below = posterior.sf(0.02), posterior.cdf(-0.02)
    better = (above, below) if metric == "balanced_accuracy" else (below, above)
    found = pair["probabilities"]
    assert (found["a_better"], found["b_better"]) == pytest.approx(better, abs=1e-4)
    assert sum(found.values()) == pytest.approx(1)
    json.dumps(result, allow_nan=False)


def test_the_order_of_runs_only_mirrors(make_run):
    first = make_run()
    other = rival(first, "other", better=0.05)
    (one,) = comparison.compare(paths(first, other))["pairs"]
    (two,) = comparison.compare(paths(other, first))["pairs"]
    assert two["mean"] == pytest.approx(-one["mean"])
    assert two["test"]["p"] == pytest.approx(one["test"]["p"])
    assert two["probabilities"]["a_better"] == pytest.approx(one["probabilities"]["b_better"])
    assert two["shown"] == one["shown"]


def test_a_clear_difference_is_told_with_its_direction(make_run):
    first = make_run()
    other = rival(first, "other", better=-0.5)
    result = comparison.compare(paths(first, other))
    (words,) = result["words"]
    assert words.startswith(
        "A difference was shown: over these folds the mean balanced accuracy of run is 0."
    )
    assert "higher than that of other (higher is better)" in words
    assert "that run is better by more than 0.01 is > 0.99," in words
    assert words.endswith("and that other is better by more than 0.01 < 0.01.")
    assert "equal" not in words
    (losses,) = comparison.compare(paths(first, other), "log_loss")["words"]
    assert "the mean log loss of run is" in losses
    assert "lower than that of other (lower is better)" in losses


def test_no_difference_is_not_called_equality(make_run):
    first = make_run()
    result = comparison.compare(paths(rival(first, "one", 1), rival(first, "two", 2)), rope=0.5)
    (pair,), (words,) = result["pairs"], result["words"]
    assert pair["test"]["p"] > 0.05
    assert words.startswith("No difference was shown:")
    assert "This does not show that they are equal." in words
    assert "(practical equivalence) > 0.99" in words
    told = comparison_text.markdown(result)
    assert "are equivalent" not in told
    assert "is a choice" in told


def test_three_runs_are_held_against_holm(make_run):
    first = make_run()
    runs = first, rival(first, "second", 2), rival(first, "third", 3, better=0.8)
    result = comparison.compare(paths(*runs))
    assert [(p["a"], p["b"]) for p in result["pairs"]] == [
        ("run", "second"),
        ("run", "third"),
        ("second", "third"),
    ]
    raw = [pair["test"]["p"] for pair in result["pairs"]]
    smallest = int(np.argmin(raw))
    assert result["pairs"][smallest]["p_holm"] == pytest.approx(3 * raw[smallest])
    assert all("after Holm over 3 tests" in words for words in result["words"])
    for pair in result["pairs"]:
        assert pair["shown"] == (pair["p_holm"] < 0.05)
        assert pair["p_holm"] >= pair["test"]["p"]


def test_what_cannot_be_tested_says_why(make_run):
    first = make_run(folds=2, failed=((0, 0), (1, 0)))
    (words,) = comparison.compare(paths(first, rival(first, "other")))["words"]
    assert words == (
        "run and other were not tested against each other: 2 folds a repeat are too few for a test: "
        "at least 3 are needed."
    )
    few = make_run("few", tested=(0, 3))
    result = comparison.compare(paths(few, rival(few, "few_other")))
    assert "2 tested outer folds" in result["words"][0]
    assert "Only 2 of 5 outer folds are tested (0, 3)" in " ".join(result["caveats"])
    assert "rule of thumb" not in " ".join(result["caveats"])


def test_undefined_folds_and_equal_runs(make_run):
    first = make_run(absent_in_fold=1, metric="auc")
    result = comparison.compare(paths(first, rival(first, "other")))
    assert "undefined in 1 of 5 outer folds" in result["words"][0]
    assert "AUC (no case of covid19) in run and outer fold: run 1, other 1." in result["caveats"]
    same = make_run("same")
    shutil.copytree(same.path, same.path.parent / "twin")
    edit_run(same.path.parent / "twin", lambda run: run["config"].update(seed=9))
    result = comparison.compare([str(same.path), str(same.path.parent / "twin")])
    assert "all 5 differences are equal" in result["words"][0]
    assert result["pairs"][0]["shown"] is False


def test_caveats_of_sites_and_waived_subjects(make_run):
    first = make_run(waived=True)
    edit_run(first.path, lambda run: run["folds"].update(scheme="site"))
    told = " ".join(comparison.compare(paths(first, rival(first, "other")))["caveats"])
    assert "measures sites" in told
    assert "Subjects are waived" in told


def test_repeats_are_all_compared(make_run):
    first = make_run(folds=3, repeats=2)
    (pair,) = comparison.compare(paths(first, rival(first, "other")))["pairs"]
    assert pair["count"] == 6
    assert pair["test"]["df"] == 5
    assert pair["test"]["se"] == pytest.approx(np.sqrt(1 / 6 + 1 / 2) * pair["sd"])


def test_files_and_table(make_run, tmp_path):
    first = make_run()
    result = comparison.compare(paths(first, rival(first, "a|b")))
    path = comparison.write(result, str(tmp_path / "new" / "folder"))
    text = path.read_text(encoding="utf-8")
    assert json.loads((path.parent / "comparison.json").read_text()) == json.loads(json.dumps(result))
    assert text.startswith("# Balanced accuracy of 2 runs\n")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert "a\\|b" in tables[3]
    plain = [line.replace("\\|", "  ") for line in tables]
    assert len({line.count("|") for line in plain[:4]}) == 1
    assert len({line.count("|") for line in plain[4:]}) == 1
    assert len(set(map(len, plain[:4]))) == len(set(map(len, plain[4:]))) == 1


def test_runs_of_the_same_name_are_told_by_their_paths(make_run, tmp_path):
    first = make_run()
    other = rival(first, "other")
    (tmp_path / "deep").mkdir()
    shutil.move(other.path, tmp_path / "deep" / "run")
    wanted = [str(first.path), str(tmp_path / "deep" / "run")]
    assert [run["name"] for run in comparison.compare(wanted)["runs"]] == wanted


def _refused(*runs: RunDirectory, **changes) -> str:
    with pytest.raises(UsageError) as told:
        comparison.compare(paths(*runs), **changes)
    return str(told.value)


def test_one_run_and_the_same_run_are_refused(make_run, tmp_path):
    first = make_run()
    assert "needs at least two runs" in _refused(first)
    assert "stands twice" in _refused(first, RunDirectory(f"{first.path}/."))
    shutil.copytree(first.path, tmp_path / "copy")
    assert "hold the same run" in _refused(first, RunDirectory(tmp_path / "copy"))
    assert "there is no folder" in _refused(first, RunDirectory(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    assert "holds no run" in _refused(first, RunDirectory(tmp_path / "empty"))


def test_the_flat_protocol_is_refused(make_run):
    first = make_run(tested=())
    other = rival(first, "other")
    edit_run(other.path, lambda run: run["config"].update(protocol="flat"))
    assert "other is a run of the flat protocol" in _refused(first, other)


def test_other_metrics_are_refused(make_run):
    first = make_run()
    other = rival(first, "other")
    assert "choose one of accuracy, " in _refused(first, other, metric="acuracy")
    edit_run(other.path, lambda run: run.update(inner_metric="auc"))
    assert "run by balanced_accuracy, other by auc" in _refused(first, other)
    assert comparison.compare(paths(first, other), "auc")["metric"] == "auc"


def test_other_data_are_refused(make_run):
    first = make_run()
    subjects = rival(first, "subjects")
    edit_folds(subjects, lambda rows: rows[3].update(subject="somebody"))
    told = _refused(first, subjects)
    assert "differ in the subject of 1 of 240 cases, like 'images/0003.png': 'patient-001' and" in told
    assert "predefined" in told
    labels = rival(first, "labels")
    edit_test(labels, 0, _one_label_changed)
    (test,) = [test for test in labels.tests() if test.outer_fold == 0]
    name = labels.run()["classes"][test.arrays["labels"][0]]  # pyrefly: ignore[unsupported-operation]
    case = {"case": test.cases[0]}
    edit_folds(labels, lambda rows: [row.update(label=name) for row in rows if case.items() <= row.items()])
    assert "differ in the label of 1 of 240 cases" in _refused(first, labels)
    classes = rival(first, "classes")
    before, after = classes.run()["classes"], ["normal", "covid19", "pneumonia"]  # pyrefly: ignore[unsupported-operation]
    edit_run(classes.path, lambda run: run.update(classes=after))
    edit_folds(
        classes, lambda rows: [row.update(label=after[before.index(row["label"])]) for row in rows] and None
    )
    assert "have other classes, or in another order" in _refused(first, classes)
    assert "have other cases: 2 are only in the first" in _refused(
        first, make_run("small", cases=238, seed=1)
    )


def test_other_folds_are_refused(make_run):
    first = make_run()
    assert "differ in the outer fold of" in _refused(first, make_run("four", folds=4))
    part = rival(make_run("whole", tested=(0, 1, 2)), "part")
    told = _refused(first, part)
    assert "has not tested outer folds 3,4" in told
    assert "--outer_folds=3,4" in told
    none = make_run("none", tested=())
    shutil.copytree(none.path, none.path.parent / "none_either")
    either = RunDirectory(none.path.parent / "none_either")
    assert "has tested no outer fold yet" in _refused(none, either)


def _one_mask_grown(evidence):
    """One voxel more of a class in the mask of one case, which no refit finds."""
    test = evidence.tests[0]
    (row,) = np.flatnonzero([case.case == test.cases[0] for case in evidence.cases])
    targets, more = evidence.targets.copy(), {key: values.copy() for key, values in test.arrays.items()}
    targets[row, 0] += 1
    more["reference"][0, 0] += 1
    more["volumes"][0, 0, 2] += 1
    tests = {**evidence.tests, 0: dataclasses.replace(test, arrays=more)}
    return dataclasses.replace(evidence, targets=targets, tests=tests)


def test_another_mask_of_the_same_classes_is_refused(make_run, monkeypatch):
    first = make_run(**MASKS)
    shutil.copytree(first.path, first.path.parent / "other")
    other = RunDirectory(first.path.parent / "other")
    edit_run(other.path, lambda run: run["config"].update(seed=9))
    comparison.compare(paths(first, other))
    finished.finished(paths(first, other))
    for module in (comparison, finished):

        def read(path: str, read=module._read):
            found = read(path)
            return _one_mask_grown(found) if path == str(other.path) else found

        monkeypatch.setattr(module, "_read", read)
    assert "differ in the mask of 1 of 240 cases, like 'images/" in _refused(first, other)
    with pytest.raises(UsageError, match="have other cases or another mask of one, like 'images/"):
        finished.finished(paths(first, other))
