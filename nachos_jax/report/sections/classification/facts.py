"""Facts of the checklists about classes: what is predicted, decisions, errors, calibration, imbalance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.checklists.item import Fact, Report, Source
from nachos_jax.report.checklists.model import chosen as chosen_trials
from nachos_jax.report.checklists.results import REST, UNTESTED, selected
from nachos_jax.report.checklists.words import MOST_LISTED, between, counted, listed, quoted
from nachos_jax.report.words.format import number

MISSING = Fact(
    "The program drops no case and imputes nothing: an image that cannot be read or a case without a label "
    "stops the run before training."
)


def outcome(report: Report) -> Fact:
    """What is predicted."""
    names = report.summary["data"]["classes"]
    return Fact(f"Predicted is one of {counted(len(names), 'class', 'classes')}: {listed(names)}.")


def plots(report: Report) -> Fact:
    """What is reported beside the metrics."""
    found = []
    if report.summary["calibration"]:
        found.append(
            f"calibration of the {report.summary['calibration']['of']} (parts of the Brier score, slope)"
        )
    if _decided(report.summary["decisions"]):
        found.append(f"decisions at a threshold (rule {report.summary['decisions']['rule']})")
    if report.summary["subgroups"]:
        found.append("values by subgroup")
    return Fact(f"Besides: {listed(found)}." if found else "")


def diagnostic(report: Report) -> Fact:
    """Rates of the decisions, or of the predicted classes."""
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    missing = REST if report.summary["progress"]["outer_folds_missing"] else ""
    found = report.summary["decisions"]
    parts = []
    if found and not _decided(found):
        reasons = dict.fromkeys(row["threshold"]["note"] for row in found["folds"].values())
        parts.append(f"No decision about {found['class']} is made: {'; '.join(filter(None, reasons))}.")
    elif found:
        rates = "; ".join(
            quoted(name.upper() if name in ("ppv", "npv") else name, rate["mean"], rate["intervals"][0])
            for name, rate in found["rates"].items()
        )
        parts.append(f"Decisions about {found['class']}, means over outer folds: {rates}.")
    if len(report.evidence.classes) <= MOST_LISTED:
        rows = report.summary["confusion"]["per_class"].items()
        each = "; ".join(
            f"{name} recall {_share(row['recall'])}, precision {_share(row['precision'])}, specificity "
            f"{_share(row['specificity'])}"
            for name, row in rows
        )
        parts.append(f"By class, of all out-of-fold predictions together (no intervals): {each}.")
    return Fact(" ".join(parts) + selected(report), missing)


def _decided(decisions: Mapping[str, Any] | None) -> bool:
    return decisions is not None and any(row["decision"] for row in decisions["folds"].values())


def _share(value: Mapping[str, Any]) -> str:
    return f"undefined ({value['note']})" if value["value"] is None else number(value["value"], 3)


def failures(report: Report) -> Fact:
    """Wrong predictions, and what never became a prediction."""
    found, trials = report.summary["confusion"], report.summary["trials"]
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    wrong = found["predictions"] - sum(row[i] for i, row in enumerate(found["counts"]))
    text = (
        f"{wrong:,} of {counted(found['predictions'], 'out-of-fold prediction')} are wrong; predictions.csv "
        f"lists them and the confusion matrix counts them. {found['without_numbers']:,} further predictions "
        f"are not numbers; {trials['failed']:,} of {counted(trials['scored'], 'trial')} failed."
        f"{selected(report)}"
    )
    return Fact(text, "a look at the wrong cases, and what they have in common")


def output(report: Report) -> Fact:
    """What the model gives, and how thresholds came about."""
    text = "A probability for each class; the predicted class has the highest."
    found = report.summary["decisions"]
    if found is None:
        why = (
            "the flat protocol has no inner folds"
            if report.evidence.flat
            else "no class is named that decisions are about"
        )
        return Fact(f"{text} No threshold is chosen: {why}.")
    chosen = [row["threshold"]["value"] for row in found["folds"].values()]
    if chosen and not any(value is not None for value in chosen):
        reasons = dict.fromkeys(row["threshold"]["note"] for row in found["folds"].values())
        return Fact(f"{text} No threshold is chosen: {'; '.join(reasons)}.")
    where = f" (by outer fold: {', '.join(number(value, 3) for value in chosen)})" if chosen else ""
    return Fact(
        f"{text} Decisions about {found['class']}: threshold by the rule {found['rule']}, chosen on "
        f"inner-fold predictions of each outer fold and applied to that outer fold{where}.",
        "the reason for this rule",
    )


def calibration(report: Report) -> Fact:
    """Intercept and slope of the predicted probabilities."""
    found = report.summary["calibration"]
    if not found:
        return Fact("", UNTESTED)
    each = "; ".join(
        f"{title} {_share(found[key])}"
        for key, title in (("in_the_large", "in the large"), ("intercept", "intercept"), ("slope", "slope"))
    )
    brier = number(found["brier_parts"]["brier"], 3)
    return Fact(
        f"Calibration of the {found['of']}, {counted(found['predictions'], 'prediction')} together: {each}; "
        f"squared error {brier}.{selected(report)}"
    )


def updating(report: Report) -> Fact:
    """Temperature scaling, which is the only update that a run tries."""
    found = report.summary["temperature"]
    if not found or not found["before"]:
        return Fact("No model is updated after its evaluation.", applies=False)
    before, after = (number(found[key]["log_loss"], 3) for key in ("before", "after"))
    scaled = sum(row["before"] is not None for row in found["folds"].values())
    return Fact(
        "Temperature scaling is fitted on inner-fold predictions of each outer fold and reported beside the "
        f"estimate, which it does not enter: mean log loss over {counted(scaled, 'outer fold')} {before} "
        f"before, {after} after."
    )


def imbalance(report: Report) -> Fact:
    """Class weights of the selected trials."""
    chosen = chosen_trials(report.evidence)
    if not chosen:
        return Fact("", "class weights of the selected trials: no search has ended yet")
    exponents = [trial.hparams.get("class_weight_exponent") for trial in chosen]
    if all(value is None for value in exponents):
        return Fact("", "class weights, which this run did not record")
    weighted = [float(value) for value in exponents if isinstance(value, (int, float)) and value]
    if not weighted:
        return Fact("The selected trials weight no class and cases are not resampled.")
    return Fact(
        f"{len(weighted)} of {counted(len(chosen), 'selected trial')} weight classes in the loss, by "
        f"(N / (C n)) to the power {between(weighted)}; cases are not resampled.",
        "why, and what it does to calibration",
    )


FACTS: Mapping[str, Source | Fact] = {
    "missing": MISSING,
    "outcome": outcome,
    "plots": plots,
    "diagnostic": diagnostic,
    "failures": failures,
    "output": output,
    "calibration": calibration,
    "updating": updating,
    "imbalance": imbalance,
}
