"""Facts of the checklists about results: metrics, intervals, subgroups, calibration, decisions, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.checklists.item import Fact, Report
from nachos_jax.report.checklists.words import (
    MOST_LISTED,
    between,
    counted,
    listed,
    metric_quoted,
    quoted,
    tested_of,
)
from nachos_jax.report.words.format import number

UNTESTED = "the results: nothing is tested yet"
_REST = "the outer folds not yet tested, or why they are left out"
_UNCORRECTED = " These are of the selected trial, not corrected for its selection."


def sentence(report: Report) -> Fact:
    """The estimate in words."""
    return Fact(report.summary["sentence"])


def limitations(report: Report) -> Fact:
    """What must be known to read the estimate."""
    return Fact(" ".join(report.summary["caveats"]))


def metrics(report: Report) -> Fact:
    """Which metrics are shown, and which leads."""
    labels = [report.summary["metrics"][name]["label"] for name in report.summary["shown"]]
    text = f"Leading metric: {labels[0]}. Also shown: {listed(labels[1:])}; summary.json has further ones."
    return Fact(text)


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


def uncertainty(report: Report) -> Fact:
    """Methods, units and levels of the intervals, and why some are not given."""
    given: dict[str, list[int]] = {}
    withheld: dict[tuple[str, str], list[str]] = {}
    for name in report.summary["shown"]:
        metric = report.summary["metrics"][name]
        for interval in metric["intervals"]:
            if interval["low"] is not None:
                kind = f"{interval['label']}, unit {interval['unit']}"
                given.setdefault(kind, []).append(interval["count"])
            else:
                withheld.setdefault((interval["label"], interval["note"]), []).append(metric["label"])
    if not given and not withheld:
        return Fact("", UNTESTED)
    parts = []
    if given:
        kinds = "; ".join(f"{kind} ({between(map(float, counts), 0)})" for kind, counts in given.items())
        parts.append(f"Intervals of {100 * report.summary['level']:.4g} %: {kinds}.")
    parts += [
        f"No interval by {kind} for {listed(labels)}: {note}." for (kind, note), labels in withheld.items()
    ]
    if any(report.summary["metrics"][name]["se"] is not None for name in report.summary["shown"]):
        parts.append("The SE over folds is descriptive: folds share training cases, so it is too small.")
    if report.summary["data"]["subjects_waived"]:
        parts.append("Subjects in these units are single cases, as the user stated.")
    parts.append("Hypotheses are not tested here; the command nachos compare compares runs.")
    return Fact(" ".join(parts))


def performance(report: Report) -> Fact:
    """All shown metrics with their first interval."""
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    values = "; ".join(metric_quoted(report.summary["metrics"][name]) for name in report.summary["shown"])
    text = f"{values}. {_unit(report)}"
    return Fact(text, _REST if report.summary["progress"]["outer_folds_missing"] else "")


def _unit(report: Report) -> str:
    if report.evidence.flat:
        return "Numbers are corrected for choosing the trial on the folds that scored it (BBC-CV)."
    lost = report.summary["confusion"]["without_numbers"]
    told = f" {counted(lost, 'prediction')} are not numbers and in no metric." if lost else ""
    return f"Numbers are means over outer folds. {tested_of(report.summary)}{told}"


def internal(report: Report) -> Fact:
    """What the evaluation on internal data was."""
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    if report.evidence.flat:
        return Fact("Internal: flat cross-validation, corrected for the choice of the trial (BBC-CV).")
    missing = _REST if report.summary["progress"]["outer_folds_missing"] else ""
    return Fact(f"Internal: nested cross-validation. {tested_of(report.summary)}", missing)


def external(report: Report) -> Fact:
    """External cohorts, of which an estimation run has none."""
    if report.summary["progress"]["scheme"] == "site":
        return Fact(
            "No external cohort is tested in this run. Folds are sites, so every test is on a site that the "
            "tested model did not see; all of these sites belong to the same case table.",
            "a test on an independent cohort, or why there is none",
        )
    return Fact("No external data are tested in this run.", "a test on external data, or why there is none")


def diagnostic(report: Report) -> Fact:
    """Rates of the decisions, or of the predicted classes."""
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    missing = _REST if report.summary["progress"]["outer_folds_missing"] else ""
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
    return Fact(" ".join(parts) + _selected(report), missing)


def _decided(decisions: Mapping[str, Any] | None) -> bool:
    return decisions is not None and any(row["decision"] for row in decisions["folds"].values())


def _selected(report: Report) -> str:
    """What must stand by numbers that the correction of the flat protocol does not reach."""
    return _UNCORRECTED if report.evidence.flat else ""


def _share(value: Mapping[str, Any]) -> str:
    return f"undefined ({value['note']})" if value["value"] is None else number(value["value"], 3)


def subgroups(report: Report) -> Fact:
    """The leading metric in every subgroup that is no site."""
    rows = [row for row in report.summary["subgroups"] if row["column"] != "site"]
    return _grouped(rows, report, "performance in key subgroups (config.report.subgroups)")


def by_site(report: Report) -> Fact:
    """The leading metric at every site."""
    rows = [row for row in report.summary["subgroups"] if row["column"] == "site"]
    if not rows:
        known = report.summary["data"]["sites"]
        why = "the cases come from one site" if known == 1 else "sites are not known to the program"
        return Fact(
            "" if known != 1 else f"Not examined: {why}.",
            "" if known == 1 else f"differences over sites: {why}",
        )
    return _grouped(rows, report, "")


def _grouped(rows: list[Mapping[str, Any]], report: Report, missing: str) -> Fact:
    summary = report.summary
    if not rows:
        return Fact("", missing)
    if not summary["progress"]["outer_folds_tested"]:
        return Fact("", UNTESTED)
    missing = _REST if summary["progress"]["outer_folds_missing"] else ""
    if len(rows) > MOST_LISTED:
        return Fact(f"{len(rows)} subgroups are listed in summary.json.{_selected(report)}", missing)
    name = summary["headline"]
    label = summary["metrics"][name]["label"]
    lines = []
    for row in rows:
        value = row["metrics"][name]
        told = quoted(label, value["value"], value["interval"], value["note"])
        lines.append(f"{row['column']} {row['group']}, {counted(row['cases'], 'case')}: {told}")
    return Fact(f"Out-of-fold predictions together: {'; '.join(lines)}.{_selected(report)}", missing)


def heterogeneity(report: Report) -> Fact:
    """How differences over sites are looked at."""
    sites = any(row["column"] == "site" for row in report.summary["subgroups"])
    text = (
        "Performance is reported for each site apart; no model of its variation is fitted." if sites else ""
    )
    return Fact(
        text, "" if sites else "whether and how differences over sites or other clusters were handled"
    )


def robustness(report: Report) -> Fact:
    """What the run shows of stability."""
    parts = []
    headline = report.summary["metrics"][report.summary["headline"]]
    if headline["sd"] is not None:
        spread = f"SD {number(headline['sd'], 3)} of {counted(headline['count'], 'value')}"
        parts.append(f"{headline['label']} over outer folds: {spread}.")
    if report.evidence.repeats > 1:
        parts.append(f"The protocol is repeated over {report.evidence.repeats} divisions.")
    if report.summary["subgroups"]:
        columns = dict.fromkeys(row["column"] for row in report.summary["subgroups"])
        parts.append(f"Values by {listed(columns)} are reported.")
    return Fact(" ".join(parts), "other analyses of robustness, as of noise, scanners or changed images")


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
        f"{_selected(report)}"
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
        f"squared error {brier}.{_selected(report)}"
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


def predicted(report: Report) -> Fact:
    """How test predictions came about."""
    who = (
        "the fit of the selected trial that left it out"
        if report.evidence.flat
        else "the refit of its outer fold"
    )
    return Fact(
        f"Each tested case is predicted by {who}, as softmax of the network's output; predictions.csv has "
        "all of them."
    )


def flow(report: Report) -> Fact:
    """Cases that trained and tested in every outer fold."""
    rows = report.summary["outer_folds"]
    if not rows:
        return Fact("", UNTESTED)
    if len(rows) > MOST_LISTED:
        return Fact("summary.json has the training and test cases of every outer fold.")
    each = "; ".join(
        f"fold {row['outer_fold']}: {row['training_cases']:,} to train, {row['cases']:,} to test"
        for row in rows
    )
    inner = "" if report.evidence.flat else " Search fits train on these training cases less one more fold."
    return Fact(f"Cases by outer fold: {each}.{inner}")
