"""What the search tried and chose: scores of trials, parallel coordinates, agreement of the outer folds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Axes, Figure, finished, fit, legend, said, sheet
from nachos_jax.report.figures.numbers import compact, defined, known
from nachos_jax.report.figures.rows import above, beside, point, rows, stacked, under
from nachos_jax.report.words.format import number

Value = bool | int | float | str | None
OFF, INACTIVE = -0.32, "inactive"
"""Where inactive hyperparameters and failed trials stand beside axes from 0 to 1, and their row of dots."""
MOST, ROWS = 2000, 6
"""Most lines of trials that were not selected, and most rows of a number: of more, intervals share rows."""


class Trial(NamedTuple):
    """A trial of an outer fold's study (flat: None); what is inactive or failed has no value or no score."""

    outer_fold: int | None
    trial: int
    values: Mapping[str, Value]
    score: float | None
    selected: bool = False

    @property
    def study(self) -> str:
        """Name of its study for people."""
        return "search" if self.outer_fold is None else f"fold {self.outer_fold}"

    @property
    def told(self) -> str:
        """What it is, for those who point at it."""
        score = "failed" if defined(self.score) is None else number(self.score)
        return f"trial {self.trial}: {score}{', selected' if self.selected else ''}"


def strip(trials: Sequence[Trial], label: str) -> Figure | None:
    """A row of scores for every study, `label` along the axis; None when no trial has a score."""
    if not known(trial.score for trial in trials):
        return None
    names = list(dict.fromkeys(trial.study for trial in trials))
    with sheet("trials", 58 + 26 * len(names)) as (canvas, ((axes,),)):
        for trial in sorted(trials, key=lambda trial: trial.selected):
            look = style.SELECTED if trial.selected else style.TRIAL
            point(axes, names.index(trial.study), trial.score, look, trial.told)
        rows(axes, range(len(names)), names)
        canvas.supxlabel(fit(label, 340, lines=2))
        cells = [(trial.study, trial.score, int(trial.selected), trial.told) for trial in trials]
        header = ("row", "value", "selected", "text")
        return finished(canvas, "Scores of all trials of every study", header, cells)


def parallel(searched: Mapping[str, str], trials: Sequence[Trial], score: str) -> Figure | None:
    """Parallel coordinates of all trials, from the hyperparameters at the top to the score at the bottom.

    The axes lie below each other, so that long names have room on a phone too. `searched` is the kind by
    name of the hyperparameter: "linear", "log" or "choice". None when nothing was searched or no trial made.
    """
    if not searched or not trials:
        return None
    columns = [(kind, [trial.values.get(name) for trial in trials], "off") for name, kind in searched.items()]
    columns.append(("linear", [trial.score for trial in trials], "failed"))
    picked, others = ([i for i, one in enumerate(trials) if one.selected == own] for own in (True, False))
    every = max(1, math.ceil(len(others) / MOST))
    with sheet("parallel", 40 + 54 * len(columns)) as (canvas, ((axes,),)):
        places = np.stack([_axis(axes, y, *column) for y, column in enumerate(columns)], 1)
        sample = {**style.TRACE, "label": "trial" if every == 1 else f"trial (one in {every})"}
        for i in [*others[::every], *picked]:
            told, look = (
                said(f"{trials[i].study}, {trials[i].told}"),
                style.PICKED if trials[i].selected else sample,
            )
            axes.plot(places[i], range(len(columns)), gid=told, **look)
        rows(axes, range(len(columns)), [*searched, score], lines=3)
        axes.set_xlim(min(0.0, places.min()) - 0.12, 1.08)
        axes.xaxis.set_visible(False)
        axes.grid(visible=False)
        legend(canvas)
        title = f"Hyperparameters and scores of {len(trials)} trials in parallel coordinates"
        cells = [(*t[:2], *map(t.values.get, searched), t.score, int(t.selected)) for t in trials]
        return finished(canvas, title, ("outer_fold", "trial", *searched, "score", "selected"), cells)


def _axis(axes: Axes, y: int, kind: str, values: Sequence[Value], absent: str) -> np.ndarray:
    """Draws an axis from 0 to 1 at height y; returns the place [T] of every trial on it."""
    axes.plot([0, 1], [y, y], **style.AXIS)
    there, order = _there(values)
    ticks, raised, first, last = {}, {}, 0.0, 0.0
    if kind == "choice":
        ticks = {k: fit(_text(choice), 160 / len(order), style.NOTE) for k, choice in enumerate(order)}
        # Lines fan out around a choice, evenly by the golden ratio, for else they would hide each other.
        raised = {i: order.index(v) + ((i * 0.618034) % 1 - 0.5) * 0.12 for i, v in there.items()}
        first, last = -0.5, len(order) - 0.5
    elif there:
        up, down = (math.log, math.exp) if kind == "log" and order[0] > 0 else (float, float)
        raised, first, last = {i: up(v) for i, v in there.items()}, up(order[0]), up(order[-1])
        ticks = {x: compact(down(x)) for x in np.linspace(first, last, 3)}
    span, shift = (last - first, 0.0) if last > first else (1.0, 0.5)
    for x, text in ticks.items():
        axes.plot((x - first) / span + shift, y, **style.TICK)
        under(axes, (x - first) / span + shift, y, text)
    if len(there) < len(values):
        axes.plot(OFF, y, **style.HOLLOW)
        under(axes, OFF, y, absent)
    return np.array([(raised[i] - first) / span + shift if i in there else OFF for i in range(len(values))])


def _text(value: Value) -> str:
    return compact(value) if isinstance(value, float) else number(value)


def _there(values: Sequence[Value]) -> tuple[dict[int, Any], list[Any]]:
    """The values that are there, by place; and each once: numbers by size, then texts."""
    cleaned = [defined(value) if isinstance(value, float) else value for value in values]
    there = {i: value for i, value in enumerate(cleaned) if value is not None}
    return there, sorted(set(there.values()), key=lambda v: (1, 0, v) if isinstance(v, str) else (0, v, ""))


def agreement(searched: Mapping[str, str], trials: Sequence[Trial]) -> Figure | None:
    """Dot matrix of the selected trials: a column for every outer fold, a row for every value that one chose.

    The row of the most folds, if of two or more, has filled dots. Numbers with more than ROWS values are put
    into intervals of equal length, or of equal ratio on a log axis. None when nothing was chosen.
    """
    chosen = {trial.study: trial.values for trial in trials if trial.selected}
    if not searched or not chosen:
        return None
    votes = {name: _votes(kind, [v.get(name) for v in chosen.values()]) for name, kind in searched.items()}
    shown = [(name, label, who) for name, found in votes.items() for label, who in found.items()]
    places, heads = stacked([name for name, *_ in shown], 1.0)
    with sheet("agreement", 53 + 19 * places[-1]) as (canvas, ((axes,),)):
        for (name, label, who), y in zip(shown, places, strict=True):
            active = [len(folds) for value, folds in votes[name].items() if value != INACTIVE]
            best = label != INACTIVE and 1 < len(who) == max(active)
            axes.plot(who, [y] * len(who), **style.SELECTED if best else style.HOLLOW)
            beside(axes, y, f"{len(who)} of {sum(active)}" if label != INACTIVE else "")
        above(axes, heads)
        rows(axes, places, [label for _, label, _ in shown], room=170)
        every = math.ceil(len(chosen) / 12)
        folds = [name.removeprefix("fold ") for name in chosen]
        axes.set_xticks(range(0, len(folds), every), folds[::every])
        axes.set(xlim=(-0.6, len(chosen) - 0.4), xlabel="outer fold")
        axes.xaxis.set_label_position("top")
        axes.xaxis.tick_top()
        axes.grid(visible=False, axis="x")
        title = f"Hyperparameters that {len(chosen)} outer folds chose"
        cells = [(fold, name, values.get(name)) for name in votes for fold, values in chosen.items()]
        return finished(canvas, title, ("fold", "name", "value"), cells)


def _votes(kind: str, values: Sequence[Value]) -> dict[str, list[int]]:
    """The folds that chose each value of a hyperparameter."""
    there, order = _there(values)
    found: dict[str, list[int]] = {}
    for i, value in sorted(there.items(), key=lambda item: order.index(item[1])):
        found.setdefault(_text(value), []).append(i)
    if kind != "choice" and len(found) > ROWS:
        space = np.geomspace if kind == "log" and order[0] > 0 else np.linspace
        edges = space(order[0], order[-1], ROWS)
        inside = np.searchsorted(edges[1:-1], list(there.values()), side="right")
        found = {
            f"{compact(low)} to {compact(high)}": [i for i, k in zip(there, inside, strict=True) if k == part]
            for part, (low, high) in enumerate(zip(edges, edges[1:], strict=False))
        }
    absent = [i for i in range(len(values)) if i not in there]
    return {**found, INACTIVE: absent} if absent else found
