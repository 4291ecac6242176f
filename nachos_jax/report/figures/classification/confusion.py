"""Confusion matrix as NACHOS draws it: mean and SE over outer folds in every cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.report.figures.drawing import Axes, Figure, Sheet, Table, sheet, widest
from nachos_jax.report.figures.scales import defined
from nachos_jax.report.figures.style import LABEL, NOTE, SMALL, TOP, WIDTH
from nachos_jax.report.words.format import MISSING

READABLE = 12
"""Classes up to which the cells hold text."""
NAMED = 40
"""Classes up to which rows and columns have names."""
SHADES = 10
"""Shades of a matrix without text."""
DARKEST = 0.5
"""Opacity of a share of 1: text on it stays readable in light and dark."""


@dataclass(frozen=True)
class MeanConfusion:
    """Confusion matrices of the outer folds, summed up. Rows are true, columns are predicted classes.

    Attributes:
        classes: C names.
        mean: [C, C] mean over outer folds of the share of the row, in [0, 1]; NaN for a class without cases.
        se: [C, C] standard error of it over outer folds; NaN with fewer than two folds.
        counts: [C, C] cases, summed over outer folds.
    """

    classes: Sequence[str]
    mean: np.ndarray
    se: np.ndarray
    counts: np.ndarray


def confusion(matrix: MeanConfusion) -> Figure | None:
    """Shaded cells with the mean share in percent, its SE and the count; past READABLE classes shades only.

    Args:
        matrix: the numbers.

    Returns:
        The figure, or None when there is no class or no share.
    """
    count = len(matrix.classes)
    if not any(defined(value) is not None for row in matrix.mean for value in row):
        return None
    texts, named = count <= READABLE, count <= NAMED
    size = LABEL if count <= 6 else SMALL
    longest = widest(matrix.classes, 24, 110, size)
    left = 24 + (longest + 6 if named else 0)
    side = (WIDTH - left - 4) / count
    upright = widest(matrix.classes, 0, 1000, size) > side - 4
    # Few classes make a matrix that is wider than high, so that two of them do not fill a screen.
    high = min(max(side, 40.0), 62.0) if texts else side
    top = TOP + 20 + (0 if not named else min(longest, 110.0) if upright else 14.0)
    base = top + high * count
    with sheet(base + (28 if texts else 46)) as page:
        axes = page.axes(left, top, side * count, high * count, grid="")
        axes.set(xlim=(0, count), ylim=(count, 0), xticks=[], yticks=[])
        page.text(left + side * count / 2, TOP + 8, "predicted class", anchor="center")
        page.beside("true class", top, base)
        if named:
            _names(page, matrix.classes, (left, top), (side, high), (size, upright))
        if texts:
            _cells(page, axes, matrix, (left, top), (side, high))
            words = "% of the true class: mean \N{PLUS-MINUS SIGN} SE over outer folds; cases below"
            page.text(WIDTH / 2, base + 20, words, "note", anchor="center")
        else:
            _shades(page, axes, matrix.mean)
            _key(page, base + 24)
        title = f"Confusion matrix of {count} classes: mean and SE over outer folds"
        told = "Rows are true, columns predicted classes; darker cells are greater shares of the row."
        return page.finished("confusion", title, told, _table(matrix))


def _table(matrix: MeanConfusion) -> Table:
    header = ("true", "predicted", "mean_share", "se_share", "cases")
    parts = (matrix.mean, matrix.se, matrix.counts)
    rows = tuple(
        (true, predicted, *(defined(part[i, j]) for part in parts))
        for i, true in enumerate(matrix.classes)
        for j, predicted in enumerate(matrix.classes)
    )
    return Table(header, rows)


def _names(
    page: Sheet,
    classes: Sequence[str],
    corner: tuple[float, float],
    cell: tuple[float, float],
    how: tuple[float, bool],
) -> None:
    """Names of rows and columns, as many as have room."""
    (left, top), (side, high), (size, upright) = corner, cell, how
    kind = "label" if size == LABEL else "cell"
    for i, name in list(enumerate(classes))[:: max(1, math.ceil((size + 1) / min(side, high)))]:
        y, x = top + high * (i + 0.5), left + side * (i + 0.5)
        page.text(left - 6, y + size / 3, name, kind, anchor="right", room=left - 28)
        if upright:
            page.text(x + size / 3, top - 6, name, kind, room=110, rotation=90)
        else:
            page.text(x, top - 6, name, kind, anchor="center", room=side - 2)


def _cells(
    page: Sheet, axes: Axes, matrix: MeanConfusion, corner: tuple[float, float], cell: tuple[float, float]
) -> None:
    """Cells with text; those of the diagonal have a border, as shades alone do not tell right from wrong."""
    (left, top), (side, high) = corner, cell
    roomy, gap = side >= 52, (1 / side, 1 / high)
    for i, j in np.ndindex(matrix.mean.shape):
        parts = (matrix.mean, matrix.se, matrix.counts)
        share, se, count = (defined(float(part[i, j])) for part in parts)
        place = ((j + gap[0], j + 1 - gap[0]), (i + gap[1], i + 1 - gap[1]))
        page.box(axes, *place, "shade", alpha=DARKEST * min(max(share or 0.0, 0.0), 1.0))
        if i == j:
            page.box(axes, *place, "right")
        lines = [MISSING if share is None else _percent(share, roomy)]
        lines.append("" if se is None or share is None else f"\N{PLUS-MINUS SIGN}{_percent(se, side >= 32)}")
        lines.append("" if count is None else f"{count:,.0f}" if roomy else _short(count))
        x, y, large = left + side * (j + 0.5), top + high * (i + 0.5), "label" if roomy else "cell"
        for words, kind, rise in zip(lines, (large, "cell", "cell"), (-8, 4.5, 17), strict=True):
            page.text(x, y + rise, words, kind, anchor="center", room=side)


def _percent(share: float, decimal: bool) -> str:
    text = f"{100 * share:.1f}" if decimal else f"{100 * share:.0f}"
    return text.removesuffix(".0") if share in (0, 1) else text


def _short(count: float) -> str:
    return f"{count:.0f}" if count < 1e4 else f"{count / 1e3:.0f}k" if count < 1e6 else f"{count / 1e6:.0f}M"


def _shades(page: Sheet, axes: Axes, shares: np.ndarray) -> None:
    """Cells in ten shades, one path a shade: a matrix of a hundred classes has ten thousand cells.

    A shade begins where the one before ends; shares below half a percent have none.
    """
    levels = np.ceil(SHADES * np.clip(np.nan_to_num(shares), 0, 1) - 1e-9) * (np.nan_to_num(shares) >= 0.005)
    for level in np.unique(levels[levels > 0]):
        rows, columns = np.nonzero(levels == level)
        x = np.stack([columns, columns + 1, columns + 1, columns, np.full(len(rows), np.nan)], axis=1)
        y = np.stack([rows, rows, rows + 1, rows + 1, np.full(len(rows), np.nan)], axis=1)
        words = f"up to {level * 100 / SHADES:g} %"
        page.area(axes, x.ravel(), y.ravel(), "shade", words, alpha=level / SHADES)
    page.box(axes, (0, len(shares)), (0, len(shares)), "outline")


def _key(page: Sheet, y: float) -> None:
    """What the shades mean."""
    words = "share of the true class:  0"
    start = 24 + widest([words], 0, WIDTH, NOTE) + 8
    page.text(24, y + 9, words, "note")
    axes = page.axes(start, y, 10 * SHADES, 10, grid="")
    axes.set(xlim=(0, SHADES), ylim=(0, 1), xticks=[], yticks=[])
    for level in range(SHADES):
        page.box(axes, (level, level + 1), (0, 1), "shade", alpha=(level + 1) / SHADES)
    page.box(axes, (0, SHADES), (0, 1), "outline")
    page.text(start + 10 * SHADES + 6, y + 9, "100 %", "note")
