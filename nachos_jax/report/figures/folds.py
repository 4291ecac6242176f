"""Figures of outer folds: strips of points, and the value of each fold with the intervals of their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import Axis, axis, decimals, defined, vertical_grid
from nachos_jax.report.figures.drawing import LEFT, RIGHT, TOP, WIDTH, Figure, Table
from nachos_jax.report.words.format import number

STRIP_ROW, INTERVAL_ROW = 26.0, 35.0
ROOM = (40.0, 130.0)
"""Least and largest width of the names at the left."""
VALUES = 106.0
"""Width of the numbers at the right."""
Bounds = tuple[float | None, float | None]


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
    values = [v for marks in rows.values() for mark in marks if (v := defined(mark.value)) is not None]
    if not values:
        return None
    base = TOP + STRIP_ROW * len(rows) + (14.0 if mean is not None else 0.0)
    top = base - STRIP_ROW * len(rows)
    x = axis([*values, *([] if mean is None else [mean])], LEFT + 14, WIDTH - RIGHT)
    parts = vertical_grid(x, top, base)
    for index, (row, marks) in enumerate(rows.items()):
        y = top + STRIP_ROW * (index + 0.5)
        parts.append(draw.line(LEFT, y, WIDTH - RIGHT, y, "rule"))
        parts.append(draw.text(LEFT - 8, y + 4, row, "end", room=LEFT - 10))
        parts += [_mark(mark, x, y) for mark in sorted(marks, key=lambda mark: mark.selected)]
    if mean is not None:
        parts.append(draw.line(x.at(mean), top, x.at(mean), base, "mean"))
        words = f"mean {decimals(mean)}"
        parts.append(draw.text(draw.inward(x.at(mean), words), top - 5, words, "middle", "note"))
    parts.append(draw.text((LEFT + WIDTH - RIGHT) / 2, base + 36, label, "middle", room=WIDTH - LEFT))
    told = [
        (row, defined(mark.value), int(mark.selected), mark.text) for row, ms in rows.items() for mark in ms
    ]
    table = Table(("row", "value", "selected", "text"), tuple(told))
    return Figure(name, draw.frame(parts, base + 42, title), title, table)


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
    mean = defined(mean)
    numbers = [v for value in values.values() if (v := defined(value)) is not None]
    if not numbers:
        return None
    ends = [end for interval in intervals if interval.ends for end in interval.ends]
    left = min(max(ROOM[0], *(draw.text_width(draw.plain(name)) for name in values)), ROOM[1]) + 8
    high = 22.0 if len(values) <= 10 else 16.0
    top, middle = TOP + 12, TOP + 12 + high * len(values)
    base = middle + INTERVAL_ROW * len(intervals)
    known = [*numbers, *ends, *([] if mean is None else [mean])]
    known += [i.estimate for i in intervals if i.estimate is not None]
    x = axis(known, left + 10, WIDTH - VALUES - 6, ticks=4, bounds=bounds)
    parts: list[str] = []
    if intervals and intervals[0].ends:
        low, up = map(x.at, intervals[0].ends)
        parts.append(draw.rect(low, top, max(up - low, 1), middle - top, "band c0"))
    parts += vertical_grid(x, top, base)
    for i, (name, value) in enumerate(values.items()):
        parts += _fold_row(name, defined(value), x, left, top + high * (i + 0.5))
    if mean is not None:
        parts.append(draw.line(x.at(mean), top, x.at(mean), base, "mean"))
        words = f"mean {decimals(mean)}"
        parts.append(draw.text(draw.inward(x.at(mean), words), top - 6, words, "middle", "note"))
    for i, interval in enumerate(intervals):
        parts += _interval_row(interval, mean, x, left, middle + INTERVAL_ROW * i, i == 0)
    parts.append(draw.text((x.start + x.end) / 2, base + 36, metric, "middle", room=WIDTH - left))
    title = f"{metric} of every outer fold, with its mean and {len(intervals)} intervals of the mean"
    return Figure("folds", draw.frame(parts, base + 42, title), title, _table(values, mean, intervals))


def _table(values: Mapping[str, float | None], mean: float | None, intervals: Sequence[Interval]) -> Table:
    rows = [("outer fold", name, defined(value), None, None, "") for name, value in values.items()]
    told = [("interval", i.label, None, defined(i.low), defined(i.high), i.reason) for i in intervals]
    whole = (*rows, ("mean", "mean", mean, None, None, ""), *told)
    return Table(("kind", "name", "value", "low", "high", "reason"), whole)


def _fold_row(name: str, value: float | None, x: Axis, left: float, y: float) -> list[str]:
    parts = [
        draw.line(left, y, WIDTH - VALUES, y, "rule"),
        draw.text(left - 8, y + 4, name, "end", room=left - 8),
    ]
    if value is None:
        parts.append(draw.cross(left + 4, y, f"{name}: undefined"))
        parts.append(draw.text(WIDTH - VALUES + 6, y + 4, "undefined", style="note"))
    else:
        parts.append(draw.circle(x.at(value), y, 5, "selected", f"{name}: {number(value)}"))
        parts.append(draw.text(WIDTH - VALUES + 6, y + 4, decimals(value), style="note"))
    return parts


def _interval_row(
    interval: Interval, mean: float | None, x: Axis, left: float, y: float, headline: bool
) -> list[str]:
    parts = [draw.text(left, y + 17, interval.label, style="note over", room=WIDTH - left)]
    y += 26
    if interval.ends is None:
        why = interval.reason or "undefined"
        parts.append(draw.cross(left + 4, y))
        parts.append(draw.text(left + 14, y + 4, why, style="note over", room=WIDTH - left - 16))
        return parts
    low, high = interval.ends
    style = "interval heavy" if headline else "interval"
    parts.append(draw.line(x.at(low), y, x.at(high), y, style))
    parts += [draw.line(x.at(end), y - 4, x.at(end), y + 4, "interval") for end in (low, high)]
    middle = mean if interval.estimate is None else interval.estimate
    if middle is not None:
        parts.append(draw.diamond(x.at(middle), y, 9, 9, "middle"))
    words = f"{decimals(low)} to {decimals(high)}"
    parts.append(draw.text(WIDTH - VALUES + 6, y + 4, words, style="note", room=VALUES - 6))
    return parts


def _mark(mark: Mark, x: Axis, y: float) -> str:
    value = defined(mark.value)
    if value is None:
        return draw.cross(LEFT + 5, y, mark.text)
    kind, radius = ("selected", 5.5) if mark.selected else ("trial", 4.0)
    return draw.circle(x.at(value), y, radius, kind, mark.text)
