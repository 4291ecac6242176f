"""Figures of predicted classes: ROC and precision-recall, calibration, net benefit, confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nachos_jax.metrics import curves
from nachos_jax.metrics.calibration import Reliability
from nachos_jax.metrics.decisions import NetBenefit
from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import (
    Axes,
    Figure,
    finished,
    fit,
    grid,
    legend,
    plain,
    said,
    sheet,
    width,
)
from nachos_jax.report.figures.numbers import known
from nachos_jax.report.words.format import MISSING

PANELS, READABLE, NAMED = 24, 12, 25
"""Classes with a curve of their own, with text in the cells of the confusion matrix, and with names there."""
SHADES, ROOM = 20, 110.0
"""Of cells, and for names of classes."""
UNITS = {"k": 1e3, "M": 1e6}
"""Of counts that a cell has no room for."""
SHARE = (-0.02, 1.02)
"""Limits of an axis of shares: lines along its ends are seen whole."""


class Ranked(NamedTuple):
    """Curves of a class against the rest, of one kind, by the number of each outer fold that defines one.

    The note is the area under the curve as text; the share of the class is chance in precision-recall.
    """

    label: str
    lines: Mapping[int, curves.Curve]
    note: str = ""
    prevalence: float | None = None


def ranking(classes: Sequence[Ranked]) -> Figure | None:
    """ROC or precision-recall curves, a panel for each class, with what guessing gives; None of no class."""
    if not classes:
        return None
    shown, more = classes[:PANELS], len(classes[PANELS:])
    roc = next(iter(classes[0].lines.values())).kind == "roc"
    x, y = ("1 \N{MINUS SIGN} specificity", "sensitivity") if roc else ("recall", "precision")
    with grid("roc" if roc else "precision_recall", len(shown)) as (canvas, panels):
        for axes, one in zip(panels, shown, strict=True):
            _panel(axes, one, roc)
        panels[0].set(xlim=SHARE, ylim=SHARE, xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        legend(canvas)
        canvas.supxlabel(x + (f" ({more} further classes are in the table)" if more else ""))
        canvas.supylabel(y)
        title = f"{'ROC' if roc else 'Precision-recall'} curves of {len(classes)} classes: {y} over {x}"
        header = ("class", "curve", x.replace("\N{MINUS SIGN}", "-"), y, "low", "high")
        return finished(canvas, title, header, [row for one in classes for row in _rows(one)])


def _panel(axes: Axes, one: Ranked, roc: bool) -> None:
    band, level = curves.band([*one.lines.values()]), one.prevalence
    for fold, line in one.lines.items():
        axes.plot(line.x, line.y, gid=said(f"outer fold {fold}"), **style.THIN)
    if len(one.lines) > 2:
        axes.fill_between(band.grid, band.low, band.high, **style.BAND)
    axes.plot(band.grid, band.mean, label="mean", **style.STRONG)
    if roc or level is not None:
        ends, label = ([0, 1], "chance") if roc else ([level, level], "share of the class")
        axes.plot([0, 1], ends, label=label, **style.REFERENCE)
    axes.set_box_aspect(1)
    axes.set_title("\n".join(filter(None, (fit(one.label, axes.bbox.width, style.NOTE, lines=2), one.note))))


def _rows(one: Ranked) -> list[tuple]:
    """One class in the table: points of every fold, mean and band, prevalence."""
    band, rows = curves.band([*one.lines.values()]), []
    for fold, line in one.lines.items():
        name = f"outer fold {fold}"
        points = zip(line.x.tolist(), line.y.tolist(), strict=True)
        rows += [(one.label, name, x, y, None, None) for x, y in points]
    for x, y, *ends in zip(*(e.tolist() for e in (band.grid, band.mean, band.low, band.high)), strict=True):
        rows.append((one.label, "mean", x, y, *(ends if len(one.lines) > 2 else (None, None))))
    return [*rows, (one.label, "prevalence", None, one.prevalence, None, None)]


def calibration(curve: Reliability, predicted: np.ndarray, label: str, note: str) -> Figure | None:
    """Observed against predicted shares of an event, above the histogram of the predictions [N]."""
    if not len(curve.predicted):
        return None
    low, high = (np.broadcast_to(np.array(e, float), curve.predicted.shape) for e in (curve.low, curve.high))
    heights, edges = np.histogram(predicted, 20, (0.0, 1.0))
    with sheet("calibration", 450, 2, sharex=True, height_ratios=(4, 1)) as (canvas, ((axes,), (below,))):
        axes.plot([0, 1], [0, 1], label="perfect calibration", **style.REFERENCE)
        axes.fill_between(curve.predicted, low, high, **style.BAND)
        axes.vlines(curve.predicted, low, high, color=style.BEST, lw=1, alpha=0.4)
        axes.plot(curve.predicted, curve.observed, label="observed", **style.STRONG)
        axes.plot(curve.predicted, curve.observed, **style.SELECTED)
        axes.set(xlim=SHARE, ylim=SHARE, ylabel="observed share")
        axes.set_title(fit(f"{label}: {note}", 320, style.NOTE, lines=2), color=style.SOFT)
        below.bar(edges[:-1], heights, np.diff(edges), align="edge", **style.BAR)
        below.set(ylabel="predictions", xlabel="predicted probability")
        below.locator_params(axis="y", nbins=3)
        canvas.align_ylabels()
        legend(canvas)
        title = f"Calibration: observed shares against predicted probabilities of {label}; {note}"
        columns = (curve.predicted, curve.observed, low, high, curve.count.astype(float))
        cells = [("curve", *row, None, None) for row in zip(*columns, strict=True)]
        bins = zip(heights.astype(float), edges, edges[1:], strict=False)
        cells += [("histogram", None, None, None, None, *row) for row in bins]
        header = ("kind", "predicted", "observed", "low", "high", "cases", "bin_low", "bin_high")
        return finished(canvas, title, header, cells)


def decision(thresholds: np.ndarray, found: NetBenefit, label: str) -> Figure | None:
    """Net benefit of acting on the model, on all cases and on none; None when the model has none at all.

    Treating all goes to minus infinity as the threshold goes to 1, so losses greater than a third of the
    highest benefit are cut off below. `label` is the class that is predicted.
    """
    model, everyone, low, high = found.model, found.treat_all, found.low, found.high
    if not known(model):
        return None
    benefits = known([0.0, *model, *low, *high, *everyone])
    with sheet("decision", 320) as (canvas, ((axes,),)):
        axes.axhline(0, label="treat none", **style.NOBODY)
        axes.plot(thresholds, everyone, label="treat all", **style.REFERENCE)
        axes.fill_between(thresholds, low, high, **style.BAND)
        axes.plot(thresholds, model, label="model", **style.STRONG)
        axes.set(xlim=SHARE, xlabel="threshold probability", ylabel="net benefit")
        axes.set_ylim(1.05 * max(min(benefits), -max(max(benefits) / 3, 0.02)), 1.05 * max(benefits) + 1e-9)
        axes.set_title(fit(label, 320))
        legend(canvas)
        title = f"Decision curve: net benefit over threshold probabilities of {label}"
        columns = (thresholds, model, low, high, everyone, np.zeros(len(model)))
        header = ("threshold", "model", "low", "high", "treat_all", "treat_none")
        return finished(canvas, title, header, zip(*columns, strict=True))


def confusion(classes: Sequence[str], mean: np.ndarray, se: np.ndarray, counts: np.ndarray) -> Figure | None:
    """Shaded cells with the mean share in percent, its SE and the count; past READABLE classes shades only.

    Args:
        classes: C names. Rows are true, columns are predicted classes.
        mean: [C, C] mean over outer folds of the share of the row, in [0, 1]; NaN for a class without cases.
        se: [C, C] standard error of it over outer folds; NaN with fewer than two folds.
        counts: [C, C] cases, summed over outer folds.
    """
    if not np.isfinite(mean).any():
        return None
    count, texts, places = len(classes), len(classes) <= READABLE, list(np.ndindex(mean.shape))
    with sheet("confusion", 1) as (canvas, ((axes,),)):
        size = style.LABEL if count <= 6 else style.SMALL
        longest = max(width(plain(name), size) for name in classes)
        side = (style.WIDTH - 50 - min(ROOM, longest)) / count
        high, lines = (min(max(side, 42.0), 62.0), 2) if texts else (side, 1)
        named, look = classes if count <= NAMED else (), {"fontsize": size, "color": style.INK}
        columns = [fit(name, side - 4, size, lines) for name in named]
        if upright := "\N{HORIZONTAL ELLIPSIS}" in "".join(columns):
            columns = [fit(name, ROOM, size, lines) for name in named]
        canvas.set_figheight((high * count + 75 + (min(ROOM, longest) if upright else 15 * lines)) / 72)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), ylabel="true class")
        axes.yaxis.labelpad = 8
        axes.set_title("predicted class", fontsize=style.LABEL, loc="center", pad=10)
        axes.tick_params(labeltop=True, labelbottom=False)
        axes.grid(visible=False)
        axes.patch.set(edgecolor=style.GRID, linewidth=1)
        axes.set_xticks(range(len(named)), columns, rotation=90 if upright else 0, **look)
        axes.set_yticks(range(len(named)), [fit(name, ROOM, size, lines) for name in named], **look)
        levels = np.round(SHADES * np.clip(np.nan_to_num(mean), 0, 1))
        for level in range(1, SHADES + 1):
            dark = level / SHADES * (0.5 if texts else 1)
            _squares(axes, np.argwhere(levels == level), alpha=dark, **style.SHADE)
        said = "share of the true class, from 0 % (no colour) to 100 % (darkest)"
        title = f"Confusion matrix of {count} classes: mean and SE over outer folds"
        if texts:
            said = "% of the true class: mean \N{PLUS-MINUS SIGN} SE over outer folds; cases below"
            _squares(axes, np.argwhere(np.eye(count)), **style.RIGHT)
            numbers = zip(mean.ravel().tolist(), se.ravel().tolist(), counts.ravel().tolist(), strict=True)
            words = [_words(*three, side) for three in numbers]
            if short := [end for end in UNITS if any(one.endswith(end) for one in words)]:
                said += f"\n{' and '.join(f'{end} = {UNITS[end]:,.0f}' for end in short)} cases"
                canvas.set_figheight(canvas.get_figheight() + 16 / 72)
                title += f"; {counts.sum():,.0f} cases, those of each cell in full in the table"
            size = min(style.SMALL, *(_size(line, side) for line in {*"\n".join(words).split("\n")}))
            for (i, j), one in zip(places, words, strict=True):
                look = {"fontsize": size, "color": style.INK if counts[i, j] else style.SOFT}
                axes.text(j, i, one, ha="center", va="center", linespacing=1.15, **look)
        canvas.supxlabel(said, fontsize=style.NOTE, color=style.SOFT)
        cells = [(classes[i], classes[j], mean[i, j], se[i, j], counts[i, j]) for i, j in places]
        return finished(canvas, title, ("true", "predicted", "mean_share", "se_share", "cases"), cells)


def _squares(axes: Axes, places: np.ndarray, **look: Any) -> None:
    """Cells [n, 2] as one path: a matrix of a hundred classes has ten thousand of them."""
    if len(places):
        x = places[:, 1, None] + [-0.5, 0.5, 0.5, -0.5, -0.5, np.nan]
        y = places[:, 0, None] + [-0.5, -0.5, 0.5, 0.5, -0.5, np.nan]
        axes.fill(x.ravel(), y.ravel(), **look)


def _words(share: float, error: float, number: float, side: float) -> str:
    """Share, its SE and the count below each other; only 0 where no case is."""
    if not np.isfinite(share) or not number:
        return "0" if np.isfinite(share) else MISSING
    below = f"\N{PLUS-MINUS SIGN}{100 * error:.{int(side >= 32)}f}\n" if np.isfinite(error) else ""
    return f"{100 * share:.{int(side >= 52)}f}\n{below}{_count(number, side)}"


def _count(number: float, side: float) -> str:
    """A count as long as a cell has room for it, else in one of UNITS."""
    full = f"{number:,.0f}"
    if number < 1e4 or _size(full, side) >= style.SMALL:
        return full
    return f"{number / 1e3:.0f}k" if number < 999_500 else f"{number / 1e6:.{int(number < 9.95e6)}f}M"


def _size(line: str, side: float) -> float:
    """The size of letters at which a line leaves a unit free on both sides of a cell."""
    return (side - 2) / width(line, 1.0)
