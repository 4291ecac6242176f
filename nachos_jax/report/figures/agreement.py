"""Agreement of the outer folds on hyperparameters: which fold chose which value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nachos_jax.report.figures.drawing import Figure, Sheet, Table, plain, sheet, widest
from nachos_jax.report.figures.scales import compact, defined
from nachos_jax.report.figures.search import SearchAxis, Value
from nachos_jax.report.figures.style import NOTE, TOP, WIDTH
from nachos_jax.report.words.format import number

ROW = 19.0
ROWS = 6
"""Values of a number with a row each; of more, intervals share the rows."""
INACTIVE = "inactive"


def agreement(axes: Sequence[SearchAxis], chosen: Mapping[str, Mapping[str, Value]]) -> Figure | None:
    """Dot matrix: a column for every outer fold, a row for every value that a fold chose.

    The row of the most folds, if of two or more, has large filled dots. Numbers with more than ROWS
    values are put into ROWS - 1 intervals of equal length, or of equal ratio on a log axis.

    Args:
        axes: the hyperparameters that were searched, from top to bottom.
        chosen: hyperparameters of the selected trial by name of the outer fold; None where inactive.

    Returns:
        The figure, or None when nothing was searched or chosen.
    """
    if not axes or not chosen:
        return None
    blocks = [(one, _rows(one, [values.get(one.name) for values in chosen.values()])) for one in axes]
    left = widest([label for _, rows in blocks for label, _ in rows], 62, 130, NOTE) + 20
    marks = [_mark(name) for name in chosen]
    wide = min((WIDTH - left - 64) / len(chosen), 34.0)
    every = max(1, math.ceil((6 + widest(marks, 0, 200, NOTE)) / wide))
    high = sum(ROW * len(rows) + ROW + 10 for _, rows in blocks)
    with sheet(TOP + 14 + high) as page:
        page.text(left - 12, TOP + 8, "outer fold", "note", anchor="right", room=left - 12)
        for i, mark in list(enumerate(marks))[::every]:
            place = left + wide * (i + 0.5)
            page.text(place, TOP + 8, mark, "note", anchor="center", room=wide * every - 2)
        y = TOP + 14
        for one, rows in blocks:
            page.text(0, y + 15, one.name, "head")
            _block(page, rows, (left, y + ROW + 4), wide, len(chosen))
            y += ROW * len(rows) + ROW + 10
        title = f"Hyperparameters that {len(chosen)} outer folds chose"
        table = tuple(
            (fold, one.name, str(v) if isinstance(v, bool) else v)
            for one in axes
            for fold, values in chosen.items()
            for v in (_clean(values.get(one.name)),)
        )
        names = ", ".join(one.name for one in axes)
        words = f"A column for every outer fold; a row for every value of {names}."
        return page.finished("agreement", title, words, Table(("fold", "name", "value"), table))


def _mark(name: str) -> str:
    """Name of a column: "fold 3" becomes "3"."""
    return plain(name).removeprefix("outer ").removeprefix("fold ")


def _block(
    page: Sheet, rows: Sequence[tuple[str, list[int]]], corner: tuple[float, float], wide: float, folds: int
) -> None:
    """The rows of one hyperparameter, from their upper left corner on."""
    left, top = corner
    votes = [len(who) for label, who in rows if label != INACTIVE]
    for k, (label, who) in enumerate(rows):
        y, right = top + ROW * (k + 0.5), left + wide * folds
        page.text(left - 12, y + 4, label, "note", anchor="right", room=left - 14)
        page.line(None, [left, right], [y, y], "rule")
        places = [left + wide * (i + 0.5) for i in who]
        if label == INACTIVE:
            for x in places:
                page.line(None, [x - 3, x + 3], [y, y], "interval")
            continue
        best, size = len(who) > 1 and len(who) == max(votes), min(11.0, wide * 0.8)
        kind = "selected" if best else "hollow"
        page.line(None, places, [y] * len(places), kind, markersize=size if best else size * 0.7)
        page.text(right + 8, y + 4, f"{len(who)} of {sum(votes)}", "note")


def _rows(one: SearchAxis, values: Sequence[Value]) -> list[tuple[str, list[int]]]:
    """Label of each row and the folds in it."""
    known = {i: v for i, value in enumerate(values) if (v := _clean(value)) is not None}
    numeric = {i: float(v) for i, v in known.items() if not isinstance(v, str | bool)}
    if one.kind != "choice" and len(numeric) == len(known) and len(set(numeric.values())) > ROWS:
        rows = _intervals(numeric, log=one.kind == "log" and min(numeric.values()) > 0)
    else:
        order = [v for v in one.choices if v in known.values()]
        order += sorted({v for v in known.values() if v not in order}, key=lambda v: (isinstance(v, str), v))
        rows = [(number(v), [i for i, value in known.items() if value == v]) for v in order]
    missing = [i for i in range(len(values)) if i not in known]
    return rows + ([(INACTIVE, missing)] if missing else [])


def _intervals(values: Mapping[int, float], log: bool) -> list[tuple[str, list[int]]]:
    places = {i: math.log(v) if log else v for i, v in values.items()}
    low, high, count = min(places.values()), max(places.values()), ROWS - 1
    edges = [low + (high - low) * k / count for k in range(count + 1)]
    texts = [compact(math.exp(edge) if log else edge) for edge in edges]
    rows: list[tuple[str, list[int]]] = []
    for k in range(count):
        inside = [i for i, v in places.items() if min(int((v - low) / (high - low) * count), count - 1) == k]
        rows.append((f"{texts[k]} to {texts[k + 1]}", inside))
    return rows


def _clean(value: Value) -> Value:
    return defined(value) if isinstance(value, float) else value
