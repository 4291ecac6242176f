"""What the search tried: all trials of all studies in parallel coordinates.

The axes lie below each other instead of beside each other, so that long names and many hyperparameters
have room on a phone too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import Axis, axis, defined, log_axis
from nachos_jax.report.figures.drawing import NOTE, TOP, WIDTH, Figure, Table
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
    last = SearchAxis(score, "linear")
    columns = [[trial.values.get(a.name) for trial in trials] for a in axes]
    columns.append([trial.score for trial in trials])
    items = [("trace", "trial" if every == 1 else f"trial (one in {every})"), ("picked", "selected trial")]
    parts, below = draw.legend(items, OFF, TOP + 6, WIDTH)
    places: list[dict[int, float]] = []
    rows = []
    for i, (one, values) in enumerate(zip([*axes, last], columns, strict=True)):
        y = below + 44 + PITCH * i
        rows.append(y)
        marks, found = _axis(one, values, y, "failed" if one is last else "off")
        parts += marks
        places.append(found)
    where = {id(trial): i for i, trial in enumerate(trials)}
    lines = []
    for trial in shown:
        i = where[id(trial)]
        points = [(place[i], y) for place, y in zip(places, rows, strict=True)]
        place = "" if trial.outer_fold is None else f"outer fold {trial.outer_fold}, "
        told = f"{place}trial {trial.trial}: {number(defined(trial.score))}"
        lines.append(draw.path([points], "picked" if trial.selected else "trace", told))
        lines += [draw.circle(*point, 3, "selected") for point in points if trial.selected]
    title = f"Hyperparameters and scores of {len(trials)} trials in parallel coordinates"
    names = [a.name for a in axes]
    header = ("outer_fold", "trial", *names, "score", "selected")
    table = tuple(
        (t.outer_fold, t.trial, *(_cell(t.values.get(n)) for n in names), defined(t.score), int(t.selected))
        for t in trials
    )
    svg = draw.frame([*lines, *parts], rows[-1] + 26, title)
    return Figure("parallel", svg, title, Table(header, table))


def _axis(
    one: SearchAxis, values: Sequence[Value], y: float, absent: str
) -> tuple[list[str], dict[int, float]]:
    """Line, name and ticks of an axis at height y, and the place of every trial on it."""
    name = draw.text(START, y - 10, one.name, style="head over", room=END - START)
    parts = [draw.line(START, y, END, y, "scale"), name]
    if one.kind == "choice":
        found, ticks = _choices(one, values)
    else:
        found, ticks = _numbers(one, values)
    room = min((b - a for (a, _), (b, _) in zip(ticks, ticks[1:], strict=False)), default=END - START)
    for place, words in ticks:
        short = draw.shorten(draw.plain(words), room - 6, NOTE)
        parts.append(draw.line(place, y - 3, place, y + 3, "scale"))
        middle = draw.inward(place, short, NOTE)
        parts.append(draw.text(middle, y + 17, words, "middle", "tick over", room - 6))
    missing = [i for i in range(len(values)) if i not in found]
    if missing:
        parts.append(draw.circle(OFF, y, 3, "hollow"))
        parts.append(draw.text(0, y + 17, absent, style="tick over", room=START - 18))
        found.update(dict.fromkeys(missing, OFF))
    return parts, found


def _choices(one: SearchAxis, values: Sequence[Value]) -> tuple[dict[int, float], list[tuple[float, str]]]:
    choices = [*one.choices, *dict.fromkeys(v for v in values if v is not None and v not in one.choices)]
    gap = (END - START) / max(1, len(choices))
    middles = {choice: START + gap * (i + 0.5) for i, choice in enumerate(choices)}
    fan = min(gap * 0.4, 26.0)
    # The golden ratio spreads any number of trials evenly, and the same way every time.
    found = {i: middles[v] + ((i * 0.618034) % 1 - 0.5) * fan for i, v in enumerate(values) if v is not None}
    return found, [(place, number(choice)) for choice, place in middles.items()]


def _numbers(one: SearchAxis, values: Sequence[Value]) -> tuple[dict[int, float], list[tuple[float, str]]]:
    numeric = {i: v for i, value in enumerate(values) if (v := _float(value)) is not None}
    if not numeric:
        return {}, []
    low, high = min(numeric.values()), max(numeric.values())
    if one.kind == "log" and low > 0:
        x = log_axis(low, high, START, END)
    else:
        x = axis([*numeric.values()], START, END)
    return {i: x.at(v) for i, v in numeric.items()}, _ticks(x)


def _ticks(x: Axis) -> list[tuple[float, str]]:
    """Ticks with their labels, as many as have room."""
    wide = 12 + max(draw.text_width(x.text(tick), NOTE) for tick in x.ticks)
    kept: list[tuple[float, str]] = []
    for tick in x.ticks:
        if not kept or x.at(tick) - kept[-1][0] >= wide:
            kept.append((x.at(tick), x.text(tick)))
    return kept


def _float(value: Value) -> float | None:
    return None if value is None or isinstance(value, str) else defined(value)


def _cell(value: Value) -> draw.Cell:
    if isinstance(value, float):
        return defined(value)
    return str(value) if isinstance(value, bool) else value
