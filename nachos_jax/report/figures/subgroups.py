"""Forest plot: the estimate in every subgroup with its interval, beside the estimate over all cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import Axis, axis, decimals, defined, vertical_grid
from nachos_jax.report.figures.drawing import SMALL, TOP, WIDTH, Figure, Table
from nachos_jax.report.figures.folds import Bounds
from nachos_jax.report.words.format import number

ROW, HEAD = 34.0, 22.0
VALUES = 142.0
"""Width of the numbers at the right."""
LABELS = (100.0, 164.0)
"""Least and largest width of the names."""


@dataclass(frozen=True)
class Subgroup:
    """The estimate in the cases that share a value of a column.

    Attributes:
        label: the value, such as "female".
        cases: how many cases it has.
        subjects: how many subjects it has; None when they are not known.
        value: the estimate; None when it is undefined.
        low: lower end of its interval; None when that is undefined.
        high: upper end of its interval; None when that is undefined.
        reason: why estimate or interval are undefined.
        column: the column, such as "sex"; rows of one column stand together under its name.
    """

    label: str
    cases: int
    subjects: int | None
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    column: str = ""


def forest(
    subgroups: Sequence[Subgroup], overall: Subgroup, metric: str, bounds: Bounds = (None, None)
) -> Figure | None:
    """Forest plot of subgroups; areas of the squares grow with the number of cases.

    Args:
        subgroups: rows from top to bottom, those of one column next to each other.
        overall: the estimate over all cases: a diamond in the last row and a line through all rows.
        metric: name of the axis.
        bounds: what the metric cannot exceed, such as (0, 1).

    Returns:
        The figure, or None when there is no subgroup or no estimate at all.
    """
    groups = [*subgroups, overall]
    known = [v for g in groups for end in (g.value, g.low, g.high) if (v := defined(end)) is not None]
    if not subgroups or not any(defined(group.value) is not None for group in groups):
        return None
    names = [draw.text_width(draw.plain(group.label)) + 12 for group in groups]
    names += [draw.text_width(_counts(group), SMALL) + 12 for group in groups]
    left = min(max(LABELS[0], *names), LABELS[1]) + 8
    x = axis(known, left + 10, WIDTH - VALUES - 8, ticks=3, bounds=bounds)
    top = TOP + 22.0
    marks, base = _rows(subgroups, overall, x, left, top)
    parts = [
        draw.text(WIDTH - VALUES + 4, TOP + 8, "estimate [interval]", style="tick"),
        *vertical_grid(x, top, base),
    ]
    middle = defined(overall.value)
    if middle is not None:
        parts.append(draw.line(x.at(middle), top, x.at(middle), base, "mean"))
    parts += marks
    room = 2 * min((x.start + x.end) / 2, WIDTH - (x.start + x.end) / 2)
    parts.append(draw.text((x.start + x.end) / 2, base + 36, metric, "middle", room=room))
    title = f"{metric} in {len(subgroups)} subgroups and over all cases"
    header = ("column", "subgroup", "cases", "subjects", "value", "low", "high", "reason")
    rows = tuple(
        (g.column, g.label, g.cases, g.subjects, defined(g.value), defined(g.low), defined(g.high), g.reason)
        for g in groups
    )
    return Figure("subgroups", draw.frame(parts, base + 42, title), title, Table(header, rows))


def _rows(
    subgroups: Sequence[Subgroup], overall: Subgroup, x: Axis, left: float, top: float
) -> tuple[list[str], float]:
    """Marks of all rows, and where they end."""
    parts: list[str] = []
    y, column = top, ""
    largest = max(1, *(group.cases for group in subgroups))
    for group in subgroups:
        if group.column and group.column != column:
            parts.append(draw.text(0, y + 15, group.column, style="head", room=left - 4))
            y += HEAD
        column = group.column
        side = 4 + 6 * (group.cases / largest) ** 0.5
        parts += _row(group, x, left, y + ROW / 2, side)
        y += ROW
    parts.append(draw.line(0, y + 2, WIDTH, y + 2, "grid"))
    parts += _row(overall, x, left, y + 4 + ROW / 2, 0.0)
    return parts, y + 6 + ROW


def _row(group: Subgroup, x: Axis, left: float, y: float, side: float) -> list[str]:
    """One row; its mark is a square, or a diamond from end to end of the interval when `side` is 0."""
    indent = 8.0 if group.column else 0.0
    parts = [
        draw.text(indent, y - 2, group.label, style="label" if side else "head", room=left - indent - 4),
        draw.text(indent, y + 12, _counts(group), style="small", room=left - indent - 4),
    ]
    value, low, high = defined(group.value), defined(group.low), defined(group.high)
    if value is None:
        why = group.reason or "undefined"
        parts.append(draw.cross(x.start - 4, y))
        parts.append(draw.text(x.start + 6, y + 4, why, style="note over", room=WIDTH - x.start - 6))
        return parts
    told = f"{group.label}: {number(value)}"
    if low is not None and high is not None:
        words = f"{decimals(value)} [{decimals(low)}, {decimals(high)}]"
        if side:
            parts.append(draw.line(x.at(low), y, x.at(high), y, "interval"))
            parts.append(draw.rect(x.at(value) - side / 2, y - side / 2, side, side, "middle"))
        else:
            wide = [(x.at(low), y), (x.at(value), y - 6), (x.at(high), y), (x.at(value), y + 6)]
            parts.append(draw.path([wide], "middle", told, closed=True))
    else:
        words = decimals(value)
        why = group.reason or "no interval"
        parts.append(draw.text(WIDTH - VALUES + 4, y + 16, why, style="small", room=VALUES - 4))
        parts.append(draw.diamond(x.at(value), y, 9, 9, "hollow", told))
    parts.append(draw.text(WIDTH - VALUES + 4, y + 4, words, style="note", room=VALUES - 4))
    return parts


def _counts(group: Subgroup) -> str:
    cases = f"{number(group.cases)} cases"
    return cases if group.subjects is None else f"{cases}, {number(group.subjects)} subjects"
