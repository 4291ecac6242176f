"""Agreement of the outer folds on hyperparameters: which fold chose which value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import compact, defined
from nachos_jax.report.figures.drawing import NOTE, TOP, WIDTH, Figure, Table
from nachos_jax.report.figures.search import SearchAxis, Value
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
    labels = [draw.text_width(label, NOTE) for _, rows in blocks for label, _ in rows]
    left = min(max(62.0, *labels), 128.0) + 20
    wide = min((WIDTH - left - 64) / len(chosen), 34.0)
    parts = [draw.text(left - 12, TOP + 8, "outer fold", "end", "tick", left - 12)]
    every = max(1, math.ceil((6 + max(draw.text_width(_mark(n), NOTE) for n in chosen)) / wide))
    for i, name in enumerate(chosen):
        if i % every == 0:
            place = left + wide * (i + 0.5)
            parts.append(draw.text(place, TOP + 8, _mark(name), "middle", "tick", wide * every - 2))
    y = TOP + 14.0
    for one, rows in blocks:
        parts.append(draw.text(0, y + 15, one.name, style="head", room=WIDTH))
        y += ROW + 4
        active = [who for label, who in rows if label != INACTIVE]
        most = max(map(len, active), default=0)
        total = sum(map(len, active))
        for label, who in rows:
            best = label != INACTIVE and most > 1 and len(who) == most
            parts += _row(label, who, (left, wide, y + ROW / 2), len(chosen), best)
            share = f"{len(who)} of {total}" if label != INACTIVE else ""
            parts.append(draw.text(left + wide * len(chosen) + 8, y + ROW / 2 + 4, share, style="tick"))
            y += ROW
        y += 6
    title = f"Hyperparameters that {len(chosen)} outer folds chose"
    table = tuple(
        (fold, one.name, str(v) if isinstance(v, bool) else v)
        for one in axes
        for fold, values in chosen.items()
        for v in (_clean(values.get(one.name)),)
    )
    return Figure("agreement", draw.frame(parts, y, title), title, Table(("fold", "name", "value"), table))


def _mark(name: str) -> str:
    """Name of a column: "fold 3" becomes "3"."""
    return draw.plain(name).removeprefix("outer ").removeprefix("fold ")


def _row(
    label: str, who: Sequence[int], place: tuple[float, float, float], folds: int, best: bool
) -> list[str]:
    left, wide, y = place
    parts = [
        draw.text(left - 12, y + 4, label, "end", "note", left - 14),
        draw.line(left, y, left + wide * folds, y, "rule"),
    ]
    radius = min(5.5, wide * 0.4)
    for i in who:
        x = left + wide * (i + 0.5)
        if label == INACTIVE:
            parts.append(draw.line(x - 3, y, x + 3, y, "interval"))
        else:
            parts.append(
                draw.circle(x, y, radius if best else radius * 0.7, "selected" if best else "hollow")
            )
    return parts


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
