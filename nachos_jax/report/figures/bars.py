"""Horizontal bars: importance of hyperparameters, and time by what it was spent on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nachos_jax.report.figures.drawing import Figure, Table, plain, sheet, widest, width
from nachos_jax.report.figures.scales import decimals, defined
from nachos_jax.report.figures.style import NOTE, TOP, WIDTH
from nachos_jax.report.words.format import duration, percent

ROW = 24.0


def importance(values: Mapping[str, float | None], label: str = "importance") -> Figure | None:
    """How much each hyperparameter mattered for the score, a bar each in the order given.

    Args:
        values: importance by hyperparameter; None where it is not known. Negative ones have no bar.
        label: what the numbers are.

    Returns:
        The figure, or None when no number is known.
    """
    title = f"Importance of {len(values)} hyperparameters"
    return _bars("importance", title, values, label, decimals)


def spent(seconds: Mapping[str, float | None]) -> Figure | None:
    """Time by what it was spent on, with its share of the whole.

    Args:
        seconds: time by kind, such as training, compiling, tuning and the rest.

    Returns:
        The figure, or None when no time is known.
    """
    whole = sum(max(defined(value) or 0.0, 0.0) for value in seconds.values())

    def told(value: float) -> str:
        return duration(value) + (f", {percent(max(value, 0.0) / whole)}" if whole > 0 else "")

    return _bars("spent", "Time by what it was spent on", seconds, "seconds", told)


def _bars(
    name: str, title: str, values: Mapping[str, float | None], label: str, told: Callable[[float], str]
) -> Figure | None:
    rows = tuple((key, defined(value)) for key, value in values.items())
    texts = ["not known" if value is None else told(value) for _, value in rows]
    longest = max((value for _, value in rows if value is not None), default=None)
    if longest is None:
        return None
    left, high = widest(list(values), 40, 160) + 10, ROW * len(rows)
    room = WIDTH - left - max(width(plain(text), NOTE) for text in texts) - 12
    with sheet(TOP * 2 + high) as page:
        axes = page.rows(left, TOP, max(room, 40.0), high, grid="")
        axes.set_xlim(0, longest if longest > 0 else 1.0)
        axes.xaxis.set_visible(False)
        for i, ((key, value), text) in enumerate(zip(rows, texts, strict=True)):
            y, end = TOP + ROW * (i + 0.5), max(value or 0.0, 0.0)
            page.text(left - 8, y + 4, key, anchor="right", room=left - 8)
            if end > 0:
                page.box(axes, (0.0, end), (y - 7, y + 7), "bar")
            page.text(page.x(axes, end) + 6, y + 4, text, "note", room=WIDTH - page.x(axes, end) - 6)
        page.line(axes, [0, 0], [TOP - 2, TOP + high + 2], "axis")
        words = f"A bar for each of {', '.join(values)}; its length is its {label}."
        return page.finished(name, title, words, Table(("name", label), rows))
