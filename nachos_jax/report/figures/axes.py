"""Scales of the figures: from numbers to places, with round ticks and their grid lines."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nachos_jax.report.figures.drawing import NOTE, inward, line, text, text_width

LARGEST = 1e100
"""Numbers beyond this are drawn as undefined: no axis could hold them beside others."""


@dataclass(frozen=True)
class Axis:
    """A scale from numbers to the width or height of a figure.

    Attributes:
        low: number at `start`.
        high: number at `end`.
        ticks: numbers to label.
        start: place of `low`.
        end: place of `high`.
        log: equal ratios instead of equal differences are equally long.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Place of a number."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def text(self, tick: float) -> str:
        """Label of a tick: as many decimals as tell the ticks apart."""
        if self.log:
            return compact(tick)
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        fine, largest = math.floor(math.log10(step) + 1e-9), max(map(abs, self.ticks))
        if not 1e-4 <= largest < 1e6:
            digits = max(0, math.floor(math.log10(abs(tick)) + 1e-9) - fine) if tick else 0
            return _power(f"{tick:.{digits}e}") if tick else "0"
        return _signed(f"{tick:.{max(0, -fine)}f}")


def axis(
    values: Sequence[float],
    start: float,
    end: float,
    ticks: int = 5,
    bounds: tuple[float | None, float | None] = (None, None),
) -> Axis:
    """An axis of round ticks that holds all the values.

    Args:
        values: finite numbers, at least one.
        start: place of its lowest tick.
        end: place of its highest tick.
        ticks: about how many steps.
        bounds: what no value can exceed, such as (0, 1): no tick lies beyond unless a value does.
    """
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(1.0, abs(high)):
        spare = 0.05 * max(1.0, abs(high))
        low, high = low - spare, high + spare
        low = low if bounds[0] is None else min(max(low, bounds[0]), *values)
        high = high if bounds[1] is None else max(min(high, bounds[1]), *values)
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    numbers = tuple(float(f"{i * step:.12g}") for i in range(first, last + 1))
    return Axis(numbers[0], numbers[-1], numbers, start, end)


def share_axis(start: float, end: float, steps: int = 5) -> Axis:
    """The axis from 0 to 1."""
    return Axis(0.0, 1.0, tuple(i / steps for i in range(steps + 1)), start, end)


def log_axis(low: float, high: float, start: float, end: float) -> Axis:
    """A logarithmic axis from low to high, both positive, with ticks at powers of ten if two lie between."""
    if high <= low * (1 + 1e-9):
        low, high = low / 2, high * 2
    between = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for mantissas in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        # Reading the text makes 3e-4 and not 0.00030000000000000003.
        ticks = tuple(t for p in between for m in mantissas if low <= (t := float(f"{m}e{p}")) <= high)
        if len(ticks) >= 2:
            return Axis(low, high, ticks, start, end, True)
    return Axis(low, high, (low, high), start, end, True)


def epochs_axis(epochs: int, start: float, end: float, ticks: int = 5) -> Axis:
    """The axis of epochs, from 1 to the last one; its ticks are whole numbers."""
    last = max(2.0, float(epochs))
    found = axis([1.0, last], start, end, ticks)
    whole = tuple(tick for tick in found.ticks if tick == int(tick) and 1 < tick <= last)
    return replace(found, low=1.0, high=last, ticks=(1.0, *whole))


def defined(value: float | None) -> float | None:
    """The number as a Python float; None for NaN, infinities and what no axis can hold."""
    if value is None or not abs(value) <= LARGEST:
        return None
    return float(value)


def compact(value: float) -> str:
    """A number in three significant digits, short."""
    return _power(f"{value:.3g}")


def decimals(value: float) -> str:
    """A score with three decimals, or what is too large or too small for them as `compact`."""
    return _signed(f"{value:.3f}") if value == 0 or 5e-4 <= abs(value) < 1e4 else compact(value)


def _power(text: str) -> str:
    return _signed(re.sub(r"e([+-])0*(\d+)$", lambda m: f"e{m[1].strip('+')}{m[2]}", text))


def _signed(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def vertical_grid(x: Axis, top: float, base: float) -> list[str]:
    """Grid lines of a horizontal axis, with as many labels below as have room."""
    room = 8 + max(text_width(x.text(tick), NOTE) for tick in x.ticks)
    places = [x.at(tick) for tick in x.ticks]
    labels = [inward(x.at(tick), x.text(tick), NOTE) for tick in x.ticks]
    gap = min((abs(b - a) for a, b in zip(labels, labels[1:], strict=False)), default=room)
    stride = max(1, math.ceil(room / max(gap, 1e-9)))
    parts = []
    for i, (tick, place) in enumerate(zip(x.ticks, places, strict=True)):
        parts.append(line(place, top, place, base, "grid"))
        if i % stride == 0:
            parts.append(text(labels[i], base + 17, x.text(tick), "middle", "tick"))
    return parts


def horizontal_grid(y: Axis, left: float, right: float, labels: bool = True) -> list[str]:
    """Grid lines of a vertical axis, with labels at their left."""
    parts = []
    for tick in y.ticks:
        parts.append(line(left, y.at(tick), right, y.at(tick), "grid"))
        if labels:
            parts.append(text(left - 7, y.at(tick) + 4, y.text(tick), "end", "tick", left - 10))
    return parts
