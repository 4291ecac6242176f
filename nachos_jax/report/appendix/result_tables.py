"""The tables of appendix and LaTeX export, as plain texts that both lay out in their own way."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nachos_jax.report.words.format import MISSING, number

WIDEST = 8
"""Most outer folds side by side in a table; further ones follow in another table."""


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Attributes:
        text: as read by people.
        mark: number of its footnote, counted from 1; 0 for none.
    """

    text: str
    mark: int = 0


@dataclass(frozen=True)
class Grid:
    """One table.

    Attributes:
        name: key for files and labels.
        caption: what it shows, with unit and counts.
        header: titles of the columns.
        rows: rows of cells, as long as the header.
        totals: further rows that summarise.
        notes: footnotes in the order of their marks.
        words: how many columns from the left hold words; the others hold numbers.
    """

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    totals: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()
    words: int = 1


@dataclass
class Notes:
    """Footnotes of one table; equal ones share a mark."""

    found: dict[str, int] = field(default_factory=dict)

    def cell(self, text: str, *notes: str) -> Cell:
        """A cell with its footnote, if any of the notes says something."""
        told = "; ".join(dict.fromkeys(filter(None, notes)))
        return Cell(text, self.found.setdefault(told, len(self.found) + 1) if told else 0)

    def value(self, value: Mapping[str, Any]) -> Cell:
        """A number with its note, or a dash with the reason."""
        return self.cell(number(value["value"], 3), value["note"])

    def interval(self, interval: Mapping[str, Any] | None, *, method: bool = True) -> Cell:
        """The ends of an interval, its method, unit and count in the note."""
        if interval is None:
            return Cell(MISSING)
        kind = ""
        if method:
            level = f"{100 * interval['level']:.4g} % interval"
            kind = f"{interval['label']}, {level}, {units(interval)}"
        return self.cell(span(interval), kind, interval["note"])

    def told(self) -> tuple[str, ...]:
        """The footnotes in the order of their marks."""
        return tuple(self.found)


def one_line(text: str) -> str:
    """A text with single blanks for all white space, and "?" for signs that nobody can see or print.

    The two joiners that scripts need are kept.
    """
    signs = []
    for sign in text:
        hidden = unicodedata.category(sign) in ("Cc", "Cf", "Cs") and sign not in "\u200c\u200d"
        signs.append("?" if hidden and not sign.isspace() else sign)
    return " ".join("".join(signs).split())


def units(interval: Mapping[str, Any]) -> str:
    """What an interval counts as independent, and how many."""
    unit = interval["unit"]
    return f"{interval['count']:,} {unit[:-1] if interval['count'] == 1 else unit}"


def span(interval: Mapping[str, Any]) -> str:
    """The ends of an interval, or a dash."""
    if interval["low"] is None:
        return MISSING
    return f"{number(interval['low'], 3)} to {number(interval['high'], 3)}"


def plain(texts: Iterable[Any]) -> tuple[Cell, ...]:
    """Cells without footnotes."""
    return tuple(Cell(str(text)) for text in texts)


def grids(summary: Mapping[str, Any]) -> list[Grid]:
    """All tables of a run that have something in them, in the order of a report."""
    if not summary["progress"]["outer_folds_tested"]:
        return []
    found = [main(summary), intervals(summary), folds(summary), choices(summary)]
    if summary["subgroups"]:
        found.append(subgroups(summary))
    found += [*hyperparameters(summary), confusion(summary)]
    return found


def extent(summary: Mapping[str, Any]) -> str:
    """Unit and counts, as captions say them."""
    data, progress = summary["data"], summary["progress"]
    planned, tested = progress["outer_folds_planned"], progress["outer_folds_tested"]
    number_of = f"{planned}" if tested == planned else f"{tested} of {planned}"
    repeats = (
        f" ({progress['repeats']} repeats of {progress['folds_a_repeat']})" if progress["repeats"] > 1 else ""
    )
    who = "taken as one case a subject" if data["subjects_waived"] else f"of {data['subjects']:,} subjects"
    cases = f"{data['cases']:,} cases"
    if progress["cases_tested"] < data["cases"]:
        cases = f"{progress['cases_tested']:,} tested of {cases}"
    return f"{number_of} outer folds{repeats}, {cases} {who}"


def main(summary: Mapping[str, Any]) -> Grid:
    """Every shown metric: the number to quote, mean, SD, SE and the first interval."""
    notes, rows, flat = Notes(), [], summary["protocol"] == "flat"
    for name in summary["shown"]:
        metric = summary["metrics"][name]
        reasons = [
            f"undefined in outer fold {fold}: {value['note']}"
            for fold, value in metric["folds"].items()
            if value["value"] is None
        ]
        first = metric["intervals"][0] if metric["intervals"] else None
        rows.append(
            (
                notes.cell(metric["label"], *reasons),
                *plain([number(metric["estimate"], 3)] if flat else []),
                *plain(number(metric[key], 3) for key in ("mean", "sd", "se")),
                notes.interval(first),
                Cell(str(metric["count"])),
            )
        )
    first = ("Estimate", "Mean, optimistic") if flat else ("Mean",)
    what = "Metrics of the selected trial, the estimate corrected for its selection" if flat else "Metrics"
    caption = (
        f"{what}, mean over the outer folds where defined (column Folds), of {extent(summary)}. SE is the SE "
        "over folds (NACHOS), descriptive: folds share training cases, so it is too small."
    )
    return Grid(
        "main", caption, ("Metric", *first, "SD", "SE", "Interval", "Folds"), tuple(rows), notes=notes.told()
    )


def intervals(summary: Mapping[str, Any]) -> Grid:
    """Every interval of every shown metric."""
    notes, rows = Notes(), []
    for name in summary["shown"]:
        metric = summary["metrics"][name]
        for interval in metric["intervals"]:
            rows.append(
                (
                    *plain([metric["label"], interval["label"], units(interval)]),
                    Cell(number(interval["estimate"], 3)),
                    notes.interval(interval, method=False),
                )
            )
    caption = f"All intervals of {100 * summary['level']:.4g} %, from {extent(summary)}."
    header = ("Metric", "Method", "Unit", "Estimate", "Interval")
    return Grid("intervals", caption, header, tuple(rows), notes=notes.told(), words=3)


def folds(summary: Mapping[str, Any]) -> Grid:
    """The shown metrics of every tested outer fold, then mean, SD and SE."""
    notes, rows = Notes(), []
    metrics = [summary["metrics"][name] for name in summary["shown"]]
    for row in summary["outer_folds"]:
        values = [notes.value(metric["folds"][str(row["outer_fold"])]) for metric in metrics]
        rows.append((_fold(row, summary), *plain(number(row[key]) for key in ("cases", "subjects")), *values))
    totals = [
        (*plain([title, "", ""]), *plain(number(metric[key], 3) for metric in metrics))
        for title, key in (("mean", "mean"), ("SD", "sd"), ("SE", "se"))
    ]
    header = ("Outer fold", "Cases", "Subjects", *(metric["label"] for metric in metrics))
    caption = f"Metrics of every tested outer fold: {extent(summary)}. {uncorrected(summary)}".strip()
    return Grid("folds", caption, header, tuple(rows), tuple(totals), notes.told())


def choices(summary: Mapping[str, Any]) -> Grid:
    """What the search chose for every tested outer fold."""
    rows = [
        (
            _fold(row, summary),
            *plain(number(row[key]) for key in ("training_cases", "selected", "origin")),
            *plain([number(row["inner_score"], 3), number(row["epochs"])]),
        )
        for row in summary["outer_folds"]
    ]
    flat = summary["protocol"] == "flat"
    score = "mean score over all folds" if flat else "mean score over the inner folds"
    caption = (
        f"Selected trial of every tested outer fold: {extent(summary)}. Score is the {score}, which selected "
        "the trial, so it is optimistic."
    )
    header = ("Outer fold", "Training cases", "Trial", "Origin", "Score", "Epochs")
    return Grid("choices", caption, header, tuple(rows))


def _fold(row: Mapping[str, Any], summary: Mapping[str, Any]) -> Cell:
    repeats = summary["progress"]["repeats"] > 1
    return Cell(f"{row['outer_fold']} (repeat {row['repeat']})" if repeats else str(row["outer_fold"]))


def uncorrected(summary: Mapping[str, Any]) -> str:
    """What must stand by numbers of the flat protocol that no correction reaches."""
    flat = summary["protocol"] == "flat"
    return "Values are those of the selected trial, not corrected for its selection." if flat else ""


def subgroups(summary: Mapping[str, Any]) -> Grid:
    """The leading metric, and AUC, in every subgroup."""
    notes, rows = Notes(), []
    names = list(summary["subgroups"][0]["metrics"])
    for row in summary["subgroups"]:
        cells = []
        for name in names:
            value = row["metrics"][name]
            cells += [notes.value(value), notes.interval(value["interval"], method=False)]
        rows.append(
            (*plain([row["column"], row["group"], number(row["cases"]), number(row["subjects"])]), *cells)
        )
    pairs = [text for name in names for text in (summary["metrics"][name]["label"], "Interval")]
    rows_with = [row["metrics"][name]["interval"] for row in summary["subgroups"] for name in names]
    kinds = dict.fromkeys(f"{i['label']}, {100 * i['level']:.4g} %" for i in rows_with if i)
    caption = " ".join(
        [f"Subgroups, of out-of-fold predictions together: {extent(summary)}."]
        + [f"Intervals: {kind}." for kind in kinds]
        + [uncorrected(summary)]
    ).strip()
    return Grid(
        "subgroups",
        caption,
        ("Column", "Group", "Cases", "Subjects", *pairs),
        tuple(rows),
        notes=notes.told(),
        words=2,
    )


def hyperparameters(summary: Mapping[str, Any]) -> list[Grid]:
    """Chosen values: those that differ over outer folds by fold, the others apart."""
    chosen = [row for row in summary["outer_folds"] if row["hparams"] is not None]
    names = sorted({name for row in chosen for name in row["hparams"]})
    texts = {name: [number(row["hparams"].get(name)) for row in chosen] for name in names}
    differ = [name for name in names if len(set(texts[name])) > 1]
    found = []
    for start in range(0, len(chosen) if differ else 0, WIDEST):
        part = range(start, min(start + WIDEST, len(chosen)))
        header = ("Hyperparameter", *(f"Fold {chosen[i]['outer_fold']}" for i in part))
        rows = tuple(plain([name, *(texts[name][i] for i in part)]) for name in differ)
        caption = (
            "Hyperparameters of the selected trials where they differ over outer folds, by outer fold. "
            f"{MISSING} stands for one that does nothing beside the others. {_folds_of(summary)}"
        )
        found.append(Grid(_numbered("hyperparameters", start), caption, header, rows))
    same = tuple(plain([name, texts[name][0]]) for name in names if name not in differ)
    if same:
        caption = f"Hyperparameters with one value in all selected trials. {_folds_of(summary)}"
        found.append(Grid("hyperparameters_same", caption, ("Hyperparameter", "Value"), same))
    return found


def _numbered(name: str, start: int) -> str:
    return name if start == 0 else f"{name}_{start // WIDEST + 1}"


def _folds_of(summary: Mapping[str, Any]) -> str:
    return f"From {extent(summary)}."


def confusion(summary: Mapping[str, Any]) -> Grid:
    """Counts of true and predicted classes, and what they say of each class."""
    found, notes, rows = summary["confusion"], Notes(), []
    for name, counts in zip(found["classes"], found["counts"], strict=True):
        values = found["per_class"][name]
        each = [notes.value(values[key]) for key in ("recall", "precision", "specificity")]
        rows.append((*plain([name, *(number(count) for count in counts), number(sum(counts))]), *each))
    lost = found["without_numbers"]
    left = f" {lost:,} further predictions are not numbers and not counted." if lost else ""
    caption = (
        f"Confusion matrix: rows are true classes, columns predicted ones. {found['predictions']:,} "
        f"out-of-fold predictions of {extent(summary)}.{left} {uncorrected(summary)}"
    ).strip()
    header: Sequence[str] = ("True class", *found["classes"], "Total", "Recall", "Precision", "Specificity")
    return Grid("confusion", caption, tuple(header), tuple(rows), notes=notes.told())
