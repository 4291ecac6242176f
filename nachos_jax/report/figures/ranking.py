"""ROC and precision-recall curves: of every outer fold, and their mean with its band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import Axis, defined, horizontal_grid, share_axis, vertical_grid
from nachos_jax.report.figures.drawing import TOP, WIDTH, Figure, Table

PANELS = 24
"""Classes with a panel of their own; the table holds all."""
GAP = 26.0
"""Between panels: tick labels of neighbours must not touch."""
POINTS = 12_000
"""Points of the lines of all outer folds together."""


@dataclass(frozen=True)
class RankingCurve:
    """The curves of one class against the rest, in shares from 0 to 1.

    For ROC x is the false positive rate and y the true positive rate (sensitivity); for
    precision-recall x is recall and y precision.

    Attributes:
        label: the class; "" when there is only one curve to show.
        folds: x [P] and y [P] of each outer fold, of any length each.
        grid: x [G] of mean and band.
        mean: y [G], mean over outer folds.
        low: y [G], lower edge of the band; None for no band.
        high: y [G], upper edge of the band; None for no band.
        note: area under the curve with its interval, as text.
        prevalence: share of the class, drawn as the line of chance in precision-recall.
    """

    label: str
    folds: Sequence[tuple[np.ndarray, np.ndarray]]
    grid: np.ndarray
    mean: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    note: str = ""
    prevalence: float | None = None


def roc(classes: Sequence[RankingCurve]) -> Figure | None:
    """ROC curves, a panel for each class; the diagonal is what guessing gives.

    Args:
        classes: one for a binary task, else one a class against the rest.

    Returns:
        The figure, or None when there is no curve.
    """
    axes = ("1 \N{MINUS SIGN} specificity", "sensitivity")
    return _figure("roc", "ROC curves", classes, axes, diagonal=True)


def precision_recall(classes: Sequence[RankingCurve]) -> Figure | None:
    """Precision-recall curves, a panel for each class; the level line is the share of the class.

    Args:
        classes: one for a binary task, else one a class against the rest.

    Returns:
        The figure, or None when there is no curve.
    """
    axes = ("recall", "precision")
    return _figure("precision_recall", "Precision-recall curves", classes, axes, diagonal=False)


def _figure(
    name: str, title: str, classes: Sequence[RankingCurve], axes: tuple[str, str], diagonal: bool
) -> Figure | None:
    classes = [c for c in classes if len(c.grid) or any(len(x) for x, _ in c.folds)]
    if not classes:
        return None
    shown = classes[:PANELS]
    columns = 1 if len(shown) == 1 else 2 if len(shown) <= 4 else 3
    lines = max(1, sum(len(c.folds) for c in shown))
    points = min(max(POINTS // lines, 8), 150)
    chance = "chance" if diagonal else "share of the class"
    items = [("thin", "outer folds"), ("strong", "mean")]
    items += [("band c0", "band")] if any(c.low is not None for c in shown) else []
    level = diagonal or any(defined(c.prevalence) is not None for c in shown)
    items += [("reference", chance)] if level else []
    parts, below = draw.legend(items, 46, TOP + 6, WIDTH)
    wide = (WIDTH - 46 - 12 + GAP) / columns
    side = (wide - GAP) * (0.8 if columns == 1 else 1.0)
    heads = 15 * max(bool(c.label) + bool(c.note) for c in shown)
    pitch = side + heads + 30
    first = below + heads + 16
    for i, curve in enumerate(shown):
        left, top = 46 + wide * (i % columns), first + pitch * (i // columns)
        x, y = (
            share_axis(left, left + wide - GAP, 5 if columns == 1 else 2),
            share_axis(top + side, top, 5 if columns == 1 else 2),
        )
        parts += horizontal_grid(y, left, x.end, labels=i % columns == 0)
        parts += vertical_grid(x, top, top + side)
        parts += _panel(curve, x, y, diagonal, points)
    base = first + pitch * (math.ceil(len(shown) / columns) - 1) + side
    more = len(classes) - len(shown)
    words = axes[0] + (f" ({more} further classes are in the table)" if more else "")
    parts.append(draw.text((46 + WIDTH) / 2, base + 36, words, "middle", room=WIDTH - 46))
    parts.append(draw.upright(12, (first + base) / 2, axes[1], base - first))
    title += f" of {len(classes)} classes" if len(classes) > 1 else ""
    return Figure(name, draw.frame(parts, base + 42, title), title, _table(classes, axes))


def _panel(curve: RankingCurve, x: Axis, y: Axis, diagonal: bool, points: int) -> list[str]:
    parts = []
    level = defined(curve.prevalence)
    if diagonal:
        parts.append(draw.line(x.start, y.start, x.end, y.end, "reference"))
    elif level is not None:
        parts.append(draw.line(x.start, y.at(level), x.end, y.at(level), "reference"))
    if curve.low is not None and curve.high is not None:
        lower, upper = _places(curve.grid, curve.low, x, y), _places(curve.grid, curve.high, x, y)
        parts.append(draw.band(lower, upper, "c0"))
    for i, (xs, ys) in enumerate(curve.folds):
        line = draw.thin(_places(xs, ys, x, y), points)
        parts.append(draw.path([line], "thin", f"outer fold {i}"))
    mean = draw.thin(_places(curve.grid, curve.mean, x, y), 200)
    parts.append(draw.path([mean], "strong", "mean over outer folds"))
    heads = [("head", curve.label)] if curve.label else []
    heads += [("small" if x.end - x.start < 150 else "note", curve.note)] if curve.note else []
    for row, (style, words) in enumerate(reversed(heads)):
        parts.append(draw.text(x.start, y.end - 6 - 15 * row, words, style=style, room=x.end - x.start))
    return parts


def _places(xs: np.ndarray, ys: np.ndarray, x: Axis, y: Axis) -> list[draw.Point]:
    """Points of a line inside the panel, without those that are not numbers."""
    return [
        (x.at(min(max(float(a), 0.0), 1.0)), y.at(min(max(float(b), 0.0), 1.0)))
        for a, b in zip(xs, ys, strict=True)
        if defined(a) is not None and defined(b) is not None
    ]


def _table(classes: Sequence[RankingCurve], axes: tuple[str, str]) -> Table:
    rows: list[tuple[draw.Cell, ...]] = []
    for c in classes:
        for fold, (xs, ys) in enumerate(c.folds):
            rows += [
                (c.label, f"outer fold {fold}", defined(a), defined(b), None, None)
                for a, b in zip(xs, ys, strict=True)
            ]
        lows = [None] * len(c.grid) if c.low is None else [*map(defined, c.low)]
        highs = [None] * len(c.grid) if c.high is None else [*map(defined, c.high)]
        rows += [
            (c.label, "mean", defined(a), defined(b), low, high)
            for a, b, low, high in zip(c.grid, c.mean, lows, highs, strict=True)
        ]
        rows.append((c.label, "prevalence", None, defined(c.prevalence), None, None))
    x, y = axes[0].replace("\N{MINUS SIGN}", "-"), axes[1]
    return Table(("class", "curve", x, y, "low", "high"), tuple(rows))
