"""Checklists: complete and in order, and never saying more than the records of a run hold."""

from __future__ import annotations

import dataclasses
import re

import pytest

from nachos_jax.engine.quasi_newton import STEPS, TOLERANCE
from nachos_jax.report.checklists.checklist import GUIDELINES, STATES, Item, checklist, tally
from nachos_jax.report.checklists.facts import Facts
from nachos_jax.report.words.format import number
from tests.report.checklist_runs import FEW, flat, told
from tests.report.rivals import edit_run
from tests.tiers import mostly_thorough

TRIPOD = [
    *("1", "2", "3a", "3b", "3c", "4", "5a", "5b", "6a", "6b", "6c", "7", "8a", "8b", "8c", "9a", "9b", "9c"),
    *("10", "11", "12a", "12b", "12c", "12d", "12e", "12f", "12g", "13", "14", "15", "16", "17"),
    *("18a", "18b", "18c", "18d", "18e", "18f", "19", "20a", "20b", "20c", "21", "22", "23a", "23b", "24"),
    *("25", "26", "27a", "27b", "27c"),
]
RUNS = {
    "whole": {},
    "binary": {"classes": ("benign", "malignant")},
    "subset": {"tested": (0, 3)},
    "two folds": {"folds": 2},
    "nothing tested": {"tested": ()},
    "waived": {"waived": True},
    "repeats": {"folds": 3, "repeats": 5},
    "failed": {"failed": ((0, 1), (2, 3)), "diverged_refit": 1},
    "one class in a fold": {"single_class_fold": 2, "classes": ("benign", "malignant")},
    "no sites, no groups": {"sites": 0, "groups": False},
    "one site": {"sites": 1},
    "no inner predictions": {"inner": False, "classes": ("benign", "malignant")},
}


def filled(directory) -> tuple[dict[str, Item], dict]:
    """Items by guideline's first letter and number, e.g. "C20" and "T12c", and the summary."""
    evidence, summary = told(directory)
    return {item.guideline[0] + item.number: item for item in checklist(evidence, summary)}, summary


@pytest.fixture
def run(make_run):
    """make_run with a fast bootstrap."""
    return lambda **changes: make_run(settings=FEW, **changes)


@mostly_thorough(
    "changes",
    list(RUNS.values()),
    kept=[RUNS[name] for name in ("whole", "failed", "two folds", "nothing tested")],
    ids=list(RUNS),
)
def test_all_items_in_order_and_states_that_fit_the_answers(run, changes):
    evidence, summary = told(run(**changes))
    items = checklist(evidence, summary)
    numbers = {name: [item.number for item in items if item.guideline == name] for name in GUIDELINES}
    assert numbers == {"CLAIM 2024": [str(i) for i in range(1, 45)], "TRIPOD+AI": TRIPOD}
    for item in items:
        assert item.asked
        assert item.section
        expected = {
            "known": (True, False),
            "partly": (True, True),
            "authors": (False, True),
            "does not apply": (True, False),
        }[item.state]
        assert (bool(item.answer), bool(item.missing)) == expected, item
        assert not re.search(r"None|  |\.\.|summary\.[^j]|\bnan\b", item.answer), item
    counts = tally(items)
    assert [sum(counts[name].values()) for name in GUIDELINES] == [44, len(TRIPOD)]
    assert all(tuple(count) == STATES for count in counts.values())
    assert items == checklist(evidence, summary)


def test_what_no_run_can_know_is_left_to_the_authors(run):
    items, _ = filled(run())
    for key in (
        "C3",
        "C8",
        "C11",
        "C13",
        "C15",
        "C16",
        "C18",
        "C34",
        "C44",
        "T3a",
        "T5b",
        "T6b",
        "T17",
        "T18a",
        "T18d",
    ):
        assert items[key].state == "authors", key


def test_every_value_is_that_of_the_summary_with_its_interval(run):
    items, summary = filled(run())
    answer = items["C37"].answer
    assert items["C37"].state == "known"
    for name in summary["shown"]:
        metric = summary["metrics"][name]
        first = metric["intervals"][0]
        span = f"95 % interval {number(first['low'], 3)} to {number(first['high'], 3)}"
        assert f"{metric['label']} {number(metric['mean'], 3)} ({span}, Corrected t" in answer
    for row in summary["subgroups"]:
        value = row["metrics"]["balanced_accuracy"]["value"]
        where = "T23b" if row["column"] == "site" else "T23a"
        assert f"{row['column']} {row['group']}, {row['cases']} case" in items[where].answer
        assert number(value, 3) in items[where].answer


def test_subjects_never_cross_folds_and_it_is_counted_again(run):
    directory = run()
    items, _ = filled(directory)
    assert items["C20"].state == "known"
    assert "disjoint by subject" in items["C20"].answer
    assert "not disjoint by site: 2 of 2 sites" in items["C20"].answer
    rows = directory.read_table("folds.csv")
    assert rows is not None
    for row in rows[:4]:  # the first two subjects, which lie in different folds, become one
        row["subject"] = "patient-000"
    assert len({row["fold"] for row in rows[:4]}) == 2
    directory.write_table("folds.csv", list(rows[0]), [list(row.values()) for row in rows])
    items, _ = filled(directory)
    assert items["C20"].state == "partly"
    assert items["C20"].answer.startswith("1 subject of folds.csv")


def test_waived_subjects_are_never_called_disjoint(run):
    items, _ = filled(run(waived=True))
    for key in ("C20", "T12a"):
        assert items[key].state == "partly"
        assert "stated by the user" in items[key].answer
        assert "are disjoint by subject" not in items[key].answer
    assert "240 subjects" not in " ".join(items[key].answer for key in ("C7", "C35", "C36", "T20a"))
    assert "single cases, as the user stated" in items["C29"].answer


def test_a_subset_of_outer_folds_shows_everywhere(run):
    items, _ = filled(run(tested=(0, 3)))
    for key in ("C19", "C32", "C37", "C38", "T12a", "T12c", "T23a", "T23b"):
        assert items[key].state == "partly", key
        assert "outer folds not yet tested" in items[key].missing, key
    assert "2 of 5 outer folds are tested; not yet: 1, 2 and 4" in items["C37"].answer
    assert "no interval: defined in 2 outer folds" in items["C37"].answer
    assert "96 of them are tested" in items["C10"].answer


def test_failures_show_with_their_numbers(run):
    items, summary = filled(run(failed=((0, 1), (2, 3)), diverged_refit=1))
    assert "of which 2 failed and scored worst" in items["C25"].answer
    assert f"{summary['spent']['fits_diverged']} met NaN or infinity" in items["C25"].answer
    assert (
        "48 further predictions are of outer folds with predictions that are not numbers; 2 of 20 trials "
        "failed" in items["C39"].answer
    )
    assert (
        "48 predictions are of outer folds with predictions that are not numbers, and in no metric"
        in items["C37"].answer
    )
    right = sum(row[i] for i, row in enumerate(summary["confusion"]["counts"]))
    assert items["C39"].answer.startswith(f"{192 - right} of 192 out-of-fold predictions are wrong")


def test_before_the_first_test_nothing_is_claimed(run):
    items, _ = filled(run(tested=()))
    for key in ("C26", "C32", "C37", "C38", "C39", "T23a"):
        assert items[key].state == "authors", key
    assert "0 of 5 outer folds are tested" in items["C19"].answer


def test_the_flat_protocol_is_never_called_nested(run):
    items, summary = filled(flat(run(tested=()), failed=1))
    metric = summary["metrics"]["balanced_accuracy"]
    assert metric["estimate"] != metric["mean"]
    assert f"Balanced accuracy {number(metric['estimate'], 3)} (95 % interval" in items["C37"].answer
    assert f"Balanced accuracy {number(metric['mean'], 3)} (" not in items["C37"].answer
    assert "no test set apart" in items["C19"].answer
    assert "no inner folds" in items["T15"].answer
    for key, item in items.items():
        if key not in ("C40", "T26"):  # the caveats advise a nested run
            assert "ested cross" not in item.answer, key
            assert "refit" not in item.answer, key
    for key in ("C38", "C39", "T23a", "T23b"):
        assert "not corrected for its selection" in items[key].answer, key
    assert "1 of 4 trials failed" in items["C39"].answer
    assert items["T12f"].state == "does not apply"


def test_no_threshold_is_claimed_where_none_could_be_chosen(run):
    items, _ = filled(run(inner=False, classes=("benign", "malignant")))
    assert "No threshold is chosen: the search fits of this run kept no predictions" in items["T15"].answer
    assert "No decision about malignant is made: the search fits" in items["C38"].answer
    assert "decisions" not in items["T12e"].answer


def test_sites_as_folds_are_told_as_that_and_not_as_an_external_test(run):
    directory = run()
    edit_run(directory.path, lambda value: value["folds"].update(scheme="site"))
    items, _ = filled(directory)
    assert items["C33"].state == "partly"
    assert "No external cohort" in items["C33"].answer
    assert "leave one site out" in items["C19"].answer
    items, _ = filled(run(name="other", sites=1))
    assert items["C33"].answer == "No external data are tested in this run."
    assert items["T23b"].answer == "Not examined: the cases come from one site."


def test_training_and_preparation_as_recorded(run):
    directory = run(classes=("benign", "malignant"))
    items, _ = filled(directory)
    assert "early stopping, which this run did not record" in items["C25"].missing
    assert "did not record" in items["C9"].missing

    def record(run):
        run["config"]["training"] = {"early_stopping": True, "epochs": 30, "patience": 8, "min_delta": 0.25}
        run["config"]["deploy"] = {"members": "folds"}
        run["preparation"] = {
            "height": 64,
            "width": 48,
            "channels": 1,
            "dtype": "uint8",
            "resized": True,
            "aspect": "pad",
        }

    edit_run(directory.path, record)
    items, summary = filled(directory)
    assert "at most 30 epochs and stop after 8 epochs" in items["C25"].answer
    assert "0.25" in items["C25"].answer
    assert items["C25"].state == "known"
    assert "64 x 48 pixels and 1 channel, held as uint8, resized to this, padded" in items["C9"].answer
    assert items["C27"].state == "known"
    assert "untested" in items["C27"].answer
    thresholds = [number(row["threshold"]["value"], 3) for row in summary["decisions"]["folds"].values()]
    assert f"by outer fold: {', '.join(thresholds)}" in items["T15"].answer
    assert "chosen on inner-fold predictions" in items["T15"].answer
    assert "learning_rate: log(0.001, 0.1)" in items["C25"].answer
    assert "momentum" not in items["C25"].answer


@mostly_thorough(
    ("hparams", "words"),
    [
        (
            {"architecture": "linear"},
            f"less than {TOLERANCE:.0e} of it, or after {STEPS} steps".replace("-0", "-"),
        ),
        ({"architecture": "linear"}, "A refit is solved once over all cases but those of its outer fold."),
        ({"architecture": "logistic"}, "A refit is fitted once to all cases but those of its outer fold."),
        (
            {"architecture": "unet", "unet.deep_supervision": True},
            "the coarser levels too, with weights 1, 1/2,",
        ),
    ],
    kept=3,
)
def test_how_a_fit_is_solved_is_what_its_code_does(run, hparams, words):
    evidence, summary = told(run(inner=False))
    outcomes = {
        fold: dataclasses.replace(
            outcome, trials=tuple(dataclasses.replace(trial, hparams=hparams) for trial in outcome.trials)
        )
        for fold, outcome in evidence.outcomes.items()
    }
    trials = {
        study: [dataclasses.replace(trial, hparams=hparams) for trial in each]
        for study, each in evidence.trials.items()
    }
    assert words not in Facts(evidence, summary).of("model.training").text
    changed = dataclasses.replace(evidence, outcomes=outcomes, trials=trials)
    answer = Facts(changed, summary).of("model.training").text
    assert words in answer
    assert "Newton" not in answer
    chosen = Facts(changed, summary).of("model.selection").text
    whole = hparams["architecture"] != "unet"  # a fit that is solved or fitted as a whole has no epochs
    assert ("epoch" in answer.replace("there are no epochs", "")) != whole
    assert ("at the epoch with the lowest loss of the fold, mean over the" in chosen) != whole
    assert ("Balanced accuracy, mean over the inner folds of each outer fold, which never" in chosen) == whole
