"""Predicted against true values of a regression, and how both agree (Bland and Altman, 1986)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nachos_jax.report.figures.drawing import Axes, Figure, Sheet, Table, scale, sheet, widest
from nachos_jax.report.figures.scales import compact, signed, spread
from nachos_jax.report.figures.style import COLOURS, FOOT, LINES, NOTE, RIGHT, TOP, WIDTH

MOST = 3000
"""Points in a figure; of more cases a sample is drawn, the same every time."""
NAMED = 5
"""Outer folds up to which a legend names them."""
LAYERS = 8
LEFT, SIDE, NOTED = 70.0, 300.0, 18.0
"""Left of the axes, height of the panel, and height of the note below."""
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
    with sheet(TOP + 26 + SIDE + FOOT + NOTED) as page:
        axes = page.axes(LEFT, TOP + 26, WIDTH - LEFT - RIGHT, SIDE)
        for axis in (axes.xaxis, axes.yaxis):
            scale(axis, [float(f(part)) for f in (np.min, np.max) for part in (truth, predicted)])
        # An axis of fewer steps has wider limits.
        ends = (*axes.get_xlim(), *axes.get_ylim())
        axes.set(xlim=(min(ends), max(ends)), ylim=(min(ends), max(ends)))
        told = _cases(page, axes, truth, predicted, folds)
        page.line(axes, axes.get_xlim(), axes.get_xlim(), "reference")
        page.below(axes, f"true {what}")
        page.beside(f"predicted {what}", TOP + 26, TOP + 26 + SIDE)
        title = f"Predicted against true {name} of {len(truth)} cases, out of fold"
        words = f"Each point is a case; on the dashed diagonal the predicted {name} is the true one. {told}"
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
        reach = SPREAD * float(difference.std(ddof=1))
        levels |= {"upper limit": levels["bias"] + reach, "lower limit": levels["bias"] - reach}
    top, ends = TOP + 26, [float(f(difference)) for f in (np.min, np.max)]
    ordered = sorted(levels.items(), key=lambda item: -item[1])
    texts = [f"{kind} {compact(level)}" for kind, level in ordered]
    margin = widest(texts, 60, WIDTH / 2, NOTE) + 8
    with sheet(top + SIDE + FOOT + NOTED) as page:
        axes = page.axes(LEFT, top, WIDTH - LEFT - margin, SIDE)
        scale(axes.xaxis, [float(middle.min()), float(middle.max())], steps=4)
        scale(axes.yaxis, [0.0, *ends, *levels.values()])
        told = _cases(page, axes, middle, difference, folds)
        page.line(axes, axes.get_xlim(), [0, 0], "reference")
        for kind, level in levels.items():
            page.line(axes, axes.get_xlim(), [level, level], "mean" if kind == "bias" else "limit")
        places = spread([page.y(axes, level) for _, level in ordered], 14.0, top + SIDE)
        for text, place in zip(texts, places, strict=True):
            page.text(WIDTH - margin + 6, place + 4, text, "note")
        what = f" ({unit})" if unit else ""
        page.below(axes, f"mean of true and predicted {name}{what}")
        page.beside(f"predicted {signed('-')} true {name}{what}", top, top + SIDE)
        title = f"Agreement of predicted and true {name} of {len(truth)} cases (Bland and Altman)"
        words = "; ".join(f"{kind} {compact(level)}{what}" for kind, level in levels.items())
        cells = zip(folds.tolist(), middle.tolist(), difference.tolist(), strict=True)
        rows = [("case", *row) for row in cells] + [(kind, None, None, v) for kind, v in levels.items()]
        table = Table(("kind", "outer_fold", "mean", "difference"), tuple(rows))
        return page.finished("bland_altman", title, f"Each point is a case; {words}. {told}", table)


def _known(truth: np.ndarray, predicted: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, ...]:
    """The cases of which both values are numbers."""
    known = np.isfinite(truth) & np.isfinite(predicted)
    return truth[known].astype(np.float64), predicted[known].astype(np.float64), folds[known]


def _cases(page: Sheet, axes: Axes, x: np.ndarray, y: np.ndarray, folds: np.ndarray) -> str:
    """Draws a point a case, those of an outer fold in its colour; says so when only some are drawn."""
    drawn = np.arange(len(x))
    if len(x) > MOST:
        drawn = np.sort(np.random.default_rng(0).choice(len(x), MOST, replace=False))
    names = np.unique(folds).tolist()
    # In layers, so that the last fold does not cover the others.
    for layer in np.array_split(drawn, LAYERS):
        for i, fold in enumerate(names):
            mine = layer[folds[layer] == fold]
            page.line(axes, x[mine], y[mine], "case", f"outer fold {fold}", **_look(i))
    if len(names) <= NAMED:
        items = [("case", f"fold {fold}", {**_look(i), "alpha": 1.0}) for i, fold in enumerate(names)]
        page.legend(TOP, *items, left=LEFT)
    told = f"{len(drawn):,} of {len(x):,} cases are drawn, a random sample." if len(x) > MOST else ""
    page.text(WIDTH / 2, TOP + 26 + SIDE + FOOT + 10, told, "note", anchor="center")
    return told


def _look(place: int) -> dict[str, Any]:
    marker = "os^Dv"[place // LINES % 5]
    return {"markerfacecolor": COLOURS[f"c{place % LINES}"], "marker": marker}
