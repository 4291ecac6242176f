"""Numbers of the figures: which can be drawn, how they are written, and round ticks for them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

LARGEST = 1e100
"""Numbers beyond this are drawn as undefined: no axis could hold them beside others."""
Bounds = tuple[float | None, float | None]


def defined(value: float | None) -> float | None:
    """The number as a Python float; None for NaN, infinities and what no axis can hold."""
    return None if value is None or not abs(value) <= LARGEST else float(value)


def known(values: Iterable[float | None]) -> list[float]:
    """Those of the values that are defined."""
    return [v for value in values if (v := defined(value)) is not None]


def signed(text: str) -> str:
    """Text of a number with a true minus sign."""
    return text.replace("-", "\N{MINUS SIGN}")


def compact(value: float) -> str:
    """A number in three significant digits, short."""
    return _power(f"{value:.3g}")


def _power(text: str) -> str:
    return signed(re.sub(r"e([+-])0*(\d+)$", lambda found: f"e{found[1].strip('+')}{found[2]}", text))


def decimals(value: float) -> str:
    """A score with three decimals, or what is too large or too small for them as `compact`."""
    return signed(f"{value:.3f}") if value == 0 or 5e-4 <= abs(value) < 1e4 else compact(value)


def widened(values: Sequence[float], bounds: Bounds = (None, None)) -> tuple[float, float]:
    """Least and greatest value; where they are the same, a little room around them but not past bounds."""
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(1.0, abs(high)):
        spare = 0.05 * max(1.0, abs(high))
        low = low - spare if bounds[0] is None else min(max(low - spare, bounds[0]), low)
        high = high + spare if bounds[1] is None else max(min(high + spare, bounds[1]), high)
    return low, high


def labels(ticks: Sequence[float]) -> list[str]:
    """Texts of evenly spaced ticks: as many decimals as tell them apart."""
    step = min((b - a for a, b in zip(ticks, ticks[1:], strict=False)), default=1.0)
    fine = math.floor(math.log10(step) + 1e-9)
    if 1e-4 <= max(map(abs, ticks)) < 1e5:
        return [signed(f"{tick:.{max(0, -fine)}f}") for tick in ticks]
    digits = [max(0, math.floor(math.log10(abs(tick)) + 1e-9) - fine) if tick else 0 for tick in ticks]
    return [_power(f"{tick:.{n}e}") if tick else "0" for tick, n in zip(ticks, digits, strict=True)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two positive numbers; ever finer ones where there are fewer than two."""
    between = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for mantissas in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        # Reading the text makes 3e-4 and not 0.00030000000000000003.
        ticks = [t for p in between for m in mantissas if low <= (t := float(f"{m}e{p}")) <= high]
        if len(ticks) >= 2:
            return ticks
    return [low, high]


def spread(places: Sequence[float], gap: float, end: float) -> list[float]:
    """Ascending places moved apart to at least `gap`, ending at `end` or before where they fit."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], end - gap * (len(moved) - 1 - i))
    return moved
