"""What all figures are made of: a sheet with axes, marks and texts, drawn by matplotlib.

Places on a sheet are counted from its upper left corner, in the units of `style`.
"""

from __future__ import annotations

import io
import logging
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from nachos_jax.report.figures.markup import inline
from nachos_jax.report.figures.scales import Bounds, labels, widened
from nachos_jax.report.figures.style import LABEL, MARKS, NOTE, SETTINGS, TEXTS, WIDTH

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
else:
    Artist = Axes = Any

Cell = str | int | float | None
# What XML cannot hold, and marks that would turn round the text after them.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_DOTS = "\N{HORIZONTAL ELLIPSIS}"


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


@cache
def _fonts() -> tuple[Any, Any]:
    # Where the home folder cannot be written matplotlib takes a temporary one, and need not say so.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    return FontProperties, text_to_path


@lru_cache(50_000)
def width(words: str, size: float = LABEL, bold: bool = False) -> float:
    """How wide a text is in DejaVu Sans, which is wider than what most systems have."""
    properties, measure = _fonts()
    # Letters of East Asia, which that font lacks, are as wide as they are high.
    known = "".join("@" if unicodedata.east_asian_width(letter) in "WF" else letter for letter in words)
    font = properties(family=SETTINGS["font.family"], size=size, weight="bold" if bold else "normal")
    with _any_letter():
        return float(measure.get_text_width_height_descent(known, font, False)[0])


def fit(words: object, room: float, size: float = LABEL, bold: bool = False) -> str:
    """The text, or its beginning and end when it is wider than its room.

    Both ends are kept because names of one table often differ in their last letters only.
    """
    whole = plain(words)
    if width(whole, size, bold) <= room:
        return whole
    for kept in range(len(whole) - 1, 0, -1):
        tail = kept * 2 // 5
        short = whole[: kept - tail].rstrip() + _DOTS + whole[len(whole) - tail :].lstrip()
        if width(short, size, bold) <= room:
            return short
    return _DOTS


def widest(names: Sequence[object], least: float, most: float, size: float = LABEL) -> float:
    """Width of the widest of the names, held between two limits."""
    return min(max([least, *(width(plain(name), size) for name in names)]), most)


@contextmanager
def _any_letter() -> Iterator[None]:
    """The reader's browser has letters that DejaVu Sans has not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield


@contextmanager
def sheet(height: float) -> Iterator[Sheet]:
    """An empty sheet, WIDTH wide, to be drawn and finished inside the `with`."""
    _fonts()
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(dict[Any, Any](SETTINGS)):
        yield Sheet(Canvas(figsize=(WIDTH / 72, height / 72)), height)


class Sheet:
    """A figure in the making."""

    def __init__(self, canvas: Any, height: float):
        self.canvas, self.height = canvas, height
        self._marks: dict[str, tuple[str, str]] = {}

    def axes(self, left: float, top: float, wide: float, high: float, grid: str = "both") -> Axes:
        """Axes over a part of the sheet, with grid lines of "x", "y", "both" or "" for none."""
        place = (left / WIDTH, 1 - (top + high) / self.height, wide / WIDTH, high / self.height)
        axes = self.canvas.add_axes(place)
        for axis in (axes.xaxis, axes.yaxis):
            axis.grid(grid in ("both", axis.axis_name))
        return axes

    def rows(self, left: float, top: float, wide: float, high: float, grid: str = "x") -> Axes:
        """Axes whose vertical places are those of the sheet."""
        axes = self.axes(left, top, wide, high, grid)
        axes.set_ylim(top + high, top)
        axes.yaxis.set_visible(False)
        return axes

    def _mark(self, artist: Artist, kind: str, words: object = "") -> None:
        name = f"mark{len(self._marks)}"
        self._marks[name] = (kind, plain(words))
        artist.set_gid(name)
        artist.set_label(kind)

    def line(self, axes: Axes | None, x: Any, y: Any, kind: str, words: object = "", **changes: Any) -> None:
        """A line, or points, of a kind of `style.MARKS`, on axes or, without any, at places of the sheet.

        `words` are shown when it is pointed at.
        """
        from matplotlib.lines import Line2D

        look: dict[str, Any] = {"clip_on": False, **MARKS[kind], **changes}
        if axes is None:
            drawn = Line2D([place / WIDTH for place in x], [1 - place / self.height for place in y], **look)
            self.canvas.add_artist(drawn)
        else:
            (drawn,) = axes.plot(x, y, **look)
        self._mark(drawn, kind, words)

    def area(self, axes: Axes, x: Any, y: Any, kind: str, words: object = "", **changes: Any) -> None:
        """Polygons of a kind, their corners [P] apart by NaN."""
        (drawn,) = axes.fill(x, y, **{"clip_on": False, **MARKS[kind], **changes})
        self._mark(drawn, kind, words)

    def box(self, axes: Axes, x: tuple[float, float], y: tuple[float, float], kind: str, **more: Any) -> None:
        """A rectangle of a kind between two places on each axis."""
        self.area(axes, (x[0], x[1], x[1], x[0]), (y[0], y[0], y[1], y[1]), kind, **more)

    def band(self, axes: Axes, x: Any, low: Any, high: Any, **changes: Any) -> None:
        """The area between two lines [P] over the same places."""
        if len(x):
            self.area(axes, [*x, *reversed(x)], [*low, *reversed(high)], "band", **changes)

    def text(self, x: float, y: float, words: object, kind: str = "label", **more: Any) -> None:
        """A line of text.

        Args:
            x: place of its start, middle or end, moved inwards where a middle would leave the sheet.
            y: place of its base line.
            words: the text.
            kind: one of `style.TEXTS`.
            more: `room` to shorten it to, `anchor` "left", "center" or "right", `over` for a halo over
                lines, `rotation` in degrees, and what else matplotlib's Text takes.
        """
        look = {**TEXTS[kind], "ha": more.pop("anchor", "left"), "va": "baseline"}
        room, over, whole = more.pop("room", WIDTH), more.pop("over", False), plain(words)
        bold = "weight" in look
        short = fit(whole, room, look["size"], bold)
        if look["ha"] == "center" and not more.get("rotation"):
            half = width(short, look["size"], bold) / 2
            x = max(half, min(x, WIDTH - half))
        if short:
            drawn = self.canvas.text(x / WIDTH, 1 - y / self.height, short, **{**look, **more})
            self._mark(drawn, "over" if over else "", whole if short != whole else "")

    def below(self, axes: Axes, words: object) -> None:
        """Name of the horizontal axis."""
        box = axes.bbox
        middle, base = (box.x0 + box.x1) / 2, self.height - box.y0
        self.text(middle, base + 36, words, anchor="center", room=WIDTH)

    def beside(self, words: object, top: float, base: float) -> None:
        """Name of vertical axes, reading upwards, at the left edge."""
        middle = 1 - (top + base) / 2 / self.height
        self.canvas.text(
            12 / WIDTH, middle, fit(words, base - top + 20), rotation=90, ha="center", va="center"
        )

    def x(self, axes: Axes, value: float) -> float:
        """Place of a number of the horizontal axis on the sheet."""
        return float(axes.transData.transform((value, axes.get_ylim()[0]))[0])

    def y(self, axes: Axes, value: float) -> float:
        """Place of a number of the vertical axis on the sheet."""
        return self.height - float(axes.transData.transform((axes.get_xlim()[0], value))[1])

    def legend(self, top: float, *items: tuple[Any, ...], left: float = 0.0) -> None:
        """Samples of marks, each (kind, name, what to change of its look), in a row from `left` or before."""
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        handles = []
        for kind, name, *changes in items:
            look = {**MARKS[kind], **(changes[0] if changes else {})}
            handles.append(
                Patch(**look, label=name) if "facecolor" in look else Line2D([], [], **look, label=name)
            )
        wide = sum(width(name, NOTE) + NOTE * 2.3 for _, name, *_ in items) + NOTE * 1.2 * (len(items) - 1)
        place = (max(0.0, min(left, WIDTH - wide)) / WIDTH, 1 - top / self.height)
        self.canvas.legend(
            handles=handles, loc="upper left", bbox_to_anchor=place, ncols=len(items), borderaxespad=0
        )

    def finished(self, name: str, title: str, words: str, table: Table) -> Figure:
        """The figure; `words` say how to read it to those who hear it."""
        svg = inline(written(self.canvas), name, plain(title), plain(words), self._marks)
        return Figure(name, svg, plain(title), table)


def written(canvas: Any) -> str:
    """SVG text of a matplotlib figure, the same bytes every time."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _any_letter():
        canvas.savefig(file, format="svg", metadata=nothing)
    return file.getvalue()


def scale(axis: Any, values: Sequence[float], bounds: Bounds = (None, None), steps: int = 5) -> None:
    """Limits and labelled round ticks of an axis that hold all the values.

    Args:
        axis: of matplotlib, such as `axes.xaxis`.
        values: finite numbers, at least one.
        bounds: what no value can exceed, such as (0, 1): no tick lies beyond unless a value does.
        steps: at most how many; fewer where the labels would touch each other, or the name of the axis.
    """
    low, high = widened(values, bounds)
    locator, level = axis.get_major_locator(), axis.axis_name == "x"
    for count in range(steps, 0, -1):
        locator.set_params(nbins=count, steps=[1, 2, 5, 10])
        ticks = [float(f"{tick:.12g}") for tick in locator.tick_values(low, high)]
        room = axis.axes.bbox.width / (len(ticks) - 1) - 8 if level else axis.axes.bbox.x0 - 26
        if max(width(text, NOTE) for text in labels(ticks)) <= room:
            break
    axis.set_ticks(ticks, labels(ticks))
    (axis.axes.set_xlim if level else axis.axes.set_ylim)(ticks[0], ticks[-1])


def epochs(axis: Any, last: float, steps: int = 5) -> None:
    """An axis of epochs from 1 to the last one; its ticks are whole numbers."""
    last = max(2.0, last)
    scale(axis, [1.0, last], steps=steps)
    ticks = [1.0, *(t for t in axis.get_ticklocs() if t == int(t) and 1 < t <= last)]
    axis.set_ticks(ticks, labels(ticks))
    axis.axes.set_xlim(1, last)
