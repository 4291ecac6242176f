"""Tables of labels: values of each, and thresholds of each outer fold; the page shows the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.appendix.grid import Cell, Grid, Notes, extent, plain, uncorrected
from nachos_jax.report.reading import protocols
from nachos_jax.report.sections.multilabel import labels
from nachos_jax.report.sections.section import Tables
from nachos_jax.report.words.format import number

COLUMNS = {
    "auc": "AUC",
    "average_precision": "AP",
    "f1": "F1",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}
WIDEST = 8
"""Most outer folds side by side in a table; further ones follow in another table."""


def tables(summary: Mapping[str, Any]) -> Tables:
    """All that have something in them."""
    if not labels.folds(summary):
        return Tables()
    return Tables({"Labels": [of_labels(summary)]}, {"Thresholds": thresholds(summary)})


def decided(summary: Mapping[str, Any]) -> str:
    """How decisions are made, as a sentence."""
    if protocols.of(summary["protocol"]).one_search:
        return "Decisions are made at a probability of 0.5."
    return (
        f"The threshold of a label (rule {summary['per_label']['rule']}) is chosen on the inner-fold "
        "predictions of each outer fold and applied to the outer fold."
    )


def of_labels(summary: Mapping[str, Any]) -> Grid:
    """Counts, areas and rates of every label."""
    notes, found = Notes(), []
    for name, row in labels.rows(summary):
        cells = []
        for key in COLUMNS:
            reasons = [
                f"{fold}: {r[key]['note']}" for fold, r in row["folds"].items() if r[key]["value"] is None
            ]
            note = f"undefined in outer fold {'; '.join(reasons)}" if reasons else ""
            cells.append(notes.cell(number(row[key]["mean"], 3), note))
        counts = plain([name, number(row["known"]), number(row["positive"])])
        found.append((*counts, cells[0], notes.interval(row["auc_interval"]), *cells[1:]))
    caption = (
        f"Labels: cases in which each is known and positive, and means over outer folds of {extent(summary)}."
        f" {decided(summary)} {uncorrected(summary)}"
    ).strip()
    first, *rest = COLUMNS.values()
    header = ("Label", "Known", "Positive", first, "Interval of AUC", *rest)
    return Grid("labels", caption, header, tuple(found), notes=notes.told())


def thresholds(summary: Mapping[str, Any]) -> list[Grid]:
    """The threshold of every label in every outer fold; none where all are 0.5."""
    if protocols.of(summary["protocol"]).one_search:
        return []
    folds, found = labels.folds(summary), []
    for start in range(0, len(folds), WIDEST):
        part, notes = folds[start : start + WIDEST], Notes()
        rows = tuple(
            (Cell(name), *(notes.value(row["folds"][fold]["threshold"]) for fold in part))
            for name, row in labels.rows(summary)
        )
        name = "thresholds" if start == 0 else f"thresholds_{start // WIDEST + 1}"
        caption = f"Thresholds by outer fold. {decided(summary)} From {extent(summary)}."
        header = ("Label", *(f"Fold {fold}" for fold in part))
        found.append(Grid(name, caption, header, rows, notes=notes.told()))
    return found
