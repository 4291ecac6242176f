"""Numbers of every class of masks, with the cases that do not have it counted apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from nachos_jax.metrics import overlap
from nachos_jax.metrics.contract import NOT_NEGATIVE, SHARE
from nachos_jax.report.appendix.grid import Cell, Grid, Notes, extent, plain, uncorrected
from nachos_jax.report.numbers.estimates import NOT_NUMBERS, Estimates, mean_over_folds
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import DECIMALS, MISSING, finer, number

BOUNDS = {"hd95": NOT_NEGATIVE, "final_hd95": NOT_NEGATIVE}
"""Of what is no share."""
FURTHER = {
    "iou": "IoU",
    "window_dice": "Dice, overlapping",
    "hd95": "HD95, mm",
    "nsd": "NSD at 1 mm",
    "final_dice": "Dice, final",
    "final_hd95": "HD95, final, mm",
    "final_nsd": "NSD, final",
}
"""Columns of the table, where they are known."""


def numbers(evidence: Evidence, estimates: Estimates) -> dict[str, Any]:
    """By class: Dice and IoU of the outer folds with their mean and interval, volumes, and empty masks."""
    truth, predicted = estimates.truth, estimates.predicted
    known = len(truth) > 0
    empties = overlap.empties(truth, predicted, evidence.classes) if known else []
    biases = overlap.volume_bias(truth, predicted) if known else []
    measured = {
        "dice": {fold: overlap.dice(made) for fold, (_, made) in evidence.predictions.items()},
        "iou": {fold: overlap.iou(made) for fold, (_, made) in evidence.predictions.items()},
        **_of_masks(evidence),
    }
    found = {}
    for column, name in enumerate(evidence.classes):
        row: dict[str, Any] = {key: _over_folds(evidence, key, of, column) for key, of in measured.items()}
        row["cases"] = int(np.sum(evidence.targets[:, column] > 0))
        row["empty"] = empties[column]._asdict() if known else None
        row["volume"] = biases[column]._asdict() if known else None
        found[name] = row
    return {"unit": unit(evidence), "classes": found}


def noun(summary: Mapping[str, Any]) -> str:
    """What is measured and counted: each case once, or with several repeats each of its predictions."""
    return "prediction" if summary["progress"]["repeats_tested"] > 1 else "case"


def unit(evidence: Evidence) -> str:
    """The unit of volumes."""
    return str(evidence.run.get("preparation", {}).get("unit", "voxels"))


def _of_masks(evidence: Evidence) -> dict[str, dict[int, np.ndarray]]:
    """What was measured of the masks themselves, by outer fold [n, K]; nothing where a test has none."""
    tests = evidence.tests
    if not tests or not all("hd95" in test.arrays for test in tests.values()):
        return {}
    shape, found = (-1, len(evidence.classes)), {}
    for volumes, prefix in (("window_volumes", ""), ("final_volumes", "final_")):
        if not all(volumes in test.arrays for test in tests.values()):
            continue
        windows = {fold: test.arrays[volumes].reshape(*shape, 3) for fold, test in tests.items()}
        found[prefix + "dice" if prefix else "window_dice"] = {
            fold: overlap.dice(made) for fold, made in windows.items()
        }
        for key in (f"{prefix}hd95", f"{prefix}nsd"):
            found[key] = {fold: test.arrays[key].reshape(shape) for fold, test in tests.items()}
    return found


def _over_folds(evidence: Evidence, key: str, of: Mapping[int, np.ndarray], column: int) -> dict[str, Any]:
    """Mean over the cases of each outer fold, and over outer folds with the corrected t interval."""
    folds: dict[str, Any] = {}
    for fold, cases in of.items():
        values = cases[:, column]
        broken = fold not in evidence.whole or not np.isfinite(values).all()
        folds[str(fold)] = {
            "value": None if broken else float(values.mean()),
            "note": NOT_NUMBERS if broken else "",
        }
    values = [row["value"] for row in folds.values()]
    found, interval = mean_over_folds(evidence, values, BOUNDS.get(key, SHARE))
    return {"folds": folds, **found, "interval": asdict(interval)}


def grid(summary: Mapping[str, Any]) -> Grid | None:
    """Overlap of every class, cases without it, and the bias of its volume; None before the first test."""
    found, notes = summary["per_class"], Notes()
    if not summary["progress"]["cases_tested"]:
        return None
    rows, first = [], next(iter(found["classes"].values()))
    further = [key for key in FURTHER if key in first]
    for name, row in found["classes"].items():
        empty, volume = row["empty"], row["volume"]
        dice = row["dice"]
        rows.append(
            (
                Cell(name),
                *plain([f"{row['cases']:,}", number(dice["mean"], 3)]),
                notes.interval(dice["interval"]),
                *plain([number(row[key]["mean"], _decimals(key, row[key]["mean"])) for key in further]),
                *plain([_of(empty, "right", "cases"), f"{empty['missed']:,}" if empty else MISSING]),
                *plain([_bias(volume)]),
            )
        )
    volume = f"Volume, {found['unit']}"
    step = "voxels" if found["unit"] == "voxels" else "mm"
    titles = [FURTHER[key].replace("mm", step) for key in further]
    several = noun(summary) != "case"
    counted = [f"{name} (predictions)" if several else name for name in ("Empty, right", "Missed")]
    header = ("Class", "Cases", "Dice", "Interval", *titles, *counted, volume)
    missed = "predictions of cases that have the class" if several else "cases that have the class"
    caption = (
        "Classes: mean over the cases of an outer fold, then over outer folds. A case without the class "
        "has an overlap of 1 where nothing is predicted, which the column of empty masks counts, else 0. "
        f"Missed: {missed} where nothing is predicted. Volume: predicted less reference, "
        f"with limits of agreement (Bland and Altman).{_told_of_masks(further)} From {extent(summary)}. "
        f"{uncorrected(summary)}"
    ).strip()
    return Grid("classes", caption, header, tuple(rows), (), notes.told())


def _decimals(key: str, value: float | None) -> int:
    return finer([value]) if BOUNDS.get(key) == NOT_NEGATIVE else DECIMALS


def _told_of_masks(further: Sequence[str]) -> str:
    if "hd95" not in further:
        return ""
    last = "The last three means are"
    if "final_hd95" in further:
        last = "The means that follow IoU are of the selected trial alone and, last, of the final masks, all"
    return (
        f" {last} of masks made in windows that overlap; Hausdorff distance at 95 % and "
        "normalised surface distance are in mm, or voxels where the spacing is not known; two empty "
        "masks count as 0 and as 1, one of two as the diagonal of the case and as 0."
    )


def _of(found: Mapping[str, Any] | None, part: str, whole: str) -> str:
    return MISSING if not found else f"{found[part]:,} of {found[whole]:,}"


def _bias(volume: Mapping[str, Any] | None) -> str:
    if not volume:
        return MISSING
    known = [volume[key] for key in ("mean", "low", "high") if volume[key] is not None]
    decimals = 0 if max(map(abs, known)) >= 100 else finer(known)
    mean, *limits = (number(value, decimals) for value in known)
    return f"{mean} ({limits[0]} to {limits[1]})" if limits else mean
