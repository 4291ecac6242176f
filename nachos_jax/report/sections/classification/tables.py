"""Tables of classes: confusion, decisions, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nachos_jax.report.appendix.grid import Cell, Grid, Notes, extent, plain, uncorrected
from nachos_jax.report.sections.section import Tables
from nachos_jax.report.words.format import MISSING, number

_RATES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "accuracy": "Accuracy",
}
_COUNTS = ("tp", "fp", "fn", "tn")
_SCORES = {"log_loss": "Log loss", "brier": "Brier (sum over classes)", "ece": "ECE"}

SQUARED = "Squared error (two-class Brier score)"
"""Of one event, 0 to 1: for two classes half of the metric "brier", which is a sum over classes."""


def tables(summary: Mapping[str, Any]) -> Tables:
    """All that have something in them."""
    if not summary["progress"]["outer_folds_tested"]:
        return Tables()
    return Tables(
        {"Confusion matrix": [confusion(summary)]},
        {"Decisions": decisions(summary), "Calibration": [*calibration(summary), *temperature(summary)]},
    )


def confusion(summary: Mapping[str, Any]) -> Grid:
    """Counts of true and predicted classes, and what they say of each class."""
    found, notes, rows = summary["confusion"], Notes(), []
    for name, counts in zip(found["classes"], found["counts"], strict=True):
        values = found["per_class"][name]
        each = [notes.value(values[key]) for key in ("recall", "precision", "specificity")]
        rows.append((*plain([name, *(number(count) for count in counts), number(sum(counts))]), *each))
    lost = found["without_numbers"]
    told = "further predictions are of outer folds with predictions that are not numbers, and not counted"
    left = f" {lost:,} {told}." if lost else ""
    caption = (
        f"Confusion matrix: rows are true classes, columns predicted ones. {found['predictions']:,} "
        f"out-of-fold predictions of {extent(summary)}.{left} {uncorrected(summary)}"
    ).strip()
    header: Sequence[str] = ("True class", *found["classes"], "Total", "Recall", "Precision", "Specificity")
    return Grid("confusion", caption, tuple(header), tuple(rows), notes=notes.told())


def decisions(summary: Mapping[str, Any]) -> list[Grid]:
    """Threshold and decisions of every outer fold, then mean and interval; nothing where none is made."""
    found = summary["decisions"]
    if not found or not found["folds"]:
        return []
    notes, rows = Notes(), []
    for fold, row in found["folds"].items():
        made, threshold = row["decision"], notes.value(row["threshold"])
        if made:
            cells = [notes.value(made[name]) for name in _RATES]
            cells += plain(number(made[key]) for key in _COUNTS)
        else:
            cells = [notes.cell(MISSING, _undecided(row))] * (len(_COUNTS) + len(_RATES))
        rows.append((Cell(fold), threshold, *cells))
    sums = plain(number(found["counts"][key]) for key in _COUNTS)
    means = plain(number(found["rates"][name]["mean"], 3) for name in _RATES)
    ends = [notes.interval(found["rates"][name]["intervals"][0]) for name in _RATES]
    totals = (
        (Cell("mean, sum"), Cell(""), *means, *sums),
        (Cell("interval"), Cell(""), *ends, *plain([""] * 4)),
    )
    caption = (
        f"Decisions about {found['class']}. The threshold of an outer fold (rule {found['rule']}) is chosen "
        f"on its inner-fold predictions and applied to the outer fold. From {extent(summary)}."
    )
    header = ("Outer fold", "Threshold", *_RATES.values(), *(key.upper() for key in _COUNTS))
    return [Grid("decisions", caption, header, tuple(rows), totals, notes.told())]


def _undecided(row: Mapping[str, Any]) -> str:
    if row["threshold"]["value"] is None:
        return f"no decision without a threshold: {row['threshold']['note']}"
    return "no decision: predictions of this outer fold are not numbers"


def calibration(summary: Mapping[str, Any]) -> list[Grid]:
    """Parts of the squared error and logistic recalibration of all out-of-fold predictions."""
    found = summary["calibration"]
    if not found:
        return []
    notes, rows = Notes(), list[tuple[Cell, ...]]()
    titles = {"in_the_large": "Calibration in the large", "intercept": "Intercept", "slope": "Slope"}
    rows += [(Cell(title), notes.value(found[key])) for key, title in titles.items()]
    ece = found["ece"]
    chance = f"{number(ece['if_calibrated'], 3)} for a perfectly calibrated model of this size, by simulation"
    rows.append((Cell("ECE, mean over outer folds"), notes.cell(number(ece["mean"], 3), chance)))
    for key, value in found["brier_parts"].items():
        title = SQUARED if key == "brier" else f"Its part: {key.replace('_', ' ')}"
        rows.append(plain([title, number(value, 3)]))
    caption = (
        f"Calibration of the {found['of']}, {found['predictions']:,} out-of-fold predictions together. In "
        "the large is the intercept at slope 1, above 0 where predictions are too low. "
        f"{uncorrected(summary)}"
    ).strip()
    return [Grid("calibration", caption, ("What", "Value"), tuple(rows), notes=notes.told())]


def temperature(summary: Mapping[str, Any]) -> list[Grid]:
    """Temperature scaling of every outer fold, and what it changes."""
    found = summary["temperature"]
    if not found:
        return []
    notes, rows = Notes(), []
    for fold, row in found["folds"].items():
        rows.append((Cell(fold), notes.value(row["temperature"]), *_scores(row)))
    totals = ((Cell("mean"), Cell(""), *_scores(found)),) if found["before"] else ()
    pairs = [f"{title}{when}" for title in _SCORES.values() for when in ("", ", scaled")]
    caption = (
        "Temperature scaling, fitted on inner-fold predictions, tried on the outer fold. It does not enter "
        f"the estimate. From {extent(summary)}."
    )
    return [
        Grid("temperature", caption, ("Outer fold", "Temperature", *pairs), tuple(rows), totals, notes.told())
    ]


def _scores(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    values = [row[when][name] if row[when] else None for name in _SCORES for when in ("before", "after")]
    return plain(number(value, 3) for value in values)
