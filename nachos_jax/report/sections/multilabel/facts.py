"""Facts of the checklists about labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nachos_jax.report.checklists.item import Fact, Report, Source
from nachos_jax.report.checklists.model import chosen
from nachos_jax.report.checklists.results import REST, UNTESTED, selected
from nachos_jax.report.checklists.words import MOST_LISTED, between, counted, listed
from nachos_jax.report.sections.multilabel import labels, tables
from nachos_jax.report.words.format import number


def missing(report: Report) -> Fact:
    """What happens to labels that are not known."""
    unknown = np.isnan(report.evidence.targets).sum(axis=0).tolist()
    each = [f"{name} ({n:,})" for name, n in zip(report.evidence.classes, unknown, strict=True) if n]
    known = f"Not known are, in cases: {listed(each)}." if each else "Every label of every case is known."
    return Fact(
        "The program drops no case and imputes nothing: an image that cannot be read stops the run before "
        f"training; a label that is not known counts neither in the loss nor in a metric. {known}",
        "why these labels are not known" if each else "",
    )


def outcome(report: Report) -> Fact:
    """What is predicted."""
    names = report.summary["data"]["classes"]
    return Fact(f"Predicted is the presence of each of {counted(len(names), 'label')}: {listed(names)}.")


def plots(report: Report) -> Fact:
    """What is reported beside the metrics."""
    groups = ", values by subgroup" if report.summary["subgroups"] else ""
    return Fact(f"Besides: values and curves of each label, decisions at thresholds{groups}.")


def diagnostic(report: Report) -> Fact:
    """Rates of the decisions about each label."""
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    told = REST if report.summary["progress"]["outer_folds_missing"] else ""
    found = labels.rows(report.summary)
    if len(found) > MOST_LISTED:
        return Fact(f"summary.json has the values of {len(found)} labels.{selected(report)}", told)
    each = "; ".join(
        f"{name} AUC {number(row['auc']['mean'], 3)}, sensitivity {number(row['sensitivity']['mean'], 3)}, "
        f"specificity {number(row['specificity']['mean'], 3)}"
        for name, row in found
    )
    return Fact(f"{tables.decided(report.summary)} Means over outer folds: {each}.{selected(report)}", told)


def failures(report: Report) -> Fact:
    """What never became a prediction."""
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    lost, trials = report.summary["without_numbers"], report.summary["trials"]
    return Fact(
        f"predictions.csv has every probability beside its label; {lost:,} predictions are not numbers; "
        f"{trials['failed']:,} of {counted(trials['scored'], 'trial')} failed.{selected(report)}",
        "a look at the wrong cases, and what they have in common",
    )


def output(report: Report) -> Fact:
    """What the model gives, and how thresholds came about."""
    return Fact(
        f"A probability for each label, independent of the others. {tables.decided(report.summary)} F1 among "
        "the metrics is at 0.5.",
        "" if report.evidence.flat else "the reason for this rule",
    )


def calibration(report: Report) -> Fact:
    """Log loss, which is all that is told of it."""
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    found = report.summary["metrics"]
    told = "; ".join(
        f"{found[key]['label']} {number(found[key]['mean'], 3)}" for key in ("log_loss", "brier")
    )
    return Fact(f"{told}, means over outer folds.{selected(report)}", "calibration of each label")


UPDATING = Fact("No model is updated after its evaluation.", applies=False)


def imbalance(report: Report) -> Fact:
    """Weights of the presence and absence of labels."""
    trials = chosen(report.evidence)
    if not trials:
        return Fact("", "weights of labels in the selected trials: no search has ended yet")
    exponents = [trial.hparams.get("class_weight_exponent") or 0.0 for trial in trials]
    weighted = [float(value) for value in exponents if float(value)]
    if not weighted:
        return Fact("The selected trials weight no label and cases are not resampled.")
    return Fact(
        f"{len(weighted)} of {counted(len(trials), 'selected trial')} weight presence and absence of each "
        f"label in the loss, by (known / (2 n)) to the power {between(weighted)}; cases are not resampled.",
        "why, and what it does to calibration",
    )


FACTS: Mapping[str, Source | Fact] = {
    "missing": missing,
    "outcome": outcome,
    "plots": plots,
    "diagnostic": diagnostic,
    "failures": failures,
    "output": output,
    "calibration": calibration,
    "updating": UPDATING,
    "imbalance": imbalance,
}
