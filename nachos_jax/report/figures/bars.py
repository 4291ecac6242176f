"""Horizontal bars: importance of hyperparameters, and time by what it was spent on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nachos_jax.report.figures import drawing as draw
from nachos_jax.report.figures.axes import decimals, defined
from nachos_jax.report.figures.drawing import NOTE, TOP, WIDTH, Figure, Table
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
    known = {key: v for key, value in values.items() if (v := defined(value)) is not None}
    if not known:
        return None
    left = min(max(40.0, *(draw.text_width(draw.plain(key)) for key in values)), 150.0) + 10
    room = min(max(draw.text_width(told(value), NOTE) for value in known.values()) + 12, WIDTH / 2)
    longest = max(*known.values(), 0.0)
    parts = [draw.line(left, TOP - 2, left, TOP + 2 + ROW * len(values), "scale")]
    for i, key in enumerate(values):
        y = TOP + ROW * (i + 0.5)
        parts.append(draw.text(left - 8, y + 4, key, "end", room=left - 8))
        value = known.get(key)
        if value is None:
            parts.append(draw.text(left + 8, y + 4, "not known", style="note"))
            continue
        wide = max(value, 0.0) / longest * (WIDTH - room - left) if longest > 0 else 0.0
        parts.append(draw.rect(left, y - 7, wide, 14, "bar") if wide >= 0.05 else "")
        parts.append(draw.text(left + wide + 6, y + 4, told(value), style="note", room=room - 8))
    rows = tuple((key, defined(value)) for key, value in values.items())
    return Figure(
        name, draw.frame(parts, TOP * 2 + ROW * len(values), title), title, Table(("name", label), rows)
    )
