"""The tables of appendix and LaTeX export that every task has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.appendix.grid import Cell, Grid, Notes, extent, plain, uncorrected
from nachos_jax.report.reading import protocols
from nachos_jax.report.words import phrases
from nachos_jax.report.words.format import MISSING, decimals, in_sentence, number
from nachos_jax.report.words.phrases import level, units

WIDEST = 8
"""Most outer folds side by side in a table; further ones follow in another table."""


def grids(summary: Mapping[str, Any]) -> list[Grid]:
    """All of them that have something in them, in the order of a report."""
    if not summary["progress"]["outer_folds_tested"]:
        return []
    found = [main(summary), intervals(summary), folds(summary), choices(summary)]
    if summary["subgroups"]:
        found.append(subgroups(summary))
    found += filter(None, [by_unit(summary), columns(summary)])
    return [*found, *hyperparameters(summary)]


def main(summary: Mapping[str, Any]) -> Grid:
    """Every shown metric: the number to quote, mean, SD, SE and the first interval."""
    notes, rows, protocol = Notes(), [], protocols.of(summary["protocol"])
    for name in summary["shown"]:
        metric = summary["metrics"][name]
        reasons = [
            f"undefined in outer fold {fold}: {value['note']}"
            for fold, value in metric["folds"].items()
            if value["value"] is None
        ]
        first, digits = (*metric["intervals"], None)[0], decimals(metric)
        rows.append(
            (
                notes.cell(metric["label"], *reasons),
                *plain([number(metric["estimate"], digits)] if protocol.one_search else []),
                *plain(number(metric[key], digits) for key in ("mean", "sd", "se")),
                notes.interval(first, digits),
                Cell(str(metric["count"])),
            )
        )
    caption = (
        f"{protocol.words['metrics']}, mean over the outer folds where defined (column Folds), of "
        f"{extent(summary)}. SE is the SE over folds (NACHOS), descriptive: folds share training cases, so "
        "it is too small."
    )
    header = ("Metric", *protocol.words["means"], "SD", "SE", "Interval", "Folds")
    return Grid("main", caption, header, tuple(rows), notes=notes.told())


def intervals(summary: Mapping[str, Any]) -> Grid:
    """Every interval of every shown metric."""
    notes, rows = Notes(), []
    for name in summary["shown"]:
        metric = summary["metrics"][name]
        for interval in phrases.intervals(metric):
            rows.append(
                (
                    *plain([metric["label"], interval["label"], units(interval)]),
                    Cell(number(interval["estimate"], decimals(metric))),
                    notes.interval(interval, decimals(metric), method=False),
                )
            )
    caption = f"All intervals of {level(summary)}, from {extent(summary)}."
    header = ("Metric", "Method", "Unit", "Estimate", "Interval")
    return Grid("intervals", caption, header, tuple(rows), notes=notes.told(), words=3)


def folds(summary: Mapping[str, Any]) -> Grid:
    """The shown metrics of every tested outer fold, then mean, SD and SE."""
    notes, rows = Notes(), []
    metrics = [summary["metrics"][name] for name in summary["shown"]]
    for row in summary["outer_folds"]:
        values = [
            notes.value(metric["folds"][str(row["outer_fold"])], decimals(metric)) for metric in metrics
        ]
        rows.append((_fold(row, summary), *plain(number(row[key]) for key in ("cases", "subjects")), *values))
    totals = [
        (*plain([title, "", ""]), *plain(number(metric[key], decimals(metric)) for metric in metrics))
        for title, key in (("mean", "mean"), ("SD", "sd"), ("SE", "se"))
    ]
    header = ("Outer fold", "Cases", "Subjects", *(metric["label"] for metric in metrics))
    caption = f"Metrics of every tested outer fold: {extent(summary)}. {uncorrected(summary)}".strip()
    return Grid("folds", caption, header, tuple(rows), tuple(totals), notes.told())


def choices(summary: Mapping[str, Any]) -> Grid:
    """What the search chose for every tested outer fold."""
    digits = decimals(summary["metrics"][summary["headline"]])
    rows = [
        (
            _fold(row, summary),
            *plain(number(row[key]) for key in ("training_cases", "selected", "origin")),
            *plain([number(row["inner_score"], digits), number(row["epochs"])]),
        )
        for row in summary["outer_folds"]
    ]
    score = protocols.of(summary["protocol"]).words["score"]
    caption = (
        f"Selected trial of every tested outer fold: {extent(summary)}. Score is the {score}, which selected "
        "the trial, so it is optimistic."
    )
    header = ("Outer fold", "Training cases", "Trial", "Origin", "Score", "Epochs")
    return Grid("choices", caption, header, tuple(rows))


def _fold(row: Mapping[str, Any], summary: Mapping[str, Any]) -> Cell:
    repeats = summary["progress"]["repeats"] > 1
    return Cell(f"{row['outer_fold']} (repeat {row['repeat']})" if repeats else str(row["outer_fold"]))


def subgroups(summary: Mapping[str, Any]) -> Grid:
    """The leading metric, and AUC, in every subgroup."""
    notes, rows = Notes(), []
    names = list(summary["subgroups"][0]["metrics"])
    for row in summary["subgroups"]:
        cells = []
        for name in names:
            value, digits = row["metrics"][name], decimals(summary["metrics"][name])
            cells += [notes.value(value, digits), notes.interval(value["interval"], digits, method=False)]
        rows.append(
            (*plain([row["column"], row["group"], number(row["cases"]), number(row["subjects"])]), *cells)
        )
    pairs = [text for name in names for text in (summary["metrics"][name]["label"], "Interval")]
    rows_with = [row["metrics"][name]["interval"] for row in summary["subgroups"] for name in names]
    kinds = dict.fromkeys(f"{i['label']}, {level(i)}" for i in rows_with if i)
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


def by_unit(summary: Mapping[str, Any]) -> Grid | None:
    """The shown metrics by case and by unit; None of a run without units."""
    found = summary["units"]
    if not found or not summary["progress"]["outer_folds_tested"]:
        return None
    notes, rows = Notes(), []
    for name, metric in found["metrics"].items():
        cells: list[Cell] = []
        for one in (summary["metrics"][name], metric):
            first, digits = (*one["intervals"], None)[0], decimals(one)
            cells += [Cell(number(one["estimate"], digits)), notes.interval(first, digits)]
        rows.append((notes.cell(metric["label"]), *cells))
    low, middle, high = found["cases_a_unit"]
    column = found["column"]
    caption = (
        f"By case and by {column}: {found['units']:,} units of {low} to {high} cases (median {middle:g}), "
        f"{phrases.POOLED[found['pool']]}. Means over outer folds: {extent(summary)}."
    )
    header = ("Metric", "By case", "Interval", f"By {column}", "Interval")
    return Grid("units", caption, header, tuple(rows), notes=notes.told())


def columns(summary: Mapping[str, Any]) -> Grid | None:
    """By how much the headline is worse with columns permuted; None of a run without."""
    found = summary.get("columns")
    if not found:
        return None
    notes, rows, digits = Notes(), [], decimals(found)
    for row in (*found["rows"], *filter(None, [found["together"]])):
        cells = plain(number(row[key], digits) for key in ("worse_by", "sd"))
        rows.append((Cell(row["column"] or "all together"), *cells, notes.interval(row["interval"], digits)))
    left = f" {found['left_out']} columns are too many to permute one by one." if found["left_out"] else ""
    which = "a column" if found["rows"] else "all columns together"
    caption = (
        f"What the columns add: by how much {in_sentence(found['label'])} is worse once the values of "
        f"{which} are permuted over the cases of an outer fold, and the refit that was tested predicts them "
        f"again; mean of {found['repeats']} permutations in each fold, then over folds.{left} "
        f"From {extent(summary)}."
    )
    return Grid("columns", caption, ("Column", "Worse by", "SD", "Interval"), tuple(rows), notes=notes.told())


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
