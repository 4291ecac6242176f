"""What searches teach, in words and tables: the texts stand in `lessons.j2`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nachos_jax.report.words import templating
from nachos_jax.report.words.format import DECIMALS, MISSING, decimals, markdown_table, number, p_value
from nachos_jax.report.words.phrases import between, counted
from nachos_jax.report.words.templating import paragraphs, written

TEMPLATE = "words/lessons.j2"
COLUMNS = 6
"""Epochs at which a table shows the mean curves."""


def said(lessons: Mapping[str, Any], label: str, digits: int = DECIMALS) -> dict[str, str]:
    """Sentences on `trials`, `ranks`, `importance` and `best_so_far`.

    Args:
        lessons: what searches teach.
        label: names the score.
        digits: decimals of scores.
    """
    names = {"trials": "trials", "ranks": "ranks_told", "importance": "importance_told"}
    names["best_so_far"] = "best_told"
    return {
        name: templating.said(TEMPLATE, macro, lessons=lessons, label=label, digits=digits)
        for name, macro in names.items()
    }


def on_repeated(result: Mapping[str, Any]) -> list[str]:
    """Sentences on groups of runs; nothing of one run."""
    repeated = result["repeated"]
    if repeated is None:
        return []
    small = min(map(len, repeated["groups"].values()))
    return paragraphs(TEMPLATE, "repeated_told", lessons=result, repeated=repeated, small=small)


def markdown(result: Mapping[str, Any]) -> str:
    """All that was learnt of one or several runs as Markdown text."""
    names = [run["name"] for run in result["runs"]]
    context = {
        "lessons": result,
        "label": result["label"],
        "names": names[0] if len(names) == 1 else counted(len(names), "run"),
        "said": {**said(result, result["label"], decimals(result)), "repeated": on_repeated(result)},
        "tables": {
            "ranks": _ranks(result["ranks"]),
            "importance": _importance(result["importance"]),
            "best_so_far": _best(result["best_so_far"], decimals(result)),
            "runs": _runs(result),
        },
    }
    return written(TEMPLATE, "text", context)


def analysis_rows(importance: Mapping[str, Any]) -> list[list[str]]:
    """An analysis of variance as rows of texts: name, F, degrees of freedom, p, Bonferroni, eta squared."""
    return [
        [
            name,
            number(row["f"]),
            f"{row['df']}, {row['residual_df']}",
            p_value(row["p"]),
            p_value(row["p_bonferroni"]),
            row["note"] or number(row["eta_squared"], 2),
        ]
        for name, row in importance["rows"].items()
    ]


ANALYSIS = ("Hyperparameter", "F", "df", "p", "p (Bonferroni)", "Partial eta squared")


def _ranks(ranks: Mapping[str, Any]) -> str:
    """Tau after some epochs: the mean, and the lowest and highest study."""
    if ranks["note"]:
        return ""
    rows = []
    for place in _places(len(ranks["epochs"])):
        taus = [study["tau"][place] for study in ranks["studies"]]
        known = [p for study in ranks["studies"] if (p := study["p"][place]) is not None]
        clear = f"{sum(p < 0.05 for p in known)} of {len(known)}"
        mean = number(ranks["mean"][place], 2)
        rows.append([number(ranks["epochs"][place]), mean, between(taus, 2) or MISSING, clear])
    return markdown_table(["Epoch", "Mean tau", "Of studies", "p < 0.05"], rows)


def _importance(importance: Mapping[str, Any]) -> str:
    if importance["method"] == "anova":
        return markdown_table(ANALYSIS, analysis_rows(importance))
    known = {n: row["importance"] for n, row in importance["rows"].items() if row["importance"] is not None}
    order = sorted(known.items(), key=lambda item: -item[1])
    return (
        markdown_table(["Hyperparameter", "Importance"], [[n, number(v, 3)] for n, v in order])
        if known
        else ""
    )


def _best(best: Mapping[str, Any], digits: int) -> str:
    """The mean curve, and that of each group, at some of its epochs."""
    groups = best.get("groups") or {}
    lines = {"mean": best["mean"], **(groups if len(groups) > 1 else {})}
    rows = [
        [name, number(line["epochs"][place]), number(line["best"][place], digits)]
        for name, line in lines.items()
        for place in _places(len(line["epochs"]))
    ]
    if len(lines) == 1:
        rows = [row[1:] for row in rows]
    return markdown_table(["Group", "Epochs spent", "Best so far"][-len(rows[0]) :], rows) if rows else ""


def _runs(result: Mapping[str, Any]) -> str:
    digits = decimals(result)
    rows = [
        [
            *(run["name"], run["group"], number(run["epochs"])),
            *(number(run[score], digits) for score in ("inner", "outer")),
        ]
        for run in result["runs"]
    ]
    outer = "Outer score, by case" if "lead_by" in result else "Outer score"
    return markdown_table(["Run", "Group", "Epochs", "Inner score", outer], rows)


def _places(count: int) -> list[int]:
    """Some of so many places, with both ends; closer together at the beginning."""
    steps = {round((count - 1) * (step / (COLUMNS - 1)) ** 2) for step in range(COLUMNS)}
    return sorted(steps) if count else []
