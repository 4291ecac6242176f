"""Numbers of the figures: which can be drawn, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nachos_jax.report.words.format import places, shorter


def defined(value: float | None) -> float | None:
    """The number as a Python float; None for NaN and for what no axis could hold beside others."""
    return None if value is None or not abs(value) <= 1e100 else float(value)


def known(values: Iterable[float | None]) -> list[float]:
    """Those of the values that are defined."""
    return [v for value in values if (v := defined(value)) is not None]


def compact(value: float) -> str:
    """A number in three significant digits, short, with a true minus sign."""
    short = f"{value:.0f}" if 1e3 <= abs(value) < 1e5 else f"{value:.3g}"
    return shorter(short).replace("-", "\N{MINUS SIGN}")


def teller(values: Iterable[float | None]) -> Callable[[float], str]:
    """Writes numbers alike, with three significant digits of the largest: shares with three decimals."""
    largest = max(map(abs, known(values)), default=1.0)
    if not 1e-4 <= largest < 1e6:
        return lambda value: compact(value) if value else "0"
    decimals = max(0, places(largest))
    return lambda value: f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")
