"""Learning curves: of the refits in one panel, and of all fits in a panel for every outer fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Axes, Figure, finished, fit, grid, legend, said, sheet
from nachos_jax.report.figures.numbers import compact, defined, known

LABELLED = 12
"""Lines with a name; more would not be told apart."""
POINTS, LEAST, MOST, WEIGHT = 12_000, 6, 80, 3
"""Points in a figure of all fits; fewest and most that a curve keeps; times as many for selected trials."""


class Fit(NamedTuple):
    """Losses of epoch 1, 2, ... of a fit, the folds that it left out, and what the study chose."""

    outer_fold: int | None
    trial: int
    inner_fold: int | None
    losses: Sequence[float | None]
    selected: bool = False
    chosen_epoch: float | None = None


def curves(lines: Mapping[str, Sequence[float | None]], title: str) -> Figure | None:
    """Training loss of epoch 1, 2, ... by name of the line; None when no line has two epochs."""
    drawn = {name: losses for name, losses in lines.items() if known(losses)}
    if max(map(len, drawn.values()), default=0) < 2:  # what is solved in one epoch has no course
        return None
    with sheet("training_loss", 285) as (canvas, ((axes,),)):
        # The legend names the lines in the order in which they end.
        for i, name in sorted(enumerate(drawn), key=lambda item: -known(drawn[item[1]])[-1]):
            x, y = _points(drawn[name], len(drawn[name])).T
            look = {"ls": "--" if i // 8 % 2 else "-", "marker": "o" if len(x) == 2 else ""}
            axes.plot(x, y, color=f"C{i % 8}", lw=1.9, label=fit(name, 90, style.NOTE), **look)
        axes.update_datalim([(1, 0)])
        axes.autoscale_view()
        axes.set(xlabel="epoch", ylabel="training loss")
        _epochs(axes, max(map(len, drawn.values())))
        if len(drawn) <= LABELLED:
            legend(canvas, 1, "outside right upper")
        cells = [(name, epoch, v) for name, line in lines.items() for epoch, v in enumerate(line, 1)]
        return finished(canvas, title, ("name", "epoch", "loss"), cells)


def learning(fits: Sequence[Fit]) -> Figure | None:
    """Validation losses of all fits of the search: a panel for every outer fold, all on the same scale.

    As all points would be tens of megabytes, each curve keeps some of its epochs, and of very many fits only
    every second, third, ... of the other trials is drawn, which the figure says. Losses far above the usual
    ones are cut off, which it says as well. The table holds all numbers. None when no fit has a loss, or
    none two epochs.
    """
    values = known(value for one in fits for value in one.losses)
    if not values or max(len(one.losses) for one in fits) < 2:
        return None
    taken, others = ([one for one in fits if one.selected == own] for own in (True, False))
    every = max(1, math.ceil(len(others) * LEAST / POINTS))
    kept = min(max(POINTS // (len(others[::every]) + WEIGHT * len(taken)), LEAST), MOST)
    folds = sorted({one.outer_fold for one in fits}, key=lambda fold: -1 if fold is None else fold)
    with grid("learning", len(folds)) as (canvas, panels):
        panel = dict(zip(folds, panels, strict=True))
        for ones, points, look in ((others[::every], kept, style.FAINT), (taken, kept * WEIGHT, style.TAKEN)):
            trials: dict[tuple, list[np.ndarray]] = {}
            for one in ones:
                trials.setdefault(one[:2], []).append(_points(one.losses, points))
            for (fold, trial), lines in trials.items():
                panel[fold].plot(*np.concatenate(lines).T, gid=said(f"trial {trial}"), **look)
        chosen = {one.outer_fold: one for one in taken}
        for fold, axes in panel.items():
            title, one = "search" if fold is None else f"fold {fold}", chosen.get(fold)
            title += f": trial {one.trial}" if one else ""
            if one and (epoch := defined(one.chosen_epoch)) is not None:
                title += f", n* {compact(epoch)}"
                axes.axvline(epoch, **style.CHOSEN)
            axes.set_title(fit(title, axes.bbox.width, style.NOTE, lines=2), color=style.SOFT)
        note = _cut(panels[0], values) + f"; one in {every} fits of the other trials" * (every > 1)
        _epochs(panels[0], max(len(one.losses) for one in fits))
        legend(canvas)
        canvas.supxlabel(f"epoch{note}")
        canvas.supylabel("validation loss")
        title = f"validation loss of {len(fits)} fits over epochs, by outer fold, with the chosen epoch"
        header = ("outer_fold", "trial", "inner_fold", "epoch", "loss", "selected", "chosen_epoch")
        rows = [
            (*one[:3], epoch, loss, int(one.selected), defined(one.chosen_epoch))
            for one in fits
            for epoch, loss in enumerate(one.losses, 1)
        ]
        return finished(canvas, title, header, rows)


def _cut(axes: Axes, values: Sequence[float]) -> str:
    """Ends the vertical axis above the usual losses, and says what that leaves out."""
    usual, lowest = float(np.quantile(values, 0.95, method="lower")), min(0.0, *values)
    highest = min(max(values), usual + 0.5 * abs(usual))
    spare = 0.04 * (highest - lowest) or 1.0
    axes.set_ylim(lowest - spare, highest + spare)
    axes.yaxis.set_major_formatter(lambda value, _: compact(value))
    return f"; losses above {compact(highest)} are cut off" if highest < max(values) else ""


def _points(losses: Sequence[float | None], most: int) -> np.ndarray:
    """Epochs and losses [P, 2] that are numbers, at most so many, evenly spread, with NaN at the end."""
    numbers = [(epoch, v) for epoch, value in enumerate(losses, 1) if (v := defined(value)) is not None]
    places = np.linspace(0, len(numbers) - 1, min(most, len(numbers))).round().astype(int)
    return np.array([*(numbers[place] for place in places), (np.nan, np.nan)])


def _epochs(axes: Axes, last: int) -> None:
    spare = 0.02 * max(1, last - 1)
    axes.set_xlim(1 - spare, max(2, last) + spare)
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=5)
