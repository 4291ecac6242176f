"""Facts of the checklists about a predicted number."""

from __future__ import annotations

from collections.abc import Mapping

from nachos_jax.report.checklists.item import Fact, Report, Source
from nachos_jax.report.checklists.results import REST, UNTESTED, selected
from nachos_jax.report.checklists.words import counted, metric_quoted
from nachos_jax.report.words.format import number

MISSING = Fact(
    "The program drops no case and imputes nothing: an image that cannot be read or a case without a target "
    "stops the run before training."
)


def outcome(report: Report) -> Fact:
    """What is predicted."""
    name, target = report.summary["data"]["classes"][0], report.summary["target"]
    return Fact(
        f"Predicted is the number {name}: mean {number(target['mean'])}, SD {number(target['sd'])}, from "
        f"{number(target['smallest'])} to {number(target['largest'])} over all cases.",
        "the unit of the target and how it was measured",
    )


def plots(report: Report) -> Fact:
    """What is reported beside the metrics."""
    groups = ", values by subgroup" if report.summary["subgroups"] else ""
    return Fact(f"Besides: predicted against true values, bias and limits of agreement{groups}.")


def diagnostic(report: Report) -> Fact:
    """Errors and correlations."""
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    shown = [metric_quoted(report.summary["metrics"][name]) for name in report.summary["shown"]]
    missing = REST if report.summary["progress"]["outer_folds_missing"] else ""
    return Fact(f"A number is predicted and no diagnosis made. {'; '.join(shown)}.", missing)


def failures(report: Report) -> Fact:
    """Large errors, and what never became a prediction."""
    found, trials = report.summary["agreement"], report.summary["trials"]
    if not found:
        return Fact("", UNTESTED)
    lost = report.summary["without_numbers"]
    return Fact(
        f"predictions.csv lists the error of {counted(found['predictions'], 'out-of-fold prediction')}; "
        f"{lost:,} further predictions are not numbers; {trials['failed']:,} of "
        f"{counted(trials['scored'], 'trial')} failed.{selected(report)}",
        "a look at the cases with large errors, and what they have in common",
    )


def calibration(report: Report) -> Fact:
    """Bias and limits of agreement."""
    found = report.summary["agreement"]
    if not found:
        return Fact("", UNTESTED)
    return Fact(
        f"Bias (prediction less target) {number(found['bias']['mean'], 3)}, mean over outer folds; limits of "
        f"agreement {number(found['low'], 3)} to {number(found['high'], 3)} of "
        f"{counted(found['predictions'], 'prediction')} together.{selected(report)}"
    )


OUTPUT = Fact("A number in the unit of the target. No threshold is chosen.")
UPDATING = Fact("No model is updated after its evaluation.", applies=False)
IMBALANCE = Fact("A number is predicted: there are no classes to be out of balance.", applies=False)
FACTS: Mapping[str, Source | Fact] = {
    "missing": MISSING,
    "outcome": outcome,
    "plots": plots,
    "diagnostic": diagnostic,
    "failures": failures,
    "output": OUTPUT,
    "calibration": calibration,
    "updating": UPDATING,
    "imbalance": IMBALANCE,
}
