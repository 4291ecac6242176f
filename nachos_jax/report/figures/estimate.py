"""Figures of the estimate, of any task: the outer folds with intervals of their mean, and forest plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Axes, Figure, finished, fit, sheet
from nachos_jax.report.figures.numbers import UNBOUNDED, Bounds, defined, known, teller
from nachos_jax.report.figures.rows import above, beside, level, missing, point, rows, stacked
from nachos_jax.report.reading.evidence import Evidence
from nachos_jax.report.words.format import number


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
    return [folds(metric, bounds), forest(groups, overall, metric["label"], bounds)]


def ends(interval: Mapping[str, Any] | None) -> tuple[float | None, float | None]:
    """Both ends of an interval of summary.json that may be missing."""
    return (interval["low"], interval["high"]) if interval else (None, None)


def folds(metric: Mapping[str, Any], bounds: Bounds = UNBOUNDED) -> Figure | None:
    """Value of every outer fold, their mean, and intervals of the mean, of a metric of summary.json.

    The first interval is the headline: a band behind the folds and the thickest bar below them. None when
    no fold has a value.
    """
    values = {f"fold {fold}": value["value"] for fold, value in metric["folds"].items()}
    label, mean, intervals = metric["label"], metric["mean"], metric["intervals"]
    if not known(values.values()):
        return None
    shown = [Row("", name, None, None, value, reason="undefined") for name, value in values.items()]
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
        canvas.supxlabel(fit(label, 390, lines=2))
        title = f"{label} of every outer fold, with its mean and {len(intervals)} intervals of the mean"
        cells = [("outer fold", name, value, None, None, "") for name, value in values.items()]
        cells.append(("mean", "mean", mean, None, None, ""))
        for row in shown[len(values) :]:
            cells.append(("interval", f"{row.column}, {row.subgroup}", None, row.low, row.high, row.reason))
        return finished(canvas, title, ("kind", "name", "value", "low", "high", "reason"), cells)


def forest(
    groups: Sequence[Row],
    overall: Row | None,
    metric: str,
    bounds: Bounds = UNBOUNDED,
    name: str = "subgroups",
) -> Figure | None:
    """Forest plot of rows that `name` says what they are; squares grow with the number of cases.

    The estimate over all cases is a diamond in the last row and a line through all rows. None when there is
    no row or no estimate at all.
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
        counts = ((f"{number(row.cases)} cases", row.subjects) for row in shown)
        texts = [cases if n is None else f"{cases}, {number(n)} subjects" for cases, n in counts]
        axes.set_yticks([place + 0.2 for place in places], texts, minor=True)
        axes.tick_params(axis="y", which="minor", labelsize=style.SMALL)
        if overall:
            level(axes, overall.value)
            axes.axhline(places[-1] - 0.5, color=style.GRID, lw=1)
        beside(axes, -0.8, "estimate [interval]")
        canvas.supxlabel(fit(metric, 390, lines=2))
        title = f"{metric} in {len(groups)} {name}" + (" and over all cases" if overall else "")
        return finished(canvas, title, Row._fields, shown)


def _rows(
    axes: Axes, shown: Sequence[Row], looks: Sequence[dict], bounds: Bounds, lift: float = 0.0
) -> list[float]:
    """A point a row with its interval, and both as text at the right; places of the rows."""
    places, heads = stacked([row.column for row in shown], 0.75)
    told = teller(end for row in shown for end in row[4:7])
    for row, look, place in zip(shown, looks, places, strict=False):
        value, low, high = map(defined, row[4:7])
        if value is None:
            missing(axes, place, row.reason or "undefined")
        elif low is None or high is None:
            point(axes, place, value, style.OPEN if lift else look)
            beside(axes, place, told(value) + (f"\n{row.reason or 'no interval'}" if lift else ""))
        else:
            axes.plot((low, high), (place, place), **style.INTERVAL)
            point(axes, place, value, look)
            beside(axes, place, f"{told(value)} [{told(low)}, {told(high)}]")
    above(axes, heads, "bold" if lift else "normal")
    rows(axes, [place - lift for place in places], [row.subgroup for row in shown])
    # The axis ends where the metric ends, unless a value lies beyond.
    (low, high), (least, most) = axes.get_xlim(), axes.dataLim.intervalx
    spare = 0.03 * (high - low)
    axes.set_xlim(max(low, min(bounds[0], least) - spare), min(high, max(bounds[1], most) + spare))
    return places
