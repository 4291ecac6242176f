"""The external cohort as a forest: the test of each model, means, sites, and the estimate inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.figures.drawing import Figure
from nachos_jax.report.figures.rows import Row, ends, forest
from nachos_jax.report.reading.evidence import Evidence

INSIDE = "estimate inside"


def drawn(evidence: Evidence, summary: Mapping[str, Any]) -> Figure | None:
    """None of a run without external cases, or before the first test of them."""
    beyond = summary.get("external")
    if not beyond or not beyond["tested_by"]:
        return None
    name, counts = summary["headline"], (beyond["cases"], beyond["subjects"])
    metric, progress = beyond["metrics"][name], summary["progress"]
    intervals = metric["intervals"]
    shown = []
    for fold, value in metric["models"].items():
        shown.append(_row("external", f"model {fold}", counts, value, intervals.get(fold)))
    several = {"value": metric["mean"], "note": "no model has a value"}
    together, of_all = metric["together"], "mean prediction" if beyond["averaged"] else "mean of models"
    if metric["models"]:
        shown.append(_row("external", "mean of models", counts, several, intervals.get("mean")))
    else:  # as in the flat protocol, and the deployed model stands for them, of several that in deploy/
        of_all = "deployed model"
    if beyond["averaged"]:
        shown.append(_row("external", of_all, counts, together, together["interval"]))
    for row in beyond["by_site"]:
        of = row["cases"], row["subjects"]
        qualified = "*" if row["value"] is not None and row["note"] else ""
        shown.append(_row(f"{of_all} by site", row["site"] + qualified, of, row, row["interval"]))
    inside = summary["metrics"][name]
    first = (*inside["intervals"], None)[0]
    tested = progress["cases_tested"], progress["subjects_tested"]
    overall = Row("", INSIDE, *tested, inside["estimate"], *ends(first))
    bounds = evidence.metrics.METRICS[name].bounds
    return forest("external", shown, overall, metric["label"], bounds)


def _row(
    column: str,
    title: str,
    counts: tuple[int, int],
    value: Mapping[str, Any],
    interval: Mapping[str, Any] | None,
) -> Row:
    low, high = ends(interval)
    reason = (value["note"] or "undefined") if value["value"] is None else "no interval" * (low is None)
    return Row(column, title, *counts, value["value"], low, high, reason)
