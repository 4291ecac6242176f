"""Confusion matrix as NACHOS draws it: mean and SE over outer folds in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Axes, Figure, finished, fit, sheet, width
from nachos_jax.report.words.format import MISSING

READABLE, NAMED = 12, 40
"""Classes up to which the cells hold text, and up to which rows and columns have names."""
SHADES = 20
ROOM = 110.0
"""For names of classes."""


def confusion(classes: Sequence[str], mean: np.ndarray, se: np.ndarray, counts: np.ndarray) -> Figure | None:
    """Shaded cells with the mean share in percent, its SE and the count; past READABLE classes shades only.

    Args:
        classes: C names. Rows are true, columns are predicted classes.
        mean: [C, C] mean over outer folds of the share of the row, in [0, 1]; NaN for a class without cases.
        se: [C, C] standard error of it over outer folds; NaN with fewer than two folds.
        counts: [C, C] cases, summed over outer folds.

    Returns:
        The figure, or None when there is no share.
    """
    if not np.isfinite(mean).any():
        return None
    count, texts = len(classes), len(classes) <= READABLE
    side = (style.WIDTH - 50 - min(ROOM, max(width(name) for name in classes))) / count
    high = min(max(side, 42.0), 62.0) if texts else side
    with sheet("confusion", high * count + (125 if count > 4 else 80)) as (canvas, ((axes,),)):
        axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), ylabel="true class")
        axes.set_title("predicted class", fontsize=style.LABEL, loc="center")
        axes.tick_params(labeltop=True, labelbottom=False)
        axes.grid(visible=False)
        axes.patch.set(edgecolor=style.GRID, linewidth=1)
        _names(axes, classes if count <= NAMED else (), side)
        levels = np.round(SHADES * np.clip(np.nan_to_num(mean), 0, 1))
        for level in range(1, SHADES + 1):
            shade = {
                "facecolor": style.ACCENT,
                "alpha": level / SHADES * (0.5 if texts else 1),
                "linewidth": 0,
            }
            _squares(axes, np.argwhere(levels == level), **shade)
        said = "share of the true class, from 0 % (no colour) to 100 % (darkest)"
        if texts:
            said = "% of the true class: mean \N{PLUS-MINUS SIGN} SE over outer folds; cases below"
            _squares(
                axes, np.argwhere(np.eye(count)), facecolor="none", edgecolor=style.ACCENT, linewidth=1.5
            )
            for i, j in np.ndindex(mean.shape):
                look = {"fontsize": style.SMALL, "color": style.INK if counts[i, j] else style.SOFT}
                words = _words(100 * mean[i, j], 100 * se[i, j], counts[i, j], side)
                axes.text(j, i, words, ha="center", va="center", linespacing=1.15, **look)
        canvas.supxlabel(said, fontsize=style.NOTE, color=style.SOFT)
        title = f"Confusion matrix of {count} classes: mean and SE over outer folds"
        cells = [
            (classes[i], classes[j], mean[i, j], se[i, j], counts[i, j]) for i, j in np.ndindex(mean.shape)
        ]
        return finished(canvas, title, ("true", "predicted", "mean_share", "se_share", "cases"), cells)


def _squares(axes: Axes, places: np.ndarray, **look: Any) -> None:
    """Cells [n, 2] as one path: a matrix of a hundred classes has ten thousand of them."""
    if len(places):
        x = places[:, 1, None] + [-0.5, 0.5, 0.5, -0.5, np.nan]
        y = places[:, 0, None] + [-0.5, -0.5, 0.5, 0.5, np.nan]
        axes.fill(x.ravel(), y.ravel(), **look)


def _names(axes: Axes, classes: Sequence[str], side: float) -> None:
    look = {"fontsize": style.LABEL if len(classes) <= 6 else style.SMALL, "color": style.INK}
    upright = max((width(name, look["fontsize"]) for name in classes), default=0) > side - 4
    texts = [fit(name, ROOM if upright else side, look["fontsize"]) for name in classes]
    axes.set_xticks(range(len(classes)), texts, rotation=90 if upright else 0, **look)
    axes.set_yticks(range(len(classes)), [fit(name, ROOM, look["fontsize"]) for name in classes], **look)


def _words(share: float, error: float, number: float, side: float) -> str:
    """Share, its SE and the count below each other; only 0 where no case is."""
    if not np.isfinite(share) or not number:
        return "0" if np.isfinite(share) else MISSING
    below = f"\N{PLUS-MINUS SIGN}{error:.{int(side >= 32)}f}\n" if np.isfinite(error) else ""
    count = f"{number:,.0f}" if number < 1e4 or side >= 52 else f"{number / 1e3:.0f}k"
    return f"{share:.{int(side >= 52)}f}\n{below}{count}"
