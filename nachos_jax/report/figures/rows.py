"""Figures whose rows stand below each other along one horizontal axis: outer folds, forest plots, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Axes, Figure, finished, fit, said, sheet, width
from nachos_jax.report.figures.numbers import defined, known, teller
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.leading import leading

Bounds = tuple[float, float]
_AT, _POINTS = ("axes fraction", "data"), "offset points"
WIDE = 40
"""Points, from which on the names of ticks touch each other unless there are few."""
_SOFT = {"color": style.SOFT, "fontsize": style.NOTE}
_OVER = {"bbox": {"facecolor": style.PAPER, "linewidth": 0, "pad": 1.5}, "zorder": 4}
"""Of text on paper, so that no line runs through it."""


def stacked(groups: Sequence[str], head: float) -> tuple[list[float], list[tuple[float, str]]]:
    """Places of rows, and of the name of each group, `head` rows high; "" is no group."""
    places, heads, y, before = [], [], 0.0, ""
    for group in groups:
        if group and group != before:
            heads.append((y + head - 0.9, group))
            y += head
        places.append(y)
        before, y = group, y + 1
    return places, heads


def rows(axes: Axes, places: Sequence[float], names: Sequence[str], room: int = 130, lines: int = 1) -> None:
    """Turns axes into a table: a row from top to bottom at each place, its name at the left."""
    axes.set_yticks(places, [fit(name, room, lines=lines) for name in names])
    axes.tick_params(axis="y", labelsize=style.LABEL, labelcolor=style.INK)
    axes.set_ylim(max(places) + 0.6, -0.6)
    axes.locator_params(axis="x", nbins=5)
    if any(width(words) > WIDE for words in axes.xaxis.get_major_formatter().format_ticks(axes.get_xticks())):
        axes.locator_params(axis="x", nbins=2)
    axes.grid(axis="y", linestyle=(0, (1, 3)), color=style.RULE)


def above(axes: Axes, heads: Sequence[tuple[float, str]], weight: str = "bold") -> None:
    """Names of groups, from the left edge of the canvas on."""
    look = {"fontsize": style.NOTE, "weight": weight, "va": "center", **_OVER}
    for place, name in heads:
        text, at = fit(name, style.WIDTH - 12, style.NOTE), ("figure fraction", "data")
        axes.annotate(text, (0.01, place), xycoords=at, **look).set_in_layout(False)


def beside(axes: Axes, place: float, words: object) -> None:
    """Text at the right of a row."""
    axes.annotate(str(words), (1, place), (8, 0), _AT, _POINTS, va="center", **_SOFT)


def under(axes: Axes, x: float, place: float, words: str) -> None:
    """Text under a place of a row."""
    axes.annotate(words, (x, place), (0, -5), "data", _POINTS, ha="center", va="top", **_SOFT, **_OVER)


def point(axes: Axes, place: float, value: float | None, look: Mapping, words: object = "") -> None:
    """A point in a row, which tells words when pointed at; a cross at the left end if it has no value."""
    number = defined(value)
    if number is None:
        axes.plot(0.02, place, transform=axes.get_yaxis_transform(), gid=said(words), **style.FAILED)
    else:
        axes.plot(number, place, gid=said(words), **look)


def missing(axes: Axes, place: float, why: str) -> None:
    """A cross at the left end of a row, and the reason for it over the whole row."""
    point(axes, place, None, {}, why)
    text, look = fit(why, 215, style.NOTE, lines=2), {"va": "center", **_SOFT, **_OVER}
    axes.annotate(text, (0.02, place), (9, 0), _AT, _POINTS, **look).set_in_layout(False)


def level(axes: Axes, value: float | None, words: str = "") -> None:
    """A dashed line down through all rows, such as the mean, with words on top; none beside the axis."""
    low, high = axes.get_xlim()
    if (number := defined(value)) is not None and low <= number <= high:
        axes.axvline(number, **style.MEAN, zorder=1.5)
        axes.annotate(words, (number, 1), (0, 4), ("data", "axes fraction"), _POINTS, ha="center", **_SOFT)


def bars(
    name: str,
    what: str,
    title: str,
    values: Mapping[str, Any],
    texts: Sequence[str],
    more: Mapping[str, Sequence[Any]] = MappingProxyType({}),
) -> Figure | None:
    """A figure of horizontal bars with texts at their ends; what is negative or not known has none.

    Its table holds the values, and `more` columns by their names.
    """
    lengths = [max(defined(value) or 0.0, 0.0) for value in values.values()]
    if not known(values.values()):
        return None
    with sheet(name, 14 + 24 * len(values)) as (canvas, ((axes,),)):
        drawn = axes.barh(range(len(values)), lengths, height=0.6, **style.BAR)
        axes.bar_label(drawn, texts, padding=5, **_SOFT)
        axes.axvline(0, **style.AXIS)
        axes.set_xlim(0, max(lengths) or 1.0)
        rows(axes, range(len(values)), list(values), room=160)
        axes.xaxis.set_visible(False)
        axes.grid(visible=False)
        cells = zip(values, values.values(), *more.values(), strict=True)
        return finished(canvas, title, ("name", what, *more), cells)


class Row(NamedTuple):
    """A number with its interval, of the cases that share a value (`subgroup`) of a `column`.

    The reason says why value or ends are None. Columns and counts may be unknown ("" and None).
    """

    column: str
    subgroup: str
    cases: int | None
    subjects: int | None
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def drawn(evidence: Evidence, summary: Mapping[str, Any]) -> list[Figure | None]:
    """Folds and subgroups; nothing before the first test."""
    if not summary["outer_folds"]:
        return []
    name, progress = summary["headline"], summary["progress"]
    metric, bounds = summary["metrics"][name], evidence.metrics.METRICS[name].bounds
    groups = []
    for group in summary["subgroups"]:
        value = group["metrics"][name]
        low, high = ends(value["interval"])
        reason = value["note"] if value["value"] is None else "no interval" * (low is None)
        counts = group["cases"], group["subjects"]
        groups.append(Row(group["column"], group["group"], *counts, value["value"], low, high, reason))
    label = "all cases" if progress["cases_tested"] == summary["data"]["cases"] else "all tested cases"
    counts, first = (progress["cases_tested"], progress["subjects_tested"]), (*metric["intervals"], None)[0]
    overall = Row("", label, *counts, metric["estimate"], *ends(first))
    led = leading(summary)["metrics"][name]
    return [folds(led, bounds), forest("subgroups", groups, overall, metric["label"], bounds)]


def ends(interval: Mapping[str, Any] | None) -> tuple[float | None, float | None]:
    """Both ends of an interval of summary.json that may be missing."""
    return (interval["low"], interval["high"]) if interval else (None, None)


def folds(metric: Mapping[str, Any], bounds: Bounds) -> Figure | None:
    """Values of outer folds, their mean and its intervals, of a metric of summary.json; None of none."""
    values = {f"fold {fold}": value["value"] for fold, value in metric["folds"].items()}
    label, mean, intervals = metric["label"], metric["mean"], metric["intervals"]
    if not known(values.values()):
        return None
    shown = [Row("", name, None, None, value) for name, value in values.items()]
    for i in intervals:
        middle = None if i["low"] is None else i["estimate"]
        name, note = f"{i['label']}, {100 * i['level']:.4g} %", i["note"] if i["low"] is None else ""
        shown.append(Row(name, i["unit"], None, None, middle, *ends(i), note))
    looks = [style.SELECTED] * len(values) + [style.MIDDLE] * len(intervals)
    with sheet("folds", 74 + 22 * (len(values) + 1.75 * len(intervals))) as (canvas, ((axes,),)):
        places = _rows(axes, shown, looks, bounds)
        level(axes, mean, f"mean {teller([mean])(mean or 0.0)}")
        if intervals and len(first := known(ends(intervals[0]))) == 2:
            axes.fill_betweenx((-0.5, len(values) - 0.5), *first, **style.BAND)
            axes.plot(first, [places[len(values)]] * 2, **style.HEAVY)
        canvas.supxlabel(fit(label, 340, lines=2))
        title = f"{label} of every outer fold, with its mean and {len(intervals)} intervals of the mean"
        cells = [("outer fold", name, value, None, None, "") for name, value in values.items()]
        cells.append(("mean", "mean", mean, None, None, ""))
        told = shown[len(values) :]
        cells += [("interval", f"{row.column}, {row.subgroup}", None, *row[5:]) for row in told]
        return finished(canvas, title, ("kind", "name", "value", "low", "high", "reason"), cells)


def forest(name: str, groups: Sequence[Row], overall: Row | None, what: str, bounds: Bounds) -> Figure | None:
    """Forest plot of rows, which are what `name` says; squares grow with the number of cases.

    The estimate over all cases is a diamond and a line through all rows. None when there is no estimate.
    """
    shown = [*groups, *([overall] if overall else [])]
    if not groups or not known(row.value for row in shown):
        return None
    most = max(1, *(row.cases or 0 for row in groups))
    looks = [{**style.SQUARE, "markersize": 4 + 6 * ((row.cases or 0) / most) ** 0.5} for row in groups]
    columns = len(dict.fromkeys(row.column for row in groups if row.column))
    with sheet(name, 80 + 34 * (len(shown) + 0.75 * columns)) as (canvas, ((axes,),)):
        places = _rows(axes, shown, [*looks, style.WHOLE], bounds, lift=0.16)
        axes.grid(visible=False, axis="y")
        subjects = ["" if row.subjects is None else f", {row.subjects:,} subjects" for row in shown]
        texts = [f"{row.cases or 0:,} cases{text}" for row, text in zip(shown, subjects, strict=True)]
        axes.set_yticks([place + 0.2 for place in places], texts, minor=True)
        axes.tick_params(axis="y", which="minor", labelsize=style.SMALL)
        if max(width(text, style.SMALL) for text in texts) > 110:  # little room is left for the axis
            axes.locator_params(axis="x", nbins=2)
        if overall:
            level(axes, overall.value)
            axes.axhline(places[-1] - 0.5, color=style.GRID, lw=1)
        beside(axes, -0.8, "estimate [interval]")
        canvas.supxlabel(fit(what, 340, lines=2))
        title = f"{what} in {len(groups)} {name}" + (" and over all cases" if overall else "")
        return finished(canvas, title, Row._fields, shown)


def _rows(axes: Axes, shown: list[Row], looks: list, bounds: Bounds, lift: float = 0.0) -> list[float]:
    """A point a row with its interval, and both as text at the right; places of the rows."""
    places, heads = stacked([row.column for row in shown], 0.75)
    told = teller(end for row in shown for end in row[4:7])
    for row, look, place in zip(shown, looks, places, strict=False):
        value, low, high = map(defined, row[4:7])
        if value is None:
            missing(axes, place, row.reason or "undefined")
        elif low is None or high is None:
            point(axes, place, value, style.OPEN if lift else look)
            why = fit(row.reason or "no interval", 130, style.NOTE)
            beside(axes, place, f"{told(value)}\n{why}" if lift else told(value))
        else:
            axes.plot((low, high), (place, place), **style.INTERVAL)
            point(axes, place, value, look)
            beside(axes, place, f"{told(value)} [{told(low)}, {told(high)}]")
    above(axes, heads, "bold" if lift else "normal")
    rows(axes, [place - lift for place in places], [row.subgroup for row in shown])
    axes.locator_params(axis="x", nbins=3 if lift else 5)
    # The axis ends where the metric ends, unless a value lies beyond.
    (low, high), (least, most) = axes.get_xlim(), axes.dataLim.intervalx
    spare = 0.03 * (high - low)
    axes.set_xlim(max(low, min(bounds[0], least) - spare), min(high, max(bounds[1], most) + spare))
    return places
