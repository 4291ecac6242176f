"""Facts of the checklists about the data: counts, folds, preparation, what is missing."""

from __future__ import annotations

from collections import Counter

import numpy as np

from nachos_jax.config.subgroups import UNKNOWN
from nachos_jax.report.checklists.item import Fact, Report
from nachos_jax.report.checklists.words import MOST_LISTED, between, counted, listed, setting, tested_of
from nachos_jax.report.reading.evidence import CaseRow, Evidence
from nachos_jax.report.words.format import percent

_SCHEMES = {
    "stratified": "drawn at random from the seed and stratified by {strata}",
    "predefined": "as the case table names them",
    "site": "one fold a site (leave one site out)",
}


def counts(report: Report) -> Fact:
    """Cases, subjects, sites and targets of the whole case table."""
    data = report.summary["data"]
    if data["subjects_waived"]:
        who = ", taken as one case a subject (stated by the user, not checked)"
    else:
        who = f" of {counted(data['subjects'], 'subject')}"
    sites = f", from {counted(data['sites'], 'site')}" if data["sites"] else ", sites not known"
    text = f"The case table has {counted(data['cases'], 'case')}{who}{sites}"
    if data["counts"]:
        each = listed(f"{name} ({count:,})" for name, count in data["counts"].items())
        text += f"; {report.evidence.section.words.counts}: {each}"
    return Fact(f"{text}.")


def folds(report: Report) -> Fact:
    """Cases, subjects, sites and targets of every fold."""
    numbers = range(report.evidence.planned)
    if report.evidence.planned > MOST_LISTED:
        sizes = between(float(len(report.evidence.members(fold))) for fold in numbers)
        return Fact(f"The {report.evidence.planned} folds hold {sizes} cases; folds.csv lists them.")
    lines = [f"fold {fold}: {_holds(report.evidence, report.evidence.members(fold))}" for fold in numbers]
    return Fact(f"By fold: {'; '.join(lines)}.")


def _holds(evidence: Evidence, rows: list[CaseRow]) -> str:
    who = ""
    if not evidence.run["waived"]:
        who = f" of {counted(len({row.subject for row in rows}), 'subject')}"
    sites = {row.site for row in rows if row.site}
    where = f" from {counted(len(sites), 'site')}" if sites else ""
    each = ", ".join(_counts(evidence, {row.case for row in rows}))
    return f"{counted(len(rows), 'case')}{who}{where}{f' ({each})' if each else ''}"


def _counts(evidence: Evidence, cases: set[str]) -> list[str]:
    """Some of the cases by what is true of them, like "benign: 12"."""
    inside = [row.case in cases for row in evidence.cases]
    names = np.array([row.case for row in evidence.cases], str)[inside]
    found = evidence.section.group(evidence.targets[inside], names, evidence.classes)
    return [f"{name}: {count:,}" for name, count in found.items()]


def partition(report: Report) -> Fact:
    """How cases came into folds, and what each fold served for."""
    progress = report.summary["progress"]
    strata = report.evidence.section.words.strata
    how = str(_SCHEMES.get(progress["scheme"], progress["scheme"])).format(strata=strata)
    repeats = f", {progress['repeats']} repeats with other divisions" if progress["repeats"] > 1 else ""
    seed = setting(report.evidence, "seed")
    text = f"{counted(report.evidence.count, 'fold')}{repeats}, {how} (seed {seed})."
    if report.evidence.flat:
        text += (
            " One loop: every trial is scored on each fold by a fit that left it out, so the same folds both "
            "choose the trial and score it. There is no test set apart; the estimate is corrected for this."
        )
        return Fact(text)
    text += (
        " Nested: each outer fold is tested once by a model trained on the other folds of its division, "
        "which in turn served as inner validation folds in the search of hyperparameters. "
        f"{tested_of(report.summary)}"
    )
    share = report.summary["training_share"]
    if share:
        low, high = percent(share[0]), percent(share[1])
        text += f" A refit trains on {low if low == high else f'{low} to {high}'} of the cases."
    if progress["outer_folds_missing"]:
        return Fact(text, "the outer folds not yet tested, or why they are left out")
    return Fact(text)


def disjoint(report: Report) -> Fact:
    """The level at which folds are disjoint, counted again from folds.csv."""
    sites = _sites(report.evidence)
    if report.summary["data"]["subjects_waived"]:
        text = (
            "Folds are disjoint by case. That no subject has two cases was stated by the user and cannot be "
            f"checked from the records, so nothing is known about disjointness by subject.{sites}"
        )
        return Fact(text, "confirmation from the source data that no subject has two cases")
    crossing = _crossing(report.evidence, "subject")
    if crossing:
        text = f"{counted(crossing, 'subject')} of folds.csv lie in more than one fold of a division.{sites}"
        return Fact(text, "how cases of the same subject came into several folds")
    return Fact(
        "Folds are disjoint by subject, as the subject column names them: a run whose folds part a subject "
        f"is refused, and in folds.csv no subject lies in two folds of a division.{sites}"
    )


def _sites(evidence: Evidence) -> str:
    known = {row.site for row in evidence.cases if row.site}
    if len(known) < 2:
        return ""
    crossing = _crossing(evidence, "site")
    if not crossing:
        return " They are also disjoint by site."
    return (
        f" They are not disjoint by site: {crossing} of {counted(len(known), 'site')} lie in several folds."
    )


def _crossing(evidence: Evidence, what: str) -> int:
    """Subjects or sites with cases in several folds of any one division."""
    found = set()
    for repeat in range(evidence.repeats):
        where: dict[str, int] = {}
        for row in evidence.cases:
            name = getattr(row, what)
            if name and where.setdefault(name, row.folds[repeat]) != row.folds[repeat]:
                found.add(name)
    return len(found)


def preparation(report: Report) -> Fact:
    """What is done to the pixels on their way into the network."""
    known = report.evidence.run.get("preparation")
    last = (
        "Every fit standardises pixels by the mean and standard deviation of its own training cases, channel "
        "by channel."
    )
    if not known:
        return Fact(last, "size, channels and resizing of the images, which this run did not record")
    size = f"{known['height']} x {known['width']} pixels"
    channels = counted(known["channels"], "channel")
    resized = "not resized"
    if known.get("resized"):
        way = "padded with black to their ratio" if known.get("aspect") in ("pad", "fit") else "stretched"
        resized = f"resized to this, {way} where their ratio differed"
    converted = "; channels converted where they differed" if known.get("convert_channels") else ""
    stored = f", held as {known['dtype']}" if known.get("dtype") else ""
    return Fact(f"Images of {size} and {channels}{stored}, {resized}{converted}. {last}")


def unknown_groups(report: Report) -> Fact:
    """Cases whose subgroup is not known."""
    unknown = {name: Counter(groups)[UNKNOWN] for name, groups in report.evidence.groups.items()}
    each = listed(f"{name} ({count:,})" for name, count in unknown.items())
    return Fact(f"Cases whose subgroup is not known: {each}." if each else "")


def subset(report: Report) -> Fact:
    """Whether the run left out cases of its table."""
    tested, total = report.summary["progress"]["cases_tested"], report.summary["data"]["cases"]
    text = f"All {counted(total, 'case')} of the case table lie in a fold; {tested:,} of them are tested."
    return Fact(text)


def tested(report: Report) -> Fact:
    """How many cases the estimate rests on."""
    cases = {case for test in report.evidence.tests.values() for case in test.cases}
    if not cases:
        return Fact("", "the number of tested cases: nothing is tested yet")
    each = listed(_counts(report.evidence, cases))
    number = counted(len(cases), "case")
    return Fact(f"{number} are tested{f' ({each})' if each else ''}. The program computes no sample size.")


def groups(report: Report) -> Fact:
    """Cases of every subgroup of the case table."""
    if not report.evidence.groups:
        return Fact("", "age, sex and clinical characteristics of the subjects, overall and by fold")
    lines = []
    for name, values in report.evidence.groups.items():
        found = Counter(values)
        lines.append(f"{name}: {listed(f'{group} ({found[group]:,})' for group in sorted(found))}")
    return Fact(f"Cases by subgroup: {'; '.join(lines)}.", "further characteristics, and those of each fold")


PREDICTORS = Fact(
    "The model is given the pixels of the image alone; no other column of the case table enters it."
)


def same_source(report: Report) -> Fact:
    """How training and test cases differ."""
    kinds = report.evidence.section.words.kinds
    text = f"Training and test cases are folds of one case table, with the same {kinds} and preparation."
    if report.summary["progress"]["scheme"] == "site":
        return Fact(f"{text} They come from different sites: each fold is one site.", "how the sites differ")
    if report.summary["progress"]["scheme"] == "predefined":
        return Fact(f"{text} The case table names the folds.", "how the folds of the case table differ")
    return Fact(f"{text} They were divided at random.")


def subgroup_columns(report: Report) -> Fact:
    """Which subgroups the run reports, in a fairness item."""
    columns = sorted({row["column"] for row in report.summary["subgroups"]} - {"site"})
    if not columns:
        return Fact("", "subgroups to report (config.report.subgroups), or why there are none")
    return Fact(
        f"Performance is reported apart by {listed(columns)}. The program takes no other step for fairness.",
        "the reasons for these subgroups",
    )


def origin(report: Report) -> Fact:
    """Where the program read the cases from."""
    source = setting(report.evidence, "data.source")
    if not source:
        return Fact("")
    return Fact(
        f"The program read them from source {source!r}; their table with folds has hash "
        f"{report.evidence.run['cases']}."
    )
