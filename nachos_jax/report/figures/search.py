"""What the search tried: all trials of all studies in parallel coordinates.

The axes lie below each other instead of beside each other, so that long names and many hyperparameters
have room on a phone too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nachos_jax.report.figures.drawing import Axes, Cell, Figure, Sheet, Table, scale, sheet, width
from nachos_jax.report.figures.scales import compact, defined, log_ticks
from nachos_jax.report.figures.style import NOTE, TOP, WIDTH
from nachos_jax.report.words.format import number

Value = bool | int | float | str | None
PITCH = 56.0
"""Distance between axes."""
OFF, START, END = 14.0, 64.0, WIDTH - 14
"""Where inactive hyperparameters and failed trials stand, and where axes begin and end."""
MOST = 2000
"""Lines in a figure; of more trials that were not selected only some are drawn."""


@dataclass(frozen=True)
class SearchAxis:
    """A searched hyperparameter.

    Attributes:
        name: its name.
        kind: "linear", "log" or "choice".
        choices: the values of a choice, in their order; () for numbers.
    """

    name: str
    kind: str
    choices: tuple[Value, ...] = ()


@dataclass(frozen=True)
class TrialLine:
    """A trial of a study.

    Attributes:
        outer_fold: the outer fold of its study; None for the one search of the flat protocol.
        trial: its number.
        values: value of each hyperparameter by name; None or absent where it is inactive.
        score: mean score over inner folds; None when the trial failed.
        selected: whether its study selected it.
    """

    outer_fold: int | None
    trial: int
    values: Mapping[str, Value]
    score: float | None
    selected: bool = False


def parallel(axes: Sequence[SearchAxis], trials: Sequence[TrialLine], score: str) -> Figure | None:
    """Parallel coordinates of all trials, from the hyperparameters at the top to the score at the bottom.

    Lines of a choice fan out a little around it, for else they would hide each other.

    Args:
        axes: the hyperparameters that were searched, from top to bottom.
        trials: the trials of all studies.
        score: name of the score.

    Returns:
        The figure, or None when there is nothing that was searched, or no trial.
    """
    if not axes or not trials:
        return None
    others = [trial for trial in trials if not trial.selected]
    every = max(1, math.ceil(len(others) / MOST))
    shown = others[::every] + [trial for trial in trials if trial.selected]
    columns = [(one, [trial.values.get(one.name) for trial in trials]) for one in axes]
    columns.append((SearchAxis(score, "linear"), [trial.score for trial in trials]))
    rows = [TOP + 56 + PITCH * i for i in range(len(columns))]
    with sheet(rows[-1] + 26) as page:
        sample = "trial" if every == 1 else f"trial (one in {every})"
        page.legend(TOP, ("trace", sample), ("picked", "selected trial"))
        places = [
            _axis(page, one, values, y, "off" if one in axes else "failed")
            for (one, values), y in zip(columns, rows, strict=True)
        ]
        where = {id(trial): i for i, trial in enumerate(trials)}
        for trial in shown:
            x = [place[where[id(trial)]] for place in places]
            fold = "" if trial.outer_fold is None else f"outer fold {trial.outer_fold}, "
            told = f"{fold}trial {trial.trial}: {number(defined(trial.score))}"
            page.line(None, x, rows, "picked" if trial.selected else "trace", told)
            if trial.selected:
                page.line(None, x, rows, "selected", markersize=6)
        title = f"Hyperparameters and scores of {len(trials)} trials in parallel coordinates"
        words = f"A line for every trial through its {', '.join(one.name for one, _ in columns)}."
        return page.finished("parallel", title, words, _table([one.name for one in axes], trials))


def _table(names: Sequence[str], trials: Sequence[TrialLine]) -> Table:
    rows = tuple(
        (t.outer_fold, t.trial, *(_cell(t.values.get(n)) for n in names), defined(t.score), int(t.selected))
        for t in trials
    )
    return Table(("outer_fold", "trial", *names, "score", "selected"), rows)


def _axis(page: Sheet, one: SearchAxis, values: Sequence[Value], y: float, absent: str) -> dict[int, float]:
    """Draws an axis at height y; returns the place of every trial on it."""
    axes = page.rows(START, y - 1, END - START, 2, grid="")
    page.text(START, y - 10, one.name, "head", room=END - START, over=True)
    page.line(None, [START, END], [y, y], "axis")
    if one.kind == "choice":
        found, ticks = _choices(one, values)
    else:
        found, ticks = _numbers(page, axes, one, values)
    axes.xaxis.set_visible(False)
    room = min((b - a for (a, _), (b, _) in zip(ticks, ticks[1:], strict=False)), default=END - START)
    for place, words in ticks:
        page.line(None, [place, place], [y - 3, y + 3], "axis")
        page.text(place, y + 17, words, "note", anchor="center", room=room - 4, over=True)
    missing = [i for i in range(len(values)) if i not in found]
    if missing:
        page.line(None, [OFF], [y], "hollow")
        page.text(0, y + 17, absent, "note", over=True)
    return {**dict.fromkeys(missing, OFF), **found}


Places = tuple[dict[int, float], list[tuple[float, str]]]
"""Place of each trial on an axis, and places and texts of its ticks."""


def _choices(one: SearchAxis, values: Sequence[Value]) -> Places:
    choices = [*one.choices, *dict.fromkeys(v for v in values if v is not None and v not in one.choices)]
    gap = (END - START) / max(1, len(choices))
    middles = {choice: START + gap * (i + 0.5) for i, choice in enumerate(choices)}
    fan = min(gap * 0.4, 26.0)
    # The golden ratio spreads any number of trials evenly, and the same way every time.
    found = {i: middles[v] + ((i * 0.618034) % 1 - 0.5) * fan for i, v in enumerate(values) if v is not None}
    return found, [(place, number(choice)) for choice, place in middles.items()]


def _numbers(page: Sheet, axes: Axes, one: SearchAxis, values: Sequence[Value]) -> Places:
    numeric = {i: v for i, value in enumerate(values) if (v := _float(value)) is not None}
    if not numeric:
        return {}, []
    low, high = min(numeric.values()), max(numeric.values())
    if one.kind == "log" and low > 0:
        low, high = (low, high) if high > low * (1 + 1e-9) else (low / 2, high * 2)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        marks = [(tick, compact(tick)) for tick in log_ticks(low, high)]
    else:
        scale(axes.xaxis, list(numeric.values()))
        marks = [(tick.get_loc(), tick.label1.get_text()) for tick in axes.xaxis.get_major_ticks()]
    ticks: list[tuple[float, str]] = []
    for place, words in ((page.x(axes, value), words) for value, words in marks):
        if not ticks or place - ticks[-1][0] >= 12 + max(width(text, NOTE) for _, text in marks):
            ticks.append((place, words))
    return {i: page.x(axes, value) for i, value in numeric.items()}, ticks


def _float(value: Value) -> float | None:
    return None if value is None or isinstance(value, str) else defined(value)


def _cell(value: Value) -> Cell:
    if isinstance(value, float):
        return defined(value)
    return str(value) if isinstance(value, bool) else value
