"""Learning curves: of the refits in one panel, and of all fits in a panel for every outer fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nachos_jax.report.figures.drawing import Axes, Figure, Sheet, Table, epochs, scale, sheet, widest
from nachos_jax.report.figures.scales import defined, known, spread
from nachos_jax.report.figures.style import COLOURS, FOOT, LINES, NOTE, RIGHT, TOP, WIDTH
from nachos_jax.report.words.format import number

LABELLED = 12
"""Lines with a label at their end; more would not be told apart."""
LEFT, GAP = 66.0, 24.0
"""Left of panels, and between them: tick labels of neighbours must not touch."""
POINTS = 13_500
"""Points in a figure of all fits: six to nine bytes each."""
WEIGHT = 3
"""Curves of a selected trial keep so many times the points of others."""
LEAST, MOST = 6, 80
"""Points a curve keeps, however many or few curves there are."""


@dataclass(frozen=True)
class FitCurve:
    """The losses of one fit.

    Attributes:
        outer_fold: the outer fold that it left out; None in the one search of the flat protocol.
        trial: the trial whose hyperparameters it had.
        inner_fold: the inner fold that it left out as well.
        losses: loss of epoch 1, 2, ...; None where it was no number.
    """

    outer_fold: int | None
    trial: int
    inner_fold: int | None
    losses: Sequence[float | None]


def curves(
    lines: Mapping[str, Sequence[float | None]], title: str, name: str = "training_loss"
) -> Figure | None:
    """Training loss over epochs, one line a name, labelled at its end.

    Args:
        lines: loss of epoch 1, 2, ... by name; None where it was no number.
        title: what the figure shows, for those who hear it.
        name: stem of the figure's files.

    Returns:
        The figure, or None when there is no number to draw.
    """
    if not known(value for line in lines.values() for value in line):
        return None
    labelled = len(lines) <= LABELLED
    margin = widest(list(lines), 20, 90, NOTE) + 12 if labelled else RIGHT
    with sheet(TOP + 230 + FOOT) as page:
        axes = page.axes(LEFT, TOP, WIDTH - LEFT - margin, 230, grid="y")
        scale(axes.yaxis, [0.0, *known(value for line in lines.values() for value in line)])
        epochs(axes.xaxis, max(map(len, lines.values())))
        ends = []
        for index, (label, line) in enumerate(lines.items()):
            x, y = _defined(line)
            if not len(x):
                continue
            look = {"color": COLOURS[f"c{index % LINES}"]}
            dashed = {"linestyle": (0, (5, 3))} if index // LINES % 2 else {}
            alone = {"marker": "o", "markersize": 6} if len(x) == 1 else {}
            page.line(axes, x, y, "curve", label, **look, **dashed, **alone)
            ends.append((page.y(axes, y[-1]), page.x(axes, x[-1]), label, look))
        if labelled:
            _end_labels(page, ends, WIDTH - margin + 8)
        page.below(axes, "epoch")
        page.beside("training loss", TOP, TOP + 230)
        rows = tuple((label, i + 1, defined(v)) for label, line in lines.items() for i, v in enumerate(line))
        words = f"Training loss over epochs, a line each for {', '.join(lines)}."
        return page.finished(name, title, words, Table(("name", "epoch", "loss"), rows))


def learning(
    fits: Sequence[FitCurve],
    selected: Mapping[int | None, int],
    chosen: Mapping[int | None, float | None],
    label: str = "validation loss",
) -> Figure | None:
    """Learning curves of all fits of the search: a panel for every outer fold, all on the same scale.

    Curves of the selected trial are thick, those of other trials thin; a vertical line marks the chosen
    epoch n*. All points of all fits would be tens of megabytes, so POINTS points are shared out: each
    curve keeps between LEAST and MOST of its points, WEIGHT times as many if its trial was selected, those
    that keep its shape (`thin`). When even LEAST are too many, only every second, third, ... curve
    of the other trials is drawn, which the figure then says. The fits of one trial are one path. For 10
    outer folds of 16 trials with 9 fits that is less than 150 kB. Losses far above the usual ones are drawn
    at the upper edge, which the figure says as well. The table holds all numbers.

    Args:
        fits: all fits, those of the selected trials too.
        selected: the selected trial of each outer fold whose study is finished.
        chosen: n*, the chosen number of epochs, by outer fold.
        label: name of the losses.

    Returns:
        The figure, or None when no fit has a loss.
    """
    values = known(value for fit in fits for value in fit.losses)
    if not values:
        return None
    shown, points, every = _shared_out(fits, selected)
    folds = sorted({fit.outer_fold for fit in fits}, key=lambda fold: -1 if fold is None else fold)
    columns = 1 if len(folds) == 1 else 2 if len(folds) <= 10 else 3
    wide, high = (WIDTH - LEFT - RIGHT + GAP) / columns, {1: 210.0, 2: 128.0, 3: 104.0}[columns]
    first, last = TOP + 44, max(len(fit.losses) for fit in fits)
    base = first + (high + 44) * math.ceil(len(folds) / columns)
    with sheet(base + 8) as page:
        items = (("faint", "other trials"), ("taken", "selected trial"), ("chosen", "chosen epoch n*"))
        page.legend(TOP, *items, left=LEFT)
        highest = 0.0
        for i, fold in enumerate(folds):
            left, top = LEFT + wide * (i % columns), first + (high + 44) * (i // columns)
            axes = page.axes(left, top, wide - GAP * (columns > 1), high)
            scale(axes.yaxis, [min(0.0, *values), _usual(values)], steps=3)
            axes.tick_params(labelleft=i % columns == 0)
            epochs(axes.xaxis, last, 6 // columns)
            highest = axes.get_ylim()[1]
            _panel(page, axes, [fit for fit in shown if fit.outer_fold == fold], selected.get(fold), points)
            _chosen(page, axes, fold, selected.get(fold), defined(chosen.get(fold)))
        notes = ["epoch", f"one in {every} fits of the other trials" if every > 1 else ""]
        edge = f"losses above {number(highest)} drawn at the upper edge"
        notes.append(edge if highest < max(values) else "")
        page.text(WIDTH / 2, base, "; ".join(filter(None, notes)), anchor="center")
        page.beside(label, first, base - 44)
        title = f"{label} of {len(fits)} fits over epochs, by outer fold, with the chosen epoch"
        words = f"{label} over epochs in {len(folds)} panels; lines of selected trials are thick."
        return page.finished("learning", title, words, _table(fits, selected, chosen))


def _table(
    fits: Sequence[FitCurve], selected: Mapping[int | None, int], chosen: Mapping[int | None, float | None]
) -> Table:
    rows = tuple(
        (
            fit.outer_fold,
            fit.trial,
            fit.inner_fold,
            epoch,
            defined(loss),
            int(selected.get(fit.outer_fold) == fit.trial),
            defined(chosen.get(fit.outer_fold)),
        )
        for fit in fits
        for epoch, loss in enumerate(fit.losses, 1)
    )
    return Table(("outer_fold", "trial", "inner_fold", "epoch", "loss", "selected", "chosen_epoch"), rows)


def _shared_out(
    fits: Sequence[FitCurve], selected: Mapping[int | None, int]
) -> tuple[list[FitCurve], int, int]:
    """The fits to draw, the points that a curve keeps, and n where one in n fits of other trials is drawn."""
    thick = [fit for fit in fits if selected.get(fit.outer_fold) == fit.trial]
    others = [fit for fit in fits if selected.get(fit.outer_fold) != fit.trial]
    every = max(1, math.ceil(len(others) * LEAST / POINTS))
    shown = thick + others[::every]
    points = POINTS // (len(shown) + (WEIGHT - 1) * len(thick))
    return shown, min(max(points, LEAST), MOST), every


def _usual(values: Sequence[float]) -> float:
    """The highest loss that the axis must hold: 1.5 times the 95th percentile, or the highest if lower."""
    ordered = sorted(values)
    usual = ordered[len(ordered) * 95 // 100]
    return min(ordered[-1], usual + 0.5 * abs(usual))


def _panel(page: Sheet, axes: Axes, fits: Sequence[FitCurve], selected: int | None, points: int) -> None:
    """Curves of one outer fold: a path for every trial, the selected one last and so on top."""
    trials: dict[int, list[FitCurve]] = {}
    for fit in fits:
        trials.setdefault(fit.trial, []).append(fit)
    low, high = axes.get_ylim()
    for trial in sorted(trials, key=lambda trial: (trial == selected, trial)):
        kept = points * (WEIGHT if trial == selected else 1)
        lines = [thin(*_defined(fit.losses), kept) for fit in trials[trial]]
        # Values that are not numbers part the lines of a path.
        x = np.concatenate([part for xs, _ in lines for part in (xs, [np.nan])])
        y = np.concatenate([part for _, ys in lines for part in (np.clip(ys, low, high), [np.nan])])
        told = f"trial {trial}{', selected' if trial == selected else ''}"
        page.line(axes, x, y, "taken" if trial == selected else "faint", told)


def _chosen(page: Sheet, axes: Axes, fold: int | None, trial: int | None, epoch: float | None) -> None:
    words = ("search" if fold is None else f"fold {fold}") + ("" if trial is None else f": trial {trial}")
    words += "" if epoch is None else f", n* {number(int(epoch) if epoch == int(epoch) else epoch)}"
    box = axes.bbox
    page.text(box.x0, page.height - box.y1 - 6, words, "note", room=box.width + GAP / 2)
    if epoch is not None:
        low, high = axes.get_xlim()
        place = min(max(epoch, low), high)
        page.line(axes, [place, place], axes.get_ylim(), "chosen")


def _defined(losses: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [P] and losses [P] of a curve where the loss is a number."""
    rows = [(epoch, v) for epoch, value in enumerate(losses, 1) if (v := defined(value)) is not None]
    return np.array([epoch for epoch, _ in rows], float), np.array([v for _, v in rows], float)


def thin(x: np.ndarray, y: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `limit` (3 or more) of the points of a line: those that keep its shape.

    Largest triangle three buckets (Steinarsson, 2013): first and last stay; of each bucket between, the
    point that spans the largest triangle with the point kept before and the mean of the next bucket.

    Args:
        x: [P] ascending.
        y: [P].
        limit: how many points to keep.
    """
    if len(x) <= limit:
        return x, y
    edges = 1 + np.arange(limit - 1) * (len(x) - 2) // (limit - 2)
    kept = [0]
    for low, high, after in zip(edges, edges[1:], [*edges[2:], len(x)], strict=False):
        mx, my = x[high : max(after, high + 1)].mean(), y[high : max(after, high + 1)].mean()
        ax, ay = x[kept[-1]], y[kept[-1]]
        areas = abs((ax - mx) * (y[low:high] - ay) - (ax - x[low:high]) * (my - ay))
        kept.append(int(low + areas.argmax()))
    kept.append(len(x) - 1)
    return x[kept], y[kept]


def _end_labels(page: Sheet, ends: Sequence[tuple[float, float, str, dict]], x: float) -> None:
    """Names beside the ends of lines, moved apart vertically where they would touch."""
    ordered = sorted(ends, key=lambda end: end[:3])
    places = spread([y for y, *_ in ordered], 14.0, TOP + 230)
    for (y, end, name, look), place in zip(ordered, places, strict=True):
        page.line(None, [end + 1, x - 2], [y, place], "leader", **look)
        page.text(x, place + 4, name, "note", room=WIDTH - x, **look)
