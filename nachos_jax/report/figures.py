"""Figures as inline SVG text: coloured by the page's style sheet, so they follow light, dark and print.

Drawn by hand instead of by a plotting package because the text of the figures then stays text, the
colours follow the reader's colour scheme, and the bytes depend on the numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

WIDTH = 440.0
LEFT, RIGHT, TOP = 62.0, 14.0, 10.0
ROW = 26.0
COLOURS = 8
"""Line colours in the style sheet, classes c0 to c7; dashes tell further lines apart."""
LABELLED = 12
"""Lines with a label at their end; more would not be told apart."""


@dataclass(frozen=True)
class Mark:
    """A point in a row of a strip plot.

    Attributes:
        value: where on the axis; None for a failed one, drawn as a cross at the left edge.
        text: shown when pointed at.
        selected: drawn large and filled.
    """

    value: float | None
    text: str
    selected: bool = False


@dataclass(frozen=True)
class Axis:
    """A linear scale from numbers to the width or height of a figure.

    Attributes:
        low: number at `start`.
        high: number at `end`.
        ticks: numbers to label.
        start: pixel of `low`.
        end: pixel of `high`.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    start: float
    end: float

    def at(self, value: float) -> float:
        """Pixel of a number."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def text(self, tick: float) -> str:
        """Label of a tick: as many decimals as tell the ticks apart."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        return f"{tick:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}".replace("-", "\N{MINUS SIGN}")


def axis(values: Sequence[float], start: float, end: float, ticks: int = 5) -> Axis:
    """An axis of round ticks that holds all the values."""
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.05, high + 0.05
    rough = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    numbers = tuple(round(i * step, 12) for i in range(first, last + 1))
    return Axis(numbers[0], numbers[-1], numbers, start, end)


def strip(
    rows: Mapping[str, Sequence[Mark]], label: str, title: str, mean: float | None = None
) -> str | None:
    """Strip plot: a row of points for every name, along one horizontal axis.

    Args:
        rows: points by name of the row, from top to bottom.
        label: name of the axis.
        title: what the figure shows, for those who hear it.
        mean: where to draw a vertical line, if anywhere.

    Returns:
        The SVG text, or None when no point has a value.
    """
    values = [mark.value for marks in rows.values() for mark in marks if mark.value is not None]
    if not values:
        return None
    base = TOP + ROW * len(rows) + (14.0 if mean is not None else 0.0)
    top = base - ROW * len(rows)
    x = axis([*values, *([] if mean is None else [mean])], LEFT + 14, WIDTH - RIGHT)
    parts = _vertical_grid(x, top, base)
    for index, (name, marks) in enumerate(rows.items()):
        y = top + ROW * (index + 0.5)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, "rule"))
        parts.append(_text(LEFT - 8, y + 4, name, "end"))
        parts += [_mark(mark, x, y) for mark in sorted(marks, key=lambda mark: mark.selected)]
    if mean is not None:
        parts.append(_line(x.at(mean), top, x.at(mean), base, "mean"))
        parts.append(
            _text(min(max(x.at(mean), 90), WIDTH - 50), top - 5, f"mean {mean:.3f}", "middle", "note")
        )
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, base + 36, label, "middle"))
    return _svg(parts, base + 42, title)


def curves(lines: Mapping[str, Sequence[float | None]], title: str) -> str | None:
    """Training loss over epochs, one line a name, labelled at its end.

    Args:
        lines: loss of epoch 1, 2, ... by name; None where it was no number.
        title: what the figure shows, for those who hear it.

    Returns:
        The SVG text, or None when there is no number to draw.
    """
    values = [v for line in lines.values() for v in line if v is not None]
    if not values:
        return None
    base, epochs = 240.0, max(map(len, lines.values()))
    labelled = len(lines) <= LABELLED
    y = axis([0.0, *values], base, TOP)
    x = axis([1.0, max(2.0, float(epochs))], LEFT, WIDTH - RIGHT - (50 if labelled else 0))
    x = replace(x, low=1.0, high=max(2.0, float(epochs)))
    whole = tuple(tick for tick in x.ticks if tick == int(tick) and 1 < tick <= x.high)
    x = replace(x, ticks=(1.0, *whole))
    parts = [*_horizontal_grid(y, LEFT, x.end)]
    parts += [_text(x.at(tick), base + 18, x.text(tick), "middle", "tick") for tick in x.ticks]
    ends: list[tuple[float, float, str, str]] = []
    for index, (name, line) in enumerate(lines.items()):
        style = f"curve c{index % COLOURS}" + (" dashed" if index // COLOURS % 2 else "")
        points = [(x.at(i + 1), y.at(v)) for i, v in enumerate(line) if v is not None]
        if not points:
            continue
        parts.append(_path(points, style, name))
        ends.append((points[-1][1], points[-1][0], name, style))
    if labelled:
        parts += _end_labels(ends, x.end + 8, base)
    parts.append(_text((LEFT + x.end) / 2, base + 38, "epoch", "middle"))
    parts.append(
        f'<text class="label" transform="translate(14 {base / 2:g}) rotate(-90)" '
        'text-anchor="middle">training loss</text>'
    )
    return _svg(parts, base + 44, title)


def _end_labels(ends: Sequence[tuple[float, float, str, str]], x: float, base: float) -> list[str]:
    """Names beside the ends of lines, moved apart vertically where they would touch."""
    gap = 13.0
    places: list[float] = []
    ordered = sorted(ends)
    for y, *_ in ordered:
        places.append(max(y, places[-1] + gap) if places else y)
    overflow = max(0.0, places[-1] - base) if places else 0.0
    for i in reversed(range(len(places))):
        limit = base if i == len(places) - 1 else places[i + 1] - gap
        places[i] = min(places[i], limit) if overflow else places[i]
    parts = []
    for (y, end, name, style), place in zip(ordered, places, strict=True):
        parts.append(_line(end + 1, y, x - 2, place, f"leader {style.split()[1]}"))
        parts.append(_text(x, place + 4, name, "start", f"endlabel {style.split()[1]}"))
    return parts


def _mark(mark: Mark, x: Axis, y: float) -> str:
    told = f"<title>{escape(mark.text)}</title>"
    if mark.value is None:
        place, r = LEFT + 5, 3.5
        cross = f"M{place - r:.1f} {y - r:.1f}l{2 * r:g} {2 * r:g}m0 {-2 * r:g}l{-2 * r:g} {2 * r:g}"
        return f'<path class="failed" d="{cross}">{told}</path>'
    kind, radius = ("selected", 5.5) if mark.selected else ("trial", 4.0)
    return f'<circle class="{kind}" cx="{x.at(mark.value):.1f}" cy="{y:.1f}" r="{radius:g}">{told}</circle>'


def _vertical_grid(x: Axis, top: float, base: float) -> list[str]:
    parts = []
    for tick in x.ticks:
        parts.append(_line(x.at(tick), top, x.at(tick), base, "grid"))
        parts.append(_text(x.at(tick), base + 18, x.text(tick), "middle", "tick"))
    return parts


def _horizontal_grid(y: Axis, left: float, right: float) -> list[str]:
    parts = []
    for tick in y.ticks:
        parts.append(_line(left, y.at(tick), right, y.at(tick), "grid"))
        parts.append(_text(left - 8, y.at(tick) + 4, y.text(tick), "end", "tick"))
    return parts


def _path(points: Sequence[tuple[float, float]], style: str, name: str) -> str:
    told = f"<title>{escape(name)}</title>"
    if len(points) == 1:
        x, y = points[0]
        return f'<circle class="dot {style.split()[1]}" cx="{x:.1f}" cy="{y:.1f}" r="3">{told}</circle>'
    steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{style}" d="M{steps}">{told}</path>'


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, style: str = "label") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    told = escape(title, quote=True)
    body = "\n".join(parts)
    return f'<svg role="img" aria-label="{told}" viewBox="0 0 {WIDTH:g} {height:g}">\n{body}\n</svg>'
