"""The page's part on classes: what its template shows of confusion and decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.sections.section import Parts
from nachos_jax.report.words.format import MISSING, number

MISSING_CLASS = "Where a group lacks a class, its value is over the classes that it has."


def parts(summary: Mapping[str, Any]) -> Parts:
    """Template and what it knows."""
    noted = any(row["metrics"][summary["headline"]]["note"] for row in summary["subgroups"])
    context = {"confusion": confusion(summary), "decided": decisions(summary)}
    return Parts("classification/page.html.j2", context, MISSING_CLASS if noted else "")


def confusion(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of the confusion matrix: counts with their share of the row, and what they say of the class."""
    found, rows = summary["confusion"], []
    for name, counts in zip(found["classes"], found["counts"], strict=True):
        total = sum(counts)
        cells = [(n, n / total if total else None) for n in counts]
        rows.append({"name": name, "cells": cells, "total": total, "values": found["per_class"][name]})
    return {**found, "table": rows}


def decisions(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Thresholds by outer fold and what came of them, with means and intervals; None without decisions."""
    found = summary["decisions"]
    if found is None:
        return None
    names = list(found["rates"])
    rows = []
    for fold, row in found["folds"].items():
        made = row["decision"] or {}
        cells = [number(made[name]["value"], 3) if made else MISSING for name in names]
        counts = [number(made.get(key)) for key in ("tp", "fp", "fn", "tn")]
        threshold = row["threshold"]
        rows.append((fold, number(threshold["value"], 3), cells, counts, threshold["note"]))
    means = [number(found["rates"][name]["mean"], 3) for name in names]
    ends = [found["rates"][name]["intervals"][0] for name in names]
    shown = [
        MISSING if e["low"] is None else f"{number(e['low'], 3)} to {number(e['high'], 3)}" for e in ends
    ]
    return {**found, "names": names, "table": rows, "means": means, "ends": shown}
