"""Numbers of every class of masks, with the cases that do not have it counted apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics import overlap
from nachos_jax.metrics.contract import SHARE
from nachos_jax.report.appendix.grid import Cell, Grid, Notes, extent, plain, uncorrected
from nachos_jax.report.numbers.estimates import Estimates
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import MISSING, number
from nachos_jax.statistics.folds import summary as over_folds
from nachos_jax.statistics.intervals import corrected_t

MEASURES = {"dice": overlap.dice, "iou": overlap.iou}
"""Of volumes [n, K, 3]: [n, K] each."""
NO_REFIT = "the refit met NaN and predicted nothing"


def numbers(evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
    """By class: Dice and IoU of the outer folds with their mean and interval, volumes, and empty masks."""
    truth, predicted = estimates.truth, estimates.predicted
    known = len(truth) > 0
    empties = overlap.empties(truth, predicted, evidence.classes) if known else []
    biases = overlap.volume_bias(truth, predicted) if known else []
    found = {}
    for column, name in enumerate(evidence.classes):
        row: dict[str, Any] = {key: _over_folds(evidence, key, column) for key in MEASURES}
        row["cases"] = int(np.sum(evidence.targets[:, column] > 0))
        row["empty"] = empties[column]._asdict() if known else None
        row["volume"] = biases[column]._asdict() if known else None
        found[name] = row
    return {"unit": unit(evidence), "classes": found}


def unit(evidence: Evidence) -> str:
    """The unit of volumes."""
    return str(evidence.run.get("preparation", {}).get("unit", "voxels"))


def _over_folds(evidence: Evidence, key: str, column: int) -> dict[str, Any]:
    """Mean over the cases of each outer fold, and over outer folds with the corrected t interval."""
    folds: dict[str, Any] = {}
    for fold, (_, predicted) in evidence.predictions.items():
        values = MEASURES[key](predicted)[:, column]
        broken = not np.isfinite(predicted).all()
        folds[str(fold)] = {
            "value": None if broken else float(values.mean()),
            "note": NO_REFIT if broken else "",
        }
    values = [row["value"] for row in folds.values()]
    level, ratio = evidence.settings.level, evidence.ratio
    interval = corrected_t(values, evidence.count, level, bounds=SHARE, ratio=ratio, scale="inside")
    return {"folds": folds, **asdict(over_folds(values, evidence.count)), "interval": asdict(interval)}


def grid(summary: Mapping[str, Any]) -> Grid | None:
    """Overlap of every class, cases without it, and the bias of its volume; None before the first test."""
    found, notes = summary["per_class"], Notes()
    if not summary["progress"]["cases_tested"]:
        return None
    rows = []
    for name, row in found["classes"].items():
        empty, volume = row["empty"], row["volume"]
        dice = row["dice"]
        rows.append(
            (
                Cell(name),
                *plain([f"{row['cases']:,}", number(dice["mean"], 3)]),
                notes.interval(dice["interval"]),
                *plain([number(row["iou"]["mean"], 3)]),
                *plain([_of(empty, "right", "cases"), f"{empty['missed']:,}" if empty else MISSING]),
                *plain([_bias(volume)]),
            )
        )
    volume = f"Volume, {found['unit']}"
    header = ("Class", "Cases", "Dice", "Interval", "IoU", "Empty, right", "Missed", volume)
    caption = (
        "Classes: mean over the cases of an outer fold, then over outer folds. A case without the class "
        "scores 1 where nothing is predicted, which the column of empty masks counts, and 0 otherwise. "
        "Missed: cases that have the class where nothing is predicted. Volume: predicted less reference, "
        f"with limits of agreement (Bland and Altman). From {extent(summary)}. {uncorrected(summary)}"
    ).strip()
    return Grid("classes", caption, header, tuple(rows), (), notes.told())


def _of(found: Mapping[str, Any] | None, part: str, whole: str) -> str:
    return MISSING if not found else f"{found[part]:,} of {found[whole]:,}"


def _bias(volume: Mapping[str, Any] | None) -> str:
    if not volume:
        return MISSING
    limits = "" if volume["low"] is None else f" ({number(volume['low'], 3)} to {number(volume['high'], 3)})"
    return f"{number(volume['mean'], 3)}{limits}"
