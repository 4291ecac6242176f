"""The estimate in words never says more than was measured."""

from __future__ import annotations

import json
import math
import re

import pytest
from scipy import stats

from nachos_jax.report.numbers.summary import summarise
from nachos_jax.report.reading.evidence import read
from nachos_jax.report.words import sentence
from tests.report.rivals import edit_run
from tests.tiers import mostly_thorough


def words(directory) -> tuple[str, str]:
    summary = summarise(read(directory))
    return summary["sentence"], "\n".join(summary["caveats"])


def test_a_whole_run(make_run):
    directory = make_run(sites=0)
    told, caveats = words(directory)
    metric = summarise(read(directory))["metrics"]["balanced_accuracy"]
    folds, subjects = ({key: f"{i[key]:.3f}" for key in ("low", "high")} for i in metric["intervals"][:2])
    half = stats.t(4).ppf(0.975) * math.sqrt(1 / 5 + 1 / 4) * metric["sd"]
    beyond = f"{metric['mean'] - half:.3f} to {metric['mean'] + half:.3f}"
    assert told == (
        f"Balanced accuracy {metric['mean']:.3f} (95 % interval {folds['low']} to {folds['high']}, corrected "
        "t on the logit scale over 5 outer folds; over 120 subjects "
        f"{subjects['low']} to {subjects['high']}, bootstrap; SE {metric['se']:.3f}, descriptive): "
        "nested cross-validation on 240 cases of 120 subjects, 3 classes. It estimates how the whole "
        "procedure (search, training, epochs rule) performs when trained on about 4/5 of these data."
    )
    assert caveats == (
        f"On the interval: the plain one, {beyond}, would leave the metric's range.\n{sentence.SE_LABEL}."
    )


def test_a_subset_of_folds(make_run):
    told, caveats = words(make_run(tested=(0, 3, 4)))
    assert "over 3 of 5 outer folds" in told
    assert "part of a nested cross-validation on 240 cases (144 of them tested)" in told
    assert "not yet: 1 and 2" in caveats


def test_two_folds_have_no_interval_over_folds(make_run):
    for changes in ({"folds": 2, "trials": 1}, {"tested": (0, 3)}):
        told, caveats = words(make_run(name=str(changes), **changes))
        assert "corrected t" not in told
        assert "bootstrap over " in told
        assert "; no interval over folds; SE" in told
        assert re.search(r"No interval over folds is given: .*\b(2|two)\b", caveats), caveats


def test_sites_as_folds_qualify_the_interval(make_run):
    directory = make_run()
    run = json.loads((directory.records / "run.json").read_text())
    run["folds"]["scheme"] = "site"
    (directory.records / "run.json").write_text(json.dumps(run))
    _, caveats = words(directory)
    assert "On the interval: folds are sites" in caveats


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("stratified", "Five or more outer folds (config.folds.count) serve better."),
        ("site", "Cases of more sites serve better."),
        ("predefined", "More folds in the column of folds serve better."),
    ],
)
def test_what_serves_better_than_three_folds_is_what_can_be_changed(make_run, scheme: str, said: str):
    directory = make_run(folds=3, trials=1)
    edit_run(directory.path, lambda run: run["folds"].update(scheme=scheme))
    _, caveats = words(directory)
    (found,) = re.findall(r"uncertain\. (.* serve better\.)", caveats)
    assert found == said


def test_one_fold_has_no_standard_error(make_run):
    told, caveats = words(make_run(tested=(2,)))
    assert "from 1 of 5 outer folds, so without SE" in told
    assert "SE over folds" not in caveats


def test_nothing_tested(make_run):
    told, caveats = words(make_run(tested=()))
    assert told.startswith("No estimate yet: none of 5 outer folds is tested.")
    assert "estimates how" not in told
    assert caveats == ""


def test_waived_subjects_are_not_called_subjects(make_run):
    told, caveats = words(make_run(waived=True))
    assert "240 cases taken as one case a subject (stated by the user, not checked)" in told
    assert "subjects" not in told
    assert "too good" in caveats


def test_a_metric_undefined_in_some_folds(make_run):
    told, caveats = words(make_run(absent_in_fold=1, metric="auc"))
    assert told.startswith("AUC 0.")
    assert "over 4 of 5 outer folds" in told
    assert "AUC is undefined in outer fold 1 (no case of covid19), which its mean leaves out." in caveats


def test_a_metric_undefined_in_all_folds(make_run):
    told, _ = words(make_run(tested=(1,), absent_in_fold=1, metric="auc"))
    assert told.startswith("AUC is undefined in all of 1 tested outer fold (no case of covid19)")
    assert "estimates how" not in told


def test_a_qualified_headline(make_run):
    _, caveats = words(make_run(absent_in_fold=1))
    assert "Balanced accuracy in outer fold 1: over 2 of 3 classes: no case of covid19." in caveats


def test_failed_trials_and_diverged_refits(make_run):
    _, caveats = words(make_run(failed=((1, 2), (3, 0)), diverged_refit=0))
    assert "2 of 20 trials failed" in caveats
    assert (
        "48 predictions are of outer folds with predictions that are not numbers, because a refit" in caveats
    )
    assert "may flatter" in caveats


def test_repeats_and_warnings(make_run):
    told, caveats = words(make_run(repeats=2, warnings=("class covid19 is rare",)))
    assert "over 10 outer folds, 2 repeats of 5" in told
    assert "SD/√5" in caveats
    assert caveats.endswith("class covid19 is rare.")


@mostly_thorough(
    ("share", "text"),
    [
        ([0.8, 0.8], "about 4/5"),
        ([0.795, 0.81], "about 4/5"),
        ([0.61, 0.93], "61% to 93%"),
        ([0.5, 0.5], "50%"),
    ],
    kept=1,
)
def test_the_share_of_training_data(make_run, share, text):
    evidence = read(make_run())
    told = sentence.estimate({**summarise(evidence), "training_share": share}, evidence.section)
    assert told.endswith(f"when trained on {text} of these data.")
