"""A comparison in words and tables: the texts stand in `comparison.j2`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.words.format import MISSING, decimals, markdown_table, number, p_value
from nachos_jax.report.words.phrases import span
from nachos_jax.report.words.templating import paragraphs, said, written

Result = Mapping[str, Any]
TEMPLATE = "words/comparison.j2"


def pair(result: Result, found: Mapping[str, Any]) -> str:
    """What was found of two runs, one of the pairs of a comparison, in two or three sentences."""
    return said(TEMPLATE, "pair", result=result, found=found, chance=_chance)


def caveats(result: Result) -> list[str]:
    """What the reader must know besides, most important first; equal notes on values together."""
    notes: dict[str, list[str]] = {}
    for run in result["runs"]:
        for fold, value in run["folds"].items():
            if value["note"]:
                notes.setdefault(value["note"], []).append(f"{run['name']} {fold}")
    return paragraphs(TEMPLATE, "caveats", result=result, notes=notes)


def markdown(result: Result) -> str:
    """The whole comparison as Markdown text."""
    digits = decimals(result)
    rows = (_run_row(run, digits) for run in result["runs"])
    runs = markdown_table(["Run", "Mean", "SD over folds", "Outer folds"], rows)
    pairs = markdown_table(_pair_header(result), (_pair_row(result, found) for found in result["pairs"]))
    return written(TEMPLATE, "markdown", {"result": result, "runs": runs, "pairs": pairs})


def _run_row(run: Mapping[str, Any], digits: int) -> list[str]:
    undefined = f" ({run['undefined']} undefined)" if run["undefined"] else ""
    return [run["name"], number(run["mean"], digits), number(run["sd"], digits), f"{run['count']}{undefined}"]


def _pair_header(result: Result) -> list[str]:
    names = ["A", "B", "A minus B", f"{result['level']:.0%} interval", "p"]
    if len(result["pairs"]) > 1:
        names.append("p (Holm)")
    rope = f"{result['rope']:g}"
    return [*names, f"P(A better by > {rope})", f"P(within {rope})", f"P(B better by > {rope})"]


def _pair_row(result: Result, found: Mapping[str, Any]) -> list[str]:
    digits = decimals(result)
    interval = MISSING if found["note"] else span(found["test"], digits)
    row = [found["a"], found["b"], number(found["mean"], digits), interval, p_value(found["test"]["p"])]
    if len(result["pairs"]) > 1:
        row.append(p_value(found["p_holm"]))
    return [*row, *(_chance(found["probabilities"][key]) for key in ("a_better", "equivalent", "b_better"))]


def _chance(value: float | None) -> str:
    if value is None:
        return MISSING
    if value < 0.005:
        return "< 0.01"
    return "> 0.99" if value > 0.995 else f"{value:.2f}"
