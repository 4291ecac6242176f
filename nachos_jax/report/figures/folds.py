"""Figures of outer folds: strips of points, and the value of each fold with the intervals of their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nachos_jax.report.figures.drawing import Axes, Figure, Sheet, Table, scale, sheet, widest
from nachos_jax.report.figures.scales import Bounds, decimals, defined, known
from nachos_jax.report.figures.style import FOOT, RIGHT, TOP, WIDTH
from nachos_jax.report.words.format import number

STRIP_ROW, INTERVAL_ROW = 26.0, 35.0
VALUES = WIDTH - 98.0
"""Where the numbers at the right begin."""


@dataclass(frozen=True)
class Mark:
    """A point in a row of a strip plot.

    Attributes:
        value: where on the axis; None for a failed one, drawn as a cross at the left edge.
        text: shown when pointed at.
        selected: drawn large and filled.
    """

    value: float | None
    text: str
    selected: bool = False


@dataclass(frozen=True)
class Interval:
    """An interval of the mean over outer folds.

    Attributes:
        label: its method, level and unit, such as "corrected t, 95%, folds".
        low: lower end; None when it is undefined.
        high: upper end; None when it is undefined.
        reason: why it is undefined.
        estimate: what it is around; None for the mean over outer folds.
    """

    label: str
    low: float | None
    high: float | None
    reason: str = ""
    estimate: float | None = None

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends, or None when one is undefined."""
        low, high = defined(self.low), defined(self.high)
        return None if low is None or high is None else (low, high)


def strip(
    rows: Mapping[str, Sequence[Mark]], label: str, title: str, mean: float | None = None, name: str = "strip"
) -> Figure | None:
    """Strip plot: a row of points for every name, along one horizontal axis.

    Args:
        rows: points by name of the row, from top to bottom.
        label: name of the axis.
        title: what the figure shows, for those who hear it.
        mean: where to draw a vertical line, if anywhere.
        name: stem of the figure's files.

    Returns:
        The figure, or None when no point has a value.
    """
    mean = defined(mean)
    values = known(mark.value for marks in rows.values() for mark in marks)
    if not values:
        return None
    left, top = widest(list(rows), 40, 130) + 8, TOP + (14.0 if mean is not None else 0.0)
    high = STRIP_ROW * len(rows)
    with sheet(top + high + FOOT) as page:
        axes = page.rows(left + 16, top, WIDTH - RIGHT - left - 16, high)
        scale(axes.xaxis, known([*values, mean]))
        for index, (row, marks) in enumerate(rows.items()):
            y = top + STRIP_ROW * (index + 0.5)
            _row(page, axes, row, y, left)
            for mark in sorted(marks, key=lambda mark: mark.selected):
                kind = "selected" if mark.selected else "trial"
                _point(page, axes, defined(mark.value), y, mark.text, kind)
        _mean(page, axes, mean, [(top, top + high)])
        page.below(axes, label)
        told = [
            (row, defined(m.value), int(m.selected), m.text) for row, marks in rows.items() for m in marks
        ]
        words = f"{label} along the horizontal axis; a row of points each for {', '.join(rows)}."
        return page.finished(name, title, words, Table(("row", "value", "selected", "text"), tuple(told)))


def folds(
    values: Mapping[str, float | None],
    metric: str,
    mean: float | None,
    intervals: Sequence[Interval] = (),
    bounds: Bounds = (None, None),
) -> Figure | None:
    """Value of every outer fold, their mean, and intervals of the mean.

    The first interval is the headline: a band behind the folds and the thickest bar below them. Folds
    and intervals that are undefined are crosses; an interval then shows its reason.

    Args:
        values: value of the metric by name of the outer fold; None where it is undefined.
        metric: name of the axis.
        mean: mean over outer folds; None when it is undefined.
        intervals: intervals of the mean, the headline first.
        bounds: what the metric cannot exceed, such as (0, 1).

    Returns:
        The figure, or None when no fold has a value.
    """
    mean, numbers = defined(mean), known(values.values())
    if not numbers:
        return None
    left, high = widest(list(values), 40, 130) + 8, 22.0 if len(values) <= 10 else 16.0
    top, middle = TOP + 14, TOP + 14 + high * len(values)
    shown = [*numbers, mean, *(i.estimate for i in intervals), *(e for i in intervals for e in i.ends or ())]
    with sheet(middle + INTERVAL_ROW * len(intervals) + FOOT) as page:
        axes = page.rows(left + 16, top, VALUES - 8 - left - 16, middle - top + INTERVAL_ROW * len(intervals))
        scale(axes.xaxis, known(shown), bounds)
        if intervals and intervals[0].ends:
            page.box(axes, intervals[0].ends, (top, middle), "band")
        for i, (name, value) in enumerate(values.items()):
            y, value = top + high * (i + 0.5), defined(value)
            told = "undefined" if value is None else number(value)
            _row(page, axes, name, y, left)
            _point(page, axes, value, y, f"{name}: {told}", "selected")
            page.text(VALUES, y + 4, "undefined" if value is None else decimals(value), "note")
        bars = [
            (y + 20, y + INTERVAL_ROW) for y in (middle + INTERVAL_ROW * i for i in range(len(intervals)))
        ]
        _mean(page, axes, mean, [(top, middle), *bars])
        for i, interval in enumerate(intervals):
            _interval(page, axes, interval, mean, middle + INTERVAL_ROW * i, "interval" if i else "heavy")
        page.below(axes, metric)
        title = f"{metric} of every outer fold, with its mean and {len(intervals)} intervals of the mean"
        words = f"{metric} along the horizontal axis; a row for every outer fold, then for every interval."
        return page.finished("folds", title, words, _table(values, mean, intervals))


def _table(values: Mapping[str, float | None], mean: float | None, intervals: Sequence[Interval]) -> Table:
    rows = [("outer fold", name, defined(value), None, None, "") for name, value in values.items()]
    told = [("interval", i.label, None, defined(i.low), defined(i.high), i.reason) for i in intervals]
    whole = (*rows, ("mean", "mean", mean, None, None, ""), *told)
    return Table(("kind", "name", "value", "low", "high", "reason"), whole)


def _row(page: Sheet, axes: Axes, name: str, y: float, left: float) -> None:
    """Name of a row at the left, and its line."""
    page.text(left - 8, y + 4, name, anchor="right", room=left - 8)
    page.line(axes, axes.get_xlim(), [y, y], "rule")


def _point(page: Sheet, axes: Axes, value: float | None, y: float, words: str, kind: str) -> None:
    """A point at its value; what has none is a cross before the axis."""
    if value is None:
        page.line(None, [page.x(axes, axes.get_xlim()[0]) - 10], [y], "failed", words)
    else:
        page.line(axes, [value], [y], kind, words)


def _mean(page: Sheet, axes: Axes, mean: float | None, spans: Sequence[tuple[float, float]]) -> None:
    """A line at the mean in pieces, so that it does not cross the texts between these."""
    if mean is not None:
        heights = [y for low, high in spans for y in (low, high, math.nan)]
        page.line(axes, [mean] * len(heights), heights, "mean")
        page.text(page.x(axes, mean), spans[0][0] - 5, f"mean {decimals(mean)}", "note", anchor="center")


def _interval(page: Sheet, axes: Axes, interval: Interval, mean: float | None, y: float, kind: str) -> None:
    start = page.x(axes, axes.get_xlim()[0]) - 16
    page.text(start, y + 17, interval.label, "note", room=WIDTH - start, over=True)
    y += 26
    if interval.ends is None:
        page.line(None, [start + 6], [y], "failed")
        why = interval.reason or "undefined"
        page.text(start + 16, y + 4, why, "note", room=WIDTH - start - 16, over=True)
        return
    low, high = interval.ends
    page.line(axes, [low, high], [y, y], kind)
    page.line(axes, [low, high], [y, y], "cap")
    middle = mean if interval.estimate is None else interval.estimate
    page.line(axes, known([middle]), [y] * len(known([middle])), "middle")
    page.text(VALUES, y + 4, f"{decimals(low)} to {decimals(high)}", "note", room=WIDTH - VALUES)
