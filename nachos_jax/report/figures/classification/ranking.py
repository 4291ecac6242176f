"""ROC and precision-recall curves: of every outer fold, and their mean with its band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.report.figures.drawing import Axes, Cell, Figure, Sheet, Table, scale, sheet
from nachos_jax.report.figures.scales import defined
from nachos_jax.report.figures.style import TOP, WIDTH

PANELS = 24
"""Classes with a panel of their own; the table holds all."""
LEFT, GAP = 46.0, 26.0
"""Left of panels, and between them: tick labels of neighbours must not touch."""


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
    items = [("thin", "outer folds"), ("strong", "mean")]
    items += [("band", "band")] if any(c.low is not None for c in shown) else []
    level = diagonal or any(defined(c.prevalence) is not None for c in shown)
    items += [("reference", "chance" if diagonal else "share of the class")] if level else []
    wide = (WIDTH - LEFT - 12 + GAP) / columns
    side = wide - GAP if columns > 1 else 290.0
    heads = 15 * max(bool(c.label) + bool(c.note) for c in shown)
    first, pitch = TOP + 24 + heads, side + heads + 32
    base = first + pitch * (math.ceil(len(shown) / columns) - 1) + side
    with sheet(base + 44) as page:
        page.legend(TOP, *items, left=LEFT)
        for i, curve in enumerate(shown):
            panel = page.axes(LEFT + wide * (i % columns), first + pitch * (i // columns), wide - GAP, side)
            for axis in (panel.xaxis, panel.yaxis):
                scale(axis, [0.0, 1.0], steps=5 if columns == 1 else 2)
            panel.tick_params(labelleft=i % columns == 0)
            _panel(page, panel, curve, diagonal)
        more = len(classes) - len(shown)
        words = axes[0] + (f" ({more} further classes are in the table)" if more else "")
        page.text((LEFT + WIDTH) / 2, base + 36, words, anchor="center")
        page.beside(axes[1], first, base)
        title += f" of {len(classes)} classes" if len(classes) > 1 else ""
        told = "; ".join(f"{c.label or 'one curve'}: {c.note}" for c in shown if c.note)
        words = f"{axes[1]} over {axes[0]}, both from 0 to 1. {told}".strip()
        return page.finished(name, title, words, _table(classes, axes))


def _panel(page: Sheet, axes: Axes, curve: RankingCurve, diagonal: bool) -> None:
    level = defined(curve.prevalence)
    if diagonal or level is not None:
        page.line(axes, [0, 1], [0, 1] if diagonal else [level, level], "reference")
    if curve.low is not None and curve.high is not None:
        x, low, high = _inside(curve.grid, curve.low, curve.high)
        page.band(axes, x, low, high)
    for i, line in enumerate(curve.folds):
        x, y = _inside(*line)
        page.line(axes, x, y, "thin", f"outer fold {i}")
    x, y = _inside(curve.grid, curve.mean)
    page.line(axes, x, y, "strong", "mean over outer folds")
    heads = [("head", curve.label)] if curve.label else []
    heads += [("small" if axes.bbox.width < 150 else "note", curve.note)] if curve.note else []
    for row, (kind, words) in enumerate(reversed(heads)):
        left, top = axes.bbox.x0, page.height - axes.bbox.y1
        page.text(left, top - 6 - 15 * row, words, kind, room=axes.bbox.width + GAP / 2)


def _inside(*columns: np.ndarray) -> list[np.ndarray]:
    """The columns [P] held within the panel, without rows that are not numbers."""
    known = np.all([np.isfinite(column) for column in columns], axis=0)
    return [np.clip(column[known], 0.0, 1.0) for column in columns]


def _table(classes: Sequence[RankingCurve], axes: tuple[str, str]) -> Table:
    rows: list[tuple[Cell, ...]] = []
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
