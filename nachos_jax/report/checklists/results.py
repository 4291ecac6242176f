"""Facts of the checklists about results of any task: metrics, intervals, subgroups, sites, limits."""

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
REST = "the outer folds not yet tested, or why they are left out"
UNCORRECTED = " These are of the selected trial, not corrected for its selection."


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
    return Fact(text, REST if report.summary["progress"]["outer_folds_missing"] else "")


def _unit(report: Report) -> str:
    if report.evidence.flat:
        return "Numbers are corrected for choosing the trial on the folds that scored it (BBC-CV)."
    lost = report.evidence.section.without_numbers(report.summary)
    told = f" {counted(lost, 'prediction')} are not numbers and in no metric." if lost else ""
    return f"Numbers are means over outer folds. {tested_of(report.summary)}{told}"


def internal(report: Report) -> Fact:
    """What the evaluation on internal data was."""
    if not report.evidence.tests:
        return Fact("", UNTESTED)
    if report.evidence.flat:
        return Fact("Internal: flat cross-validation, corrected for the choice of the trial (BBC-CV).")
    missing = REST if report.summary["progress"]["outer_folds_missing"] else ""
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


def selected(report: Report) -> str:
    """What must stand by numbers that the correction of the flat protocol does not reach."""
    return UNCORRECTED if report.evidence.flat else ""


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
    missing = REST if summary["progress"]["outer_folds_missing"] else ""
    if len(rows) > MOST_LISTED:
        return Fact(f"{len(rows)} subgroups are listed in summary.json.{selected(report)}", missing)
    name = summary["headline"]
    label = summary["metrics"][name]["label"]
    lines = []
    for row in rows:
        value = row["metrics"][name]
        told = quoted(label, value["value"], value["interval"], value["note"])
        lines.append(f"{row['column']} {row['group']}, {counted(row['cases'], 'case')}: {told}")
    return Fact(f"Out-of-fold predictions together: {'; '.join(lines)}.{selected(report)}", missing)


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


def predicted(report: Report) -> Fact:
    """How test predictions came about."""
    who = (
        "the fit of the selected trial that left it out"
        if report.evidence.flat
        else "the refit of its outer fold"
    )
    return Fact(
        f"Each tested case is predicted by {who}, as {report.evidence.section.words.predicted}; "
        "predictions.csv has all of them."
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
