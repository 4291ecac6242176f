"""Confusion matrix as NACHOS draws it: mean and SE over outer folds in every cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import defined
from nachos_jax.report.figures.drawing import LABEL, NOTE, SMALL, TOP, WIDTH, Figure, Table
from nachos_jax.report.words.format import MISSING, number

READABLE = 12
"""Classes up to which the cells hold text."""
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
    shares = [[defined(value) for value in row] for row in matrix.mean]
    if not any(value is not None for row in shares for value in row):
        return None
    texts = count <= READABLE
    size = LABEL if count <= 6 else SMALL if count <= 40 else 0.0
    longest = max(draw.text_width(draw.plain(name), LABEL) for name in matrix.classes)
    left = (min(max(longest, 24.0), 104.0) if size else 0.0) + 26
    side = (WIDTH - left - 4) / count
    # Few classes make a matrix that is wider than high, so that two of them do not fill a screen.
    high = min(max(side, 40.0), 62.0) if texts else side
    upright = side < min(longest + 8, 60.0)
    head = 4.0 if not size else min(longest, 84.0) if upright else 16.0
    top = TOP + 20 + head
    parts = [draw.text(left + side * count / 2, TOP + 8, "predicted class", "middle")]
    parts.append(draw.upright(12, top + high * count / 2, "true class", high * count))
    parts += _names(matrix.classes, left, top, (side, high), (size, upright))
    parts += _cells(matrix, shares, left, top, (side, high)) if texts else _shades(shares, left, top, side)
    base = top + high * count
    words = "% of the true class: mean \N{PLUS-MINUS SIGN} SE over outer folds; cases below"
    if texts:
        parts.append(draw.text(WIDTH / 2, base + 20, words, "middle", "tick", WIDTH))
    else:
        parts += _scale(left, base + 24)
    title = f"Confusion matrix of {count} classes: mean and SE over outer folds"
    header = ("true", "predicted", "mean_share", "se_share", "cases")
    rows = tuple(
        (true, predicted, shares[i][j], defined(matrix.se[i, j]), defined(matrix.counts[i, j]))
        for i, true in enumerate(matrix.classes)
        for j, predicted in enumerate(matrix.classes)
    )
    svg = draw.frame(parts, base + (28 if texts else 46), title)
    return Figure("confusion", svg, title, Table(header, rows))


def _names(
    classes: Sequence[str], left: float, top: float, cell: tuple[float, float], how: tuple[float, bool]
) -> list[str]:
    """Names of rows and columns, as many as have room."""
    (side, high), (size, upright) = cell, how
    if not size:
        return []
    style = "label" if size == LABEL else "small"
    every = max(1, math.ceil((size + 1) / min(side, high)))
    parts = []
    for i, name in list(enumerate(classes))[::every]:
        y, x = top + high * (i + 0.5), left + side * (i + 0.5)
        parts.append(draw.text(left - 6, y + size / 3, name, "end", style, left - 24))
        if upright:
            parts.append(draw.upright(x + size / 3, top - 6, name, 84, "start", style))
        else:
            parts.append(draw.text(x, top - 6, name, "middle", style, side - 6))
    return parts


def _cells(
    matrix: MeanConfusion,
    shares: list[list[float | None]],
    left: float,
    top: float,
    cell: tuple[float, float],
) -> list[str]:
    """Cells with text; those of the diagonal have a border, as shades alone do not tell right from wrong."""
    side, high = cell
    style = "label" if side >= 52 else "small"
    parts = []
    for i, row in enumerate(shares):
        for j, share in enumerate(row):
            x, y = left + side * j, top + high * i
            kind = "cell right" if i == j else "cell"
            shade = f'fill-opacity="{DARKEST * min(max(share or 0.0, 0.0), 1.0):.2f}"'
            parts.append(draw.rect(x + 1, y + 1, side - 2, high - 2, kind, shade))
            se, count = defined(matrix.se[i, j]), defined(matrix.counts[i, j])
            words = [MISSING if share is None else _percent(share, side >= 52)]
            words.append(
                "" if se is None or share is None else f"\N{PLUS-MINUS SIGN}{_percent(se, side >= 34)}"
            )
            words.append("" if count is None else f"{count:,.0f}" if side >= 52 else _short(count))
            styles = (style, "small", "small")
            heights = (high / 2 - 8, high / 2 + 4, high / 2 + 16)
            parts += [
                draw.text(x + side / 2, y + rise, word, "middle", kind, side - 1)
                for word, kind, rise in zip(words, styles, heights, strict=True)
                if word
            ]
    return parts


def _percent(share: float, decimal: bool) -> str:
    text = f"{100 * share:.1f}" if decimal else f"{100 * share:.0f}"
    return text.removesuffix(".0") if share in (0, 1) else text


def _short(count: float) -> str:
    return f"{count:.0f}" if count < 1e4 else f"{count / 1e3:.0f}k" if count < 1e6 else f"{count / 1e6:.0f}M"


def _shades(shares: list[list[float | None]], left: float, top: float, side: float) -> list[str]:
    """Cells in ten shades, one path a shade: a matrix of a hundred classes has ten thousand cells.

    A shade begins where the one before ends; shares below half a percent have none.
    """
    levels: dict[int, str] = {}
    size = draw.short_number(side)
    for i, row in enumerate(shares):
        for j, share in enumerate(row):
            if share is not None and share >= 0.005:
                level = math.ceil(SHADES * min(share, 1.0) - 1e-9)
                corner = f"M{draw.short_number(left + side * j)} {draw.short_number(top + side * i)}"
                levels[level] = levels.get(level, "") + f"{corner}h{size}v{size}h-{size}z"
    parts = [
        f'<path class="cell" fill-opacity="{level / SHADES:g}" d="{steps}">'
        f"{draw.told(f'up to {level * 100 // SHADES} %')}</path>"
        for level, steps in sorted(levels.items())
    ]
    whole = side * len(shares)
    return [*parts, draw.rect(left, top, whole, whole, "outline")]


def _scale(left: float, y: float) -> list[str]:
    """What the shades mean."""
    parts = [draw.text(left, y + 9, "share of the true class:  0", style="note")]
    start = left + draw.text_width("share of the true class:  0", NOTE) + 8
    for level in range(1, SHADES + 1):
        shade = f'fill-opacity="{level / SHADES:g}"'
        parts.append(draw.rect(start + 10 * (level - 1), y, 10, 10, "cell", shade))
    parts.append(draw.rect(start, y, 10 * SHADES, 10, "outline"))
    return [*parts, draw.text(start + 10 * SHADES + 6, y + 9, number(100) + " %", style="note")]
