"""Forest plot: the estimate in every subgroup with its interval, beside the estimate over all cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nachos_jax.report.figures.drawing import Axes, Figure, Sheet, Table, scale, sheet, widest
from nachos_jax.report.figures.scales import Bounds, decimals, defined, known
from nachos_jax.report.figures.style import FOOT, SMALL, TOP, WIDTH
from nachos_jax.report.words.format import number

ROW, HEAD = 34.0, 22.0
VALUES = WIDTH - 126.0
"""Where the numbers at the right begin."""


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
    subgroups: Sequence[Subgroup],
    overall: Subgroup | None,
    metric: str,
    bounds: Bounds = (None, None),
    name: str = "subgroups",
) -> Figure | None:
    """Forest plot of subgroups; areas of the squares grow with the number of cases.

    Args:
        subgroups: rows from top to bottom, those of one column next to each other.
        overall: the estimate over all cases: a diamond in the last row and a line through all rows; None
            for none.
        metric: name of the axis.
        bounds: what the metric cannot exceed, such as (0, 1).
        name: stem of the figure's files, and what the rows are.

    Returns:
        The figure, or None when there is no subgroup or no estimate at all.
    """
    groups = [*subgroups, *([overall] if overall else [])]
    if not subgroups or not known(group.value for group in groups):
        return None
    labels = widest([group.label for group in groups], 90, 146)
    left = max(labels, widest([_counts(group) for group in groups], 0, 146, SMALL)) + 14
    heads = sum(bool(now) and now != before for before, now in _columns(subgroups))
    top = TOP + 20.0
    base = top + ROW * len(groups) + HEAD * heads + 6
    with sheet(base + FOOT) as page:
        axes = page.rows(left + 10, top, VALUES - 10 - left - 10, base - top)
        scale(axes.xaxis, known(end for g in groups for end in (g.value, g.low, g.high)), bounds, 3)
        page.text(VALUES, TOP + 8, "estimate [interval]", "note")
        middle = defined(overall.value) if overall else None
        if middle is not None:
            page.line(axes, [middle, middle], [top, base], "mean")
        y, largest = top, max(1, *(group.cases for group in subgroups))
        for group, (before, column) in zip(subgroups, _columns(subgroups), strict=True):
            if column and column != before:
                page.text(0, y + 15, column, "head", room=left - 4)
                y += HEAD
            _row(page, axes, group, y + ROW / 2, 4 + 6 * (group.cases / largest) ** 0.5)
            y += ROW
        if overall:
            page.line(None, [0, WIDTH], [y + 2, y + 2], "edge")
            _row(page, axes, overall, y + 4 + ROW / 2, 0.0)
        page.below(axes, metric)
        title = f"{metric} in {len(subgroups)} {name}" + (" and over all cases" if overall else "")
        words = f"{metric} along the horizontal axis; a row each for {', '.join(g.label for g in groups)}."
        return page.finished(name, title, words, _table(groups))


def _columns(groups: Sequence[Subgroup]) -> list[tuple[str, str]]:
    """Column of the group before, and of each group."""
    names = [group.column for group in groups]
    return list(zip(["", *names], names, strict=False))


def _table(groups: Sequence[Subgroup]) -> Table:
    header = ("column", "subgroup", "cases", "subjects", "value", "low", "high", "reason")
    rows = tuple(
        (g.column, g.label, g.cases, g.subjects, defined(g.value), defined(g.low), defined(g.high), g.reason)
        for g in groups
    )
    return Table(header, rows)


def _row(page: Sheet, axes: Axes, group: Subgroup, y: float, side: float) -> None:
    """One row; its mark is a square, or a diamond from end to end of the interval when `side` is 0."""
    indent, start = 8.0 if group.column else 0.0, page.x(axes, axes.get_xlim()[0])
    room = start - 14 - indent
    page.text(indent, y - 2, group.label, "label" if side else "head", room=room)
    page.text(indent, y + 12, _counts(group), "small", room=room)
    value, low, high = defined(group.value), defined(group.low), defined(group.high)
    if value is None:
        page.line(None, [start - 4], [y], "failed")
        why = group.reason or "undefined"
        page.text(start + 6, y + 4, why, "note", room=WIDTH - start - 6, over=True)
        return
    told = f"{group.label}: {number(value)}"
    if low is None or high is None:
        page.text(VALUES, y + 17, group.reason or "no interval", "small", room=WIDTH - VALUES)
        page.line(axes, [value], [y], "open", told)
        page.text(VALUES, y + 4, decimals(value), "note")
        return
    if side:
        page.line(axes, [low, high], [y, y], "interval")
        page.line(axes, [value], [y], "square", told, markersize=side)
    else:
        page.area(axes, [low, value, high, value], [y, y - 6, y, y + 6], "diamond", told)
    words = f"{decimals(value)} [{decimals(low)}, {decimals(high)}]"
    page.text(VALUES, y + 4, words, "note", room=WIDTH - VALUES)


def _counts(group: Subgroup) -> str:
    cases = f"{number(group.cases)} cases"
    return cases if group.subjects is None else f"{cases}, {number(group.subjects)} subjects"
