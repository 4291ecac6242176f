"""What all figures are made of: text that fits, marks, and the frame that holds them.

Figures are SVG text written by hand instead of by a plotting package, because the text of the figures
then stays text, the colours follow the reader's colour scheme, and the bytes depend on the numbers
alone. All lengths are in the units of the viewBox, which is WIDTH wide: on a desktop one unit is about
one pixel, on a phone three quarters of one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

WIDTH = 440.0
LEFT, RIGHT, TOP = 62.0, 14.0, 10.0
LABEL, NOTE, SMALL = 12.5, 11.5, 10.0
"""Font sizes of the classes label, note and small in the style sheet."""
COLOURS = 8
"""Line colours in the style sheet, classes c0 to c7; classes d0 to d3 are dashes."""

Cell = str | int | float | None
Point = tuple[float, float]

# What XML cannot hold, and marks that would turn round the text after them.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
# Widths of letters in DejaVu Sans, which is wider than what most systems have, in parts of the font size.
_EM = (
    dict.fromkeys(".,:;'|!ijlI /", 0.34)
    | dict.fromkeys("()[]rtf-", 0.42)
    | dict.fromkeys("mM%@wW\N{HORIZONTAL ELLIPSIS}", 1.0)
    | {"\N{MINUS SIGN}": 0.84}
)


class Table(NamedTuple):
    """The numbers of a figure, as they are written beside it.

    Attributes:
        header: names of the columns.
        rows: their values; None where there is none.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
        name: stem of its files.
        svg: an SVG element for a page whose style sheet includes figure.css.j2.
        title: what it shows, for those who hear it.
        table: every number that it was drawn from.
    """

    name: str
    svg: str
    title: str
    table: Table


def plain(words: object) -> str:
    """Text without the characters that XML cannot hold, not yet escaped."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"[\t\n\r]+", " ", str(words)))


def text_width(words: str, size: float = LABEL) -> float:
    """About how wide a text is, rather too wide than too narrow: measured on DejaVu Sans."""
    return sum(map(_em, words)) * size


def _em(letter: str) -> float:
    if letter in _EM:
        return _EM[letter]
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.1
    return 0.76 if letter.isupper() else 0.64


def shorten(words: str, room: float, size: float = LABEL) -> str:
    """The text, or its beginning and end when it is wider than its room.

    Both ends are kept because names of one table often differ in their last letters only.
    """
    if text_width(words, size) <= room:
        return words
    for kept in range(len(words) - 1, 0, -1):
        tail = kept * 2 // 5
        short = (
            words[: kept - tail].rstrip() + "\N{HORIZONTAL ELLIPSIS}" + words[len(words) - tail :].lstrip()
        )
        if text_width(short, size) <= room:
            return short
    return "\N{HORIZONTAL ELLIPSIS}"


def inward(x: float, words: str, size: float = LABEL) -> float:
    """Middle of a text that is to stand at x, moved as far as the edges of the figure demand."""
    half = text_width(words, size) / 2
    return max(half, min(x, WIDTH - half))


def text(
    x: float, y: float, words: object, anchor: str = "start", style: str = "label", room: float | None = None
) -> str:
    """A line of text; where it is wider than `room` it is shortened and its title element holds the whole."""
    whole = plain(words)
    if not whole:
        return ""
    # Bold letters are about a tenth wider.
    size = {"label": LABEL, "head": 1.1 * LABEL, "small": SMALL}.get(style.split()[0], NOTE)
    short = whole if room is None else shorten(whole, room, size)
    return (
        f'<text class="{style}" x="{short_number(x)}" y="{short_number(y)}" text-anchor="{anchor}">'
        f"{told(whole) if short != whole else ''}{escape(short)}</text>"
    )


def upright(
    x: float, y: float, words: object, room: float, anchor: str = "middle", style: str = "label"
) -> str:
    """A line of text that reads upwards."""
    inner = text(0, 0, words, anchor, style, room)
    place = f'transform="translate({short_number(x)} {short_number(y)}) rotate(-90)"'
    return inner.replace('x="0" y="0"', place, 1)


def told(words: object) -> str:
    """A title element: what is shown when the mark around it is pointed at."""
    return f"<title>{escape(plain(words))}</title>" if words else ""


def short_number(value: float) -> str:
    """A length with at most one decimal."""
    return _tenths(round(value * 10))


def _tenths(tenths: int) -> str:
    whole, rest = divmod(abs(tenths), 10)
    digits = f"{whole}.{rest}" if rest and whole else f".{rest}" if rest else f"{whole}"
    return f"-{digits}" if tenths < 0 else digits


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    ends = zip(("x1", "y1", "x2", "y2"), map(short_number, (x1, y1, x2, y2)), strict=True)
    return f'<line class="{style}" ' + " ".join(f'{key}="{value}"' for key, value in ends) + "/>"


def rect(x: float, y: float, width: float, height: float, style: str, extra: str = "") -> str:
    """A rectangle, its corner at (x, y); `extra` holds further attributes."""
    size = f'width="{short_number(width)}" height="{short_number(height)}"'
    return (
        f'<rect class="{style}" x="{short_number(x)}" y="{short_number(y)}" {size}{extra and " " + extra}/>'
    )


def circle(x: float, y: float, radius: float, style: str, words: object = "") -> str:
    """A disc."""
    place = f'cx="{short_number(x)}" cy="{short_number(y)}" r="{short_number(radius)}"'
    return f'<circle class="{style}" {place}' + (f">{told(words)}</circle>" if words else "/>")


def cross(x: float, y: float, words: object = "") -> str:
    """A diagonal cross, for what failed or is undefined."""
    step = f"M{short_number(x - 3.5)} {short_number(y - 3.5)}l7 7m0-7l-7 7"
    return f'<path class="failed" d="{step}">{told(words)}</path>'


def diamond(x: float, y: float, width: float, height: float, style: str, words: object = "") -> str:
    """A diamond around (x, y)."""
    half, rise = width / 2, height / 2
    return path([[(x - half, y), (x, y - rise), (x + half, y), (x, y + rise)]], style, words, closed=True)


def path(lines: Iterable[Sequence[Point]], style: str, words: object = "", closed: bool = False) -> str:
    """Lines of points as one path; empty text when there is no point."""
    steps = "".join(trail(points) + ("z" if closed else "") for points in lines if len(points))
    if not steps:
        return ""
    return f'<path class="{style}" d="{steps}"' + (f">{told(words)}</path>" if words else "/>")


def band(lower: Sequence[Point], upper: Sequence[Point], style: str) -> str:
    """The area between two lines of points that share their x."""
    return path([[*lower, *reversed(upper)]], f"band {style}", closed=True)


def trail(points: Sequence[Point]) -> str:
    """Path commands of a line: its start, then steps in whole tenths, about six bytes a point."""
    tenths = [(round(x * 10), round(y * 10)) for x, y in points]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(tenths, tenths[1:], strict=False)]
    joined = "".join(_joined(step) for pair in steps for step in pair)
    start = f"M{_tenths(tenths[0][0])} {_tenths(tenths[0][1])}"
    # A line of one point is still seen: round caps draw it as a dot.
    return start + (f"l{joined.lstrip()}" if steps else "h0")


def _joined(tenths: int) -> str:
    return _tenths(tenths) if tenths < 0 else f" {_tenths(tenths)}"


def thin(points: Sequence[Point], limit: int) -> list[Point]:
    """At most `limit` (3 or more) of the points of a line: those that keep its shape.

    Largest triangle three buckets (Steinarsson, 2013): first and last stay; of each bucket between, the
    point that spans the largest triangle with the point kept before and the mean of the next bucket.
    """
    if len(points) <= limit:
        return list(points)
    count, kept = limit - 2, [points[0]]
    edges = [1 + i * (len(points) - 2) // count for i in range(count + 1)]
    for low, high, after in zip(edges, edges[1:], [*edges[2:], len(points)], strict=False):
        nexts = points[high : max(after, high + 1)]
        mx, my = sum(p[0] for p in nexts) / len(nexts), sum(p[1] for p in nexts) / len(nexts)
        ax, ay = kept[-1]
        kept.append(
            max(points[low:high], key=lambda p: abs((ax - mx) * (p[1] - ay) - (ax - p[0]) * (my - ay)))
        )
    return [*kept, points[-1]]


def spread(places: Sequence[float], gap: float, end: float) -> list[float]:
    """Ascending places moved apart to at least `gap`, ending at `end` or before where they fit."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], end - gap * (len(moved) - 1 - i))
    return moved


def legend(items: Sequence[tuple[str, str]], left: float, y: float, right: float) -> tuple[list[str], float]:
    """Samples of marks with their names, in as many rows as they need.

    Args:
        items: (class of the sample, name). Samples of class "band ..." are areas, "dot ..." and others
            named in the style sheet as fills are discs, all others are lines.
        left: where rows begin.
        y: base line of the first row.
        right: where rows must end.

    Returns:
        The marks, and the base line of the last row.
    """
    parts: list[str] = []
    x = left
    for style, name in items:
        shown = shorten(plain(name), right - left - 28, NOTE)
        wide = 28 + text_width(shown, NOTE)
        if x > left and x + wide > right:
            x, y = left, y + 17
        if style.startswith("band"):
            parts.append(rect(x, y - 9, 20, 10, style))
        elif style.startswith(("dot", "selected", "trial")):
            parts.append(circle(x + 10, y - 4, 4, style))
        elif style.startswith("failed"):
            parts.append(cross(x + 10, y - 4))
        else:
            parts.append(line(x, y - 4, x + 20, y - 4, style))
        parts.append(text(x + 25, y, name, "start", "note", right - left - 28))
        x += wide + 14
    return parts, y


def frame(parts: Iterable[str], height: float, title: str) -> str:
    """The SVG element around the marks."""
    body = "\n".join(part for part in parts if part)
    label = escape(plain(title), quote=True)
    size = f"{WIDTH:g} {short_number(height)}"
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {size}">\n{body}\n</svg>'
