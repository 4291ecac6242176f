"""Horizontal bars: importance of hyperparameters, and time by what it was spent on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nachos_jax.report.figures import style
from nachos_jax.report.figures.drawing import Figure, finished, sheet
from nachos_jax.report.figures.numbers import defined, known, teller
from nachos_jax.report.figures.rows import rows
from nachos_jax.report.words.format import duration, percent


def importance(values: Mapping[str, float | None], label: str = "importance") -> Figure | None:
    """How much each hyperparameter mattered for the score; None when no number is known.

    Args:
        values: importance by hyperparameter; None where it is not known. Negative ones have no bar.
        label: what the numbers are.
    """
    title = f"Importance of {len(values)} hyperparameters"
    return _bars("importance", title, values, label, teller(values.values()))


def spent(seconds: Mapping[str, float | None]) -> Figure | None:
    """Time by what it was spent on, with its share of the whole; None when no time is known."""
    whole = sum(max(value, 0.0) for value in known(seconds.values()))

    def told(value: float) -> str:
        return duration(value) + (f", {percent(max(value, 0.0) / whole)}" if whole > 0 else "")

    return _bars("spent", "Time by what it was spent on", seconds, "seconds", told)


def _bars(
    name: str, title: str, values: Mapping[str, float | None], label: str, told: Callable[[float], str]
) -> Figure | None:
    numbers = [defined(value) for value in values.values()]
    if not known(numbers):
        return None
    with sheet(name, 14 + 24 * len(numbers)) as (canvas, ((axes,),)):
        places, lengths = range(len(numbers)), [max(value or 0.0, 0.0) for value in numbers]
        drawn = axes.barh(places, lengths, height=0.6, **style.BAR)
        texts = ["not known" if value is None else told(value) for value in numbers]
        axes.bar_label(drawn, texts, padding=5, color=style.SOFT, fontsize=style.NOTE)
        axes.axvline(0, **style.AXIS)
        axes.set_xlim(0, max(lengths) or 1.0)
        rows(axes, places, list(values), room=160)
        axes.xaxis.set_visible(False)
        axes.grid(visible=False)
        return finished(canvas, title, ("name", label), values.items())
