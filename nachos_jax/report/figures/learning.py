"""Learning curves: of the refits in one panel, and of all fits in a panel for every outer fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import Axis, axis, defined, epochs_axis, horizontal_grid, vertical_grid
from nachos_jax.report.figures.drawing import COLOURS, LEFT, RIGHT, TOP, WIDTH, Figure, Table
from nachos_jax.report.words.format import number

LABELLED = 12
"""Lines with a label at their end; more would not be told apart."""
GAP = 24.0
"""Between panels: tick labels of neighbours must not touch."""
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
    values = [v for line in lines.values() for value in line if (v := defined(value)) is not None]
    if not values:
        return None
    base, epochs = 240.0, max(map(len, lines.values()))
    labelled = len(lines) <= LABELLED
    y = axis([0.0, *values], base, TOP)
    x = epochs_axis(epochs, LEFT, WIDTH - RIGHT - (50 if labelled else 0))
    parts = [*horizontal_grid(y, LEFT, x.end)]
    parts += [draw.text(x.at(tick), base + 18, x.text(tick), "middle", "tick") for tick in x.ticks]
    ends: list[tuple[float, float, str, str]] = []
    for index, (label, line) in enumerate(lines.items()):
        colour = f"c{index % COLOURS}"
        points = _points(line, x, y)
        if len(points) == 1:
            parts.append(draw.circle(*points[0], 3, f"dot {colour}", label))
        elif points:
            dashed = " d1" if index // COLOURS % 2 else ""
            parts.append(draw.path([draw.thin(points, 400)], f"curve {colour}{dashed}", label))
        if points:
            ends.append((points[-1][1], points[-1][0], label, colour))
    if labelled:
        parts += _end_labels(ends, x.end + 8, base)
    parts.append(draw.text((LEFT + x.end) / 2, base + 38, "epoch", "middle"))
    parts.append(draw.upright(14, base / 2, "training loss", base))
    rows = tuple((label, i + 1, defined(v)) for label, line in lines.items() for i, v in enumerate(line))
    table = Table(("name", "epoch", "loss"), rows)
    return Figure(name, draw.frame(parts, base + 44, title), title, table)


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
    that keep its shape (`drawing.thin`). When even LEAST are too many, only every second, third, ... curve
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
    values = [v for fit in fits for value in fit.losses if (v := defined(value)) is not None]
    if not values:
        return None
    scale = axis([min(0.0, *values), _usual(values)], 1.0, 0.0, 3)
    shown, points, every = _shared_out(fits, selected)
    folds = sorted({fit.outer_fold for fit in fits}, key=lambda fold: -1 if fold is None else fold)
    columns = 1 if len(folds) == 1 else 2 if len(folds) <= 10 else 3
    key, below = draw.legend(
        [("faint", "other trials"), ("taken", "selected trial"), ("chosen", "chosen epoch n*")],
        LEFT - 8,
        TOP + 6,
        WIDTH,
    )
    wide = (WIDTH - 46 - 8 + GAP) / columns
    high = 210.0 if columns == 1 else 128.0 if columns == 2 else 104.0
    epochs = max(len(fit.losses) for fit in fits)
    parts = [*key]
    for i, fold in enumerate(folds):
        left, top = 46 + wide * (i % columns), below + 34 + (high + 42) * (i // columns)
        x = epochs_axis(epochs, left, left + wide - GAP, 6 // columns)
        y = replace(scale, start=top + high, end=top)
        parts += horizontal_grid(y, left, x.end, labels=i % columns == 0)
        parts += vertical_grid(x, top, top + high)
        mine = [fit for fit in shown if fit.outer_fold == fold]
        parts += _panel(mine, selected.get(fold), x, y, points)
        parts += _chosen(fold, selected.get(fold), defined(chosen.get(fold)), x, top, top + high)
    base = below + 34 + (high + 42) * math.ceil(len(folds) / columns)
    notes = ["epoch", f"one in {every} fits of the other trials" if every > 1 else ""]
    notes.append(
        f"losses above {number(scale.high)} drawn at the upper edge" if scale.high < max(values) else ""
    )
    parts.append(draw.text(WIDTH / 2, base, "; ".join(filter(None, notes)), "middle", room=WIDTH))
    parts.append(draw.upright(12, (below + base) / 2, label, base - below - 40))
    title = f"{label} of {len(fits)} fits over epochs, by outer fold, with the chosen epoch"
    return Figure("learning", draw.frame(parts, base + 6, title), title, _table(fits, selected, chosen))


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


def _panel(fits: Sequence[FitCurve], selected: int | None, x: Axis, y: Axis, points: int) -> list[str]:
    """Curves of one outer fold: a path for every trial, the selected one last and so on top."""
    trials: dict[int, list[FitCurve]] = {}
    for fit in fits:
        trials.setdefault(fit.trial, []).append(fit)
    parts = []
    for trial in sorted(trials, key=lambda trial: (trial == selected, trial)):
        kept = points * (WEIGHT if trial == selected else 1)
        lines = [draw.thin(_points(fit.losses, x, y), kept) for fit in trials[trial]]
        told = f"trial {trial}{', selected' if trial == selected else ''}"
        parts.append(draw.path(lines, "taken" if trial == selected else "faint", told))
    return parts


def _chosen(
    fold: int | None, trial: int | None, epoch: float | None, x: Axis, top: float, base: float
) -> list[str]:
    words = ("search" if fold is None else f"fold {fold}") + ("" if trial is None else f": trial {trial}")
    words += "" if epoch is None else f", n* {number(int(epoch) if epoch == int(epoch) else epoch)}"
    parts = [draw.text(x.start, top - 6, words, style="note", room=x.end - x.start)]
    if epoch is not None:
        place = x.at(min(max(epoch, x.low), x.high))
        parts.append(draw.line(place, top, place, base, "chosen"))
    return parts


def _points(losses: Sequence[float | None], x: Axis, y: Axis) -> list[draw.Point]:
    known = ((i, defined(value)) for i, value in enumerate(losses, 1))
    return [(x.at(i), y.at(min(max(v, y.low), y.high))) for i, v in known if v is not None]


def _end_labels(ends: Sequence[tuple[float, float, str, str]], x: float, base: float) -> list[str]:
    """Names beside the ends of lines, moved apart vertically where they would touch."""
    ordered = sorted(ends)
    places = draw.spread([y for y, *_ in ordered], 13.0, base)
    parts = []
    for (y, end, name, colour), place in zip(ordered, places, strict=True):
        parts.append(draw.line(end + 1, y, x - 2, place, f"leader {colour}"))
        parts.append(draw.text(x, place + 4, name, "start", f"endlabel {colour}", WIDTH - x))
    return parts
