"""Predicted against true values of a regression, and how both agree (Bland and Altman, 1986)."""

from __future__ import annotations

import numpy as np

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Axes, Canvas, Figure, finished, fit, legend, sheet
from nachos_jax.report.figures.numbers import teller

MOST, NAMED = 3000, 5
"""Points in a figure (of more cases a sample is drawn), and outer folds that have a colour of their own."""
SPREAD = 1.96
"""Standard deviations from the bias to each limit of agreement."""


def scatter(truth: np.ndarray, predicted: np.ndarray, folds: np.ndarray, name: str) -> Figure | None:
    """Predicted against true values [N], coloured by outer fold [N]; None when no case has two numbers."""
    truth, predicted, folds = _known(truth, predicted, folds)
    if not len(truth):
        return None
    with sheet("scatter", 400) as (canvas, ((axes,),)):
        ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        axes.plot(ends, ends, **style.REFERENCE)
        axes.set(
            xlabel=fit(f"true {name}", _room(truth)), ylabel=fit(f"predicted {name}", 320), aspect="equal"
        )
        _cases(canvas, axes, truth, predicted, folds)
        title = f"Predicted against true {name} of {len(truth)} cases, out of fold"
        cells = zip(folds, truth, predicted, strict=True)
        return finished(canvas, title, ("outer_fold", "true", "predicted"), cells)


def bland_altman(truth: np.ndarray, predicted: np.ndarray, folds: np.ndarray, name: str) -> Figure | None:
    """Differences of predicted and true values [N] against their means, with bias and limits of agreement.

    Bland and Altman (1986): the bias is the mean difference; between the limits lie about 95 % of the
    differences if these are normal and do not grow with the mean. Cases of one subject count as if they were
    of several. With one case there are no limits.
    """
    truth, predicted, folds = _known(truth, predicted, folds)
    if not len(truth):
        return None
    middle, difference = (truth + predicted) / 2, predicted - truth
    levels = {"bias": float(difference.mean())}
    if len(truth) > 1:
        reach = SPREAD * float(difference.std(ddof=1))
        levels |= {"upper limit": levels["bias"] + reach, "lower limit": levels["bias"] - reach}
    told = teller(levels.values())
    with sheet("bland_altman", 400) as (canvas, ((axes,),)):
        axes.axhline(0, **style.REFERENCE)
        for kind, level in levels.items():
            axes.axhline(level, **style.MEAN if kind == "bias" else style.LIMIT)
        numbers = ", ".join(f"{kind} {told(level)}" for kind, level in levels.items())
        axes.set_title(fit(numbers, 310, style.NOTE, lines=2), color=style.SOFT)
        axes.set_xlabel(fit(f"mean of true and predicted {name}", _room(middle)))
        axes.set_ylabel(fit(f"predicted \N{MINUS SIGN} true {name}", 320))
        _cases(canvas, axes, middle, difference, folds)
        title = f"Agreement of predicted and true {name} of {len(truth)} cases (Bland and Altman): {numbers}"
        cells = [("case", *row) for row in zip(folds, middle, difference, strict=True)]
        cells += [(kind, None, None, level) for kind, level in levels.items()]
        return finished(canvas, title, ("kind", "outer_fold", "mean", "difference"), cells)


def _known(truth: np.ndarray, predicted: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, ...]:
    """The cases of which both values are numbers."""
    known = np.isfinite(truth) & np.isfinite(predicted)
    return truth[known].astype(np.float64), predicted[known].astype(np.float64), folds[known]


def _room(values: np.ndarray) -> float:
    """Width of the label of an axis, less where a power of ten stands beside it."""
    return 320 if 2e-2 <= np.abs(values).max() <= 2e7 else 240


def _cases(canvas: Canvas, axes: Axes, x: np.ndarray, y: np.ndarray, folds: np.ndarray) -> None:
    """Draws a point a case; says so when only some are drawn."""
    drawn, names = np.arange(len(x)), np.unique(folds)
    if len(x) > MOST:
        drawn = np.sort(np.random.default_rng(0).choice(len(x), MOST, replace=False))
        told = f"{MOST:,} of {len(x):,} cases are drawn, a random sample."
        canvas.supxlabel(told, fontsize=style.NOTE, color=style.SOFT)
    # In layers, so that the last fold does not cover the others.
    for layer in np.array_split(drawn, 8):
        for i, fold in enumerate(names):
            mine, many = layer[folds[layer] == fold], len(names) > NAMED
            look = {**style.CASE, "markerfacecolor": style.COLOURS["c0" if many else f"c{i}"]}
            axes.plot(x[mine], y[mine], label="case" if many else f"fold {fold}", **look)
    axes.locator_params(nbins=5)
    legend(canvas, NAMED)
