"""Predicted against true values of a regression, and how both agree (Bland and Altman, 1986)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nachos_jax.report.figures.drawing import Axes, Figure, Sheet, Table, scale, sheet
from nachos_jax.report.figures.scales import compact, signed, spread
from nachos_jax.report.figures.style import COLOURS, FOOT, LINES, RIGHT, TOP, WIDTH

MOST = 3000
"""Points in a figure; of more cases a sample is drawn, the same every time."""
NAMED = 5
"""Outer folds up to which a legend names them."""
LEFT, SIDE, LABELS = 62.0, 300.0, 96.0
"""Left of the axes, height of the panel, and width of the labels right of it."""
SPREAD = 1.96
"""Standard deviations from the bias to each limit of agreement: 95 % of a normal distribution."""


def scatter(
    truth: np.ndarray, predicted: np.ndarray, folds: np.ndarray, name: str, unit: str = ""
) -> Figure | None:
    """Predicted against true values out of fold; on the diagonal both are the same.

    Args:
        truth: [N] true values.
        predicted: [N] what the model of the outer fold that left the case out predicted.
        folds: [N] that outer fold, whole numbers; each has a colour.
        name: name of the target, such as "age".
        unit: its unit, or "".

    Returns:
        The figure, or None when no case has two numbers.
    """
    truth, predicted, folds = _known(truth, predicted, folds)
    if not len(truth):
        return None
    what = f"{name} ({unit})" if unit else name
    with sheet(TOP + 26 + SIDE + FOOT) as page:
        axes = page.axes(LEFT, TOP + 26, WIDTH - LEFT - RIGHT, SIDE)
        for axis in (axes.xaxis, axes.yaxis):
            scale(axis, [float(f(part)) for f in (np.min, np.max) for part in (truth, predicted)])
        # Few steps on one axis would make its limits wider than those of the other.
        axes.set_ylim(axes.get_xlim())
        axes.set_yticks(axes.get_xticks(), [label.get_text() for label in axes.get_xticklabels()])
        told = _cases(page, axes, truth, predicted, folds)
        page.line(axes, axes.get_xlim(), axes.get_xlim(), "reference")
        page.below(axes, f"true {what}{told}")
        page.beside(f"predicted {what}", TOP + 26, TOP + 26 + SIDE)
        title = f"Predicted against true {name} of {len(truth)} cases, out of fold"
        words = f"Each point is a case; on the dashed diagonal the predicted {name} is the true one{told}."
        rows = tuple(zip(folds.tolist(), truth.tolist(), predicted.tolist(), strict=True))
        return page.finished("scatter", title, words, Table(("outer_fold", "true", "predicted"), rows))


def bland_altman(
    truth: np.ndarray, predicted: np.ndarray, folds: np.ndarray, name: str, unit: str = ""
) -> Figure | None:
    """Difference of predicted and true values against their mean, with bias and 95 % limits of agreement.

    Bland and Altman (1986): the bias is the mean difference; between the limits, 1.96 standard deviations
    to both sides of it, lie about 95 % of the differences if these are normal and do not grow with the
    mean. Cases of one subject count as if they were of several.

    Args:
        truth: [N] true values.
        predicted: [N] what the model of the outer fold that left the case out predicted.
        folds: [N] that outer fold, whole numbers; each has a colour.
        name: name of the target.
        unit: its unit, or "".

    Returns:
        The figure, or None when no case has two numbers; with one case it has no limits.
    """
    truth, predicted, folds = _known(truth, predicted, folds)
    if not len(truth):
        return None
    middle, difference = (truth + predicted) / 2, predicted - truth
    levels = {"bias": float(difference.mean())}
    if len(truth) > 1:
        margin = SPREAD * float(difference.std(ddof=1))
        levels |= {"upper limit": levels["bias"] + margin, "lower limit": levels["bias"] - margin}
    top, ends = TOP + 26, [float(f(difference)) for f in (np.min, np.max)]
    with sheet(top + SIDE + FOOT) as page:
        axes = page.axes(LEFT, top, WIDTH - LEFT - LABELS, SIDE)
        scale(axes.xaxis, [float(middle.min()), float(middle.max())], steps=4)
        scale(axes.yaxis, [0.0, *ends, *levels.values()])
        told = _cases(page, axes, middle, difference, folds)
        page.line(axes, axes.get_xlim(), [0, 0], "reference")
        for kind, level in levels.items():
            page.line(axes, axes.get_xlim(), [level, level], "mean" if kind == "bias" else "limit")
        ordered = sorted(levels.items(), key=lambda item: -item[1])
        places = spread([page.y(axes, level) for _, level in ordered], 14.0, top + SIDE)
        for (kind, level), place in zip(ordered, places, strict=True):
            page.text(WIDTH - LABELS + 6, place + 4, f"{kind} {compact(level)}", "note")
        what = f" ({unit})" if unit else ""
        page.below(axes, f"mean of true and predicted {name}{what}{told}")
        page.beside(f"predicted {signed('-')} true {name}{what}", top, top + SIDE)
        title = f"Agreement of predicted and true {name} of {len(truth)} cases (Bland and Altman)"
        words = "; ".join(f"{kind} {compact(level)}{what}" for kind, level in levels.items())
        cells = zip(folds.tolist(), middle.tolist(), difference.tolist(), strict=True)
        rows = [("case", *row) for row in cells] + [(kind, None, None, v) for kind, v in levels.items()]
        table = Table(("kind", "outer_fold", "mean", "difference"), tuple(rows))
        return page.finished("bland_altman", title, f"Each point is a case; {words}.", table)


def _known(truth: np.ndarray, predicted: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, ...]:
    """The cases of which both values are numbers."""
    known = np.isfinite(truth) & np.isfinite(predicted)
    return truth[known].astype(np.float64), predicted[known].astype(np.float64), folds[known]


def _cases(page: Sheet, axes: Axes, x: np.ndarray, y: np.ndarray, folds: np.ndarray) -> str:
    """Draws a point a case, those of an outer fold in its colour; says so when only some are drawn."""
    drawn = np.arange(len(x))
    if len(x) > MOST:
        drawn = np.sort(np.random.default_rng(0).choice(len(x), MOST, replace=False))
    names, items = np.unique(folds).tolist(), []
    for i, fold in enumerate(names):
        mine, look = drawn[folds[drawn] == fold], _look(i)
        page.line(axes, x[mine], y[mine], "case", f"outer fold {fold}", **look)
        items.append(("case", f"fold {fold}", {**look, "alpha": 1.0}))
    if len(names) <= NAMED:
        page.legend(TOP, *items, left=LEFT)
    return f"; {MOST:,} of {len(x):,} cases drawn" if len(x) > MOST else ""


def _look(place: int) -> dict[str, Any]:
    marker = "os^Dv"[place // LINES % 5]
    return {"markerfacecolor": COLOURS[f"c{place % LINES}"], "marker": marker}
