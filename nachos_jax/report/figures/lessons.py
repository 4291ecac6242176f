"""What a search teaches: agreement of early rankings with the last, best score so far, groups of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Axes, Figure, finished, fit, legend, said, sheet
from nachos_jax.report.figures.numbers import compact, defined, known, teller
from nachos_jax.report.figures.rows import above, bars, point, rows, stacked
from nachos_jax.report.words.format import number, p_value

MOST = 40
"""Lines of single studies; of more, every second, third, ... is drawn, which the figure says."""
ANALYSIS = ("f", "df", "residual_df", "p", "p_bonferroni", "note")
"""Columns of the table of an analysis of variance."""
FEW = 8
"""Groups with a colour of their own."""


def ranks(found: Mapping[str, Any]) -> Figure | None:
    """Kendall's tau over epochs, of every study and their mean; None of one epoch, or undefined everywhere.

    `found` is what `rank_agreement` gives.
    """
    epochs, studies = found["epochs"], found["studies"]
    values = known(value for study in studies for value in study["tau"])
    if not values or len(epochs) < 2:  # what is solved in one epoch is in its final order at once
        return None
    with sheet("ranks", 260) as (canvas, ((axes,),)):
        note = _thin(axes, studies, lambda study: _points(epochs, study["tau"]))
        axes.plot(*_points(epochs, found["mean"]).T, label=_middle(studies), **style.STRONG)
        axes.axhline(found["level"], label=f"tau {found['level']:g}", **style.REFERENCE)
        axes.set_ylim(min(-0.02, *values) - 0.03, 1.05)
        axes.set_ylabel("Kendall's tau")
        canvas.supxlabel(f"epoch{note}")
        _whole(axes, [min(epochs), max(epochs)])
        legend(canvas)
        title = (
            f"Agreement of the ranking of trials after each epoch with the last, in {len(studies)} studies"
        )
        cells: list[tuple] = []
        for s in studies:
            columns = zip(epochs, s["tau"], s["z"], s["p"], strict=True)
            cells += [(s["run"], s["study"], s["trials"], *column) for column in columns]
        cells += [
            ("", "mean", None, epoch, tau, None, None)
            for epoch, tau in zip(epochs, found["mean"], strict=True)
        ]
        return finished(canvas, title, ("run", "study", "trials", "epoch", "tau", "z", "p"), cells)


def best_so_far(found: Mapping[str, Any], label: str) -> Figure | None:
    """Best score so far over epochs spent, of every study and the mean, or the mean of each group of runs.

    `found` is what `best_so_far` of the numbers gives; None when no trial has a score.
    """
    studies, groups = found["studies"], found.get("groups") or {}
    if not known(value for study in studies for value in study["best"]):
        return None
    several = len(groups) > 1
    means = groups if several else {_middle(studies): found["mean"]}
    with sheet("best_so_far", 285) as (canvas, ((axes,),)):
        note = _thin(axes, studies, lambda study: _points(study["epochs"], study["best"]), "steps-post")
        for i, (name, mean) in enumerate(list(means.items())[: FEW if several else 1]):
            points = _points(mean["epochs"], mean["best"])
            look = {**style.STRONG, **_dot(points), **({"color": f"C{i}"} if several else {})}
            axes.plot(*points.T, label=fit(name, 150, style.NOTE), drawstyle="steps-post", **look)
        axes.set_title(fit(label, 320, style.NOTE, lines=2), color=style.SOFT)
        axes.set_ylabel("best so far")
        axes.locator_params(axis="y", nbins=5)
        canvas.supxlabel(f"epochs spent{note}")
        _whole(axes, [0, *(epoch for study in studies for epoch in study["epochs"])])
        legend(canvas, 2 if several else 4)
        cells: list[tuple] = []
        for s in studies:
            columns = zip(s["trials"], s["epochs"], s["score"], s["best"], strict=True)
            cells += [(s["run"], s["study"], *column) for column in columns]
        for name, mean in {"mean": found["mean"], **(groups if several else {})}.items():
            points = zip(mean["epochs"], mean["best"], strict=True)
            cells += [("", name, None, epoch, None, best) for epoch, best in points]
        title = f"Best score so far over the epochs spent in {len(studies)} studies"
        return finished(canvas, title, ("run", "study", "trial", "epochs", "score", "best"), cells)


def mattered(found: Mapping[str, Any]) -> Figure | None:
    """How much each hyperparameter mattered, as `mattering` tells; None where it is not known."""
    values = found["rows"]
    title = f"Importance of {len(values)} hyperparameters"
    if found["method"] == "anova":
        told = {name: row["eta_squared"] for name, row in values.items()}
        ends = [r["note"] or f"F {number(r['f'])}, p {p_value(r['p_bonferroni'])}" for r in values.values()]
        texts = [fit(text, 150, style.NOTE) for text in ends]
        more = {key: [row[key] for row in values.values()] for key in ANALYSIS}
        return bars("importance", "partial eta squared", title, told, texts, more)
    told = {name: row["importance"] for name, row in values.items()}
    write, defined_ones = teller(told.values()), map(defined, told.values())
    texts = ["not known" if value is None else write(value) for value in defined_ones]
    return bars("importance", "loss of R\N{SUPERSCRIPT TWO} when shuffled", title, told, texts)


def grouped(runs: Sequence[Mapping[str, Any]], label: str) -> Figure | None:
    """Inner and outer score of every run, a row for each group; None when no run has one.

    Args:
        runs: with their `name`, `group`, `inner` and `outer` score.
        label: name of the metric.
    """
    scores = {"outer score": "outer", "inner score of the selected trials": "inner"}
    if not known(run[score] for run in runs for score in scores.values()):
        return None
    groups = list(dict.fromkeys(run["group"] for run in runs))
    shown = [(head, score, group) for head, score in scores.items() for group in groups]
    places, heads = stacked([head for head, *_ in shown], 1.0)
    with sheet("runs", 70 + 24 * places[-1]) as (canvas, ((axes,),)):
        for (_, score, group), place in zip(shown, places, strict=True):
            for run in runs:
                if run["group"] == group:
                    look = style.SELECTED if score == "outer" else style.TRIAL
                    point(axes, place, run[score], look, f"{run['name']}: {number(run[score])}")
        above(axes, heads)
        rows(axes, places, [group for *_, group in shown])
        canvas.supxlabel(fit(label, 340, lines=2))
        cells = [(run["name"], run["group"], run["inner"], run["outer"]) for run in runs]
        title = f"Inner and outer scores of {len(runs)} runs in {len(groups)} groups"
        return finished(canvas, title, ("run", "group", "inner", "outer"), cells)


def _thin(axes: Axes, studies: Sequence[Mapping[str, Any]], points: Any, drawn: str = "default") -> str:
    """A thin line for each study, unless there is but one; what is left out, in words."""
    every = max(1, math.ceil(len(studies) / MOST))
    for study in studies[::every] if len(studies) > 1 else ():
        name = ", ".join(filter(None, (study["run"], study["study"])))
        found = points(study)
        look = {**style.THIN, "label": "studies", "drawstyle": drawn, **_dot(found)}
        axes.plot(*found.T, gid=said(name), **look)
    return f"; one in {every} studies is drawn" if every > 1 else ""


def _middle(studies: Sequence[Any]) -> str:
    return "mean" if len(studies) > 1 else "search"


def _points(x: Sequence[float], y: Sequence[float | None]) -> np.ndarray:
    """[P, 2] float64, NaN where there is no number."""
    numbers = [math.nan if (value := defined(v)) is None else value for v in y]
    return np.column_stack([np.array(x, np.float64), numbers])


def _dot(points: np.ndarray) -> dict[str, Any]:
    """The mark of a line [P, 2] of one point, which no line shows."""
    return {"marker": "o", "markersize": 4} if np.isfinite(points[:, 1]).sum() == 1 else {}


def _whole(axes: Axes, epochs: Iterable[int]) -> None:
    """The axis of whole epochs, a little longer than they are."""
    first, last = min(epochs := list(epochs)), max(epochs)
    spare = 0.02 * max(1, last - first)
    axes.set_xlim(first - spare, max(last, first + 1) + spare)
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: compact(value))
