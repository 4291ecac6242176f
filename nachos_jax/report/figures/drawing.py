"""What all figures share: a canvas of matplotlib, names that fit their room, numbers as they are written."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from nachos_jax.report.figures.numbers import defined
from nachos_jax.report.figures.style import LABEL, SETTINGS, WIDTH
from nachos_jax.report.figures.svg import SAID, inline

Axes = Canvas = Any
"""matplotlib's Axes and Figure: no other file imports it."""
# What XML cannot hold, and marks that would turn round the text after them.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


class Figure(NamedTuple):
    """A drawn figure: name, SVG element for a page, title for those who hear it, and all its numbers."""

    name: str
    svg: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]


Drawing = Callable[[], Figure | None]
"""Draws a figure; None of what is empty."""


def prepare() -> None:
    """Imports matplotlib and reads its font, which the first figure of a process would wait for.

    It may run in a thread beside a figure: no setting of matplotlib is touched but what it logs.
    """
    _quiet()
    from matplotlib import figure
    from matplotlib.backends import backend_svg

    del figure, backend_svg
    width("")


def _quiet() -> None:
    """Where the home folder cannot be written matplotlib takes a temporary one, and need not say so."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


@contextmanager
def sheet(name: str, high: float, *shape: int, **how: Any) -> Generator[tuple[Canvas, Any]]:
    """A canvas WIDTH wide and its axes, of shape [rows, columns], to be drawn inside the `with`."""
    _quiet()
    import matplotlib
    from matplotlib.figure import Figure as Blank

    settings: dict[Any, Any] = {**SETTINGS, "svg.hashsalt": name}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The reader's browser has letters that DejaVu Sans has not.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        canvas = Blank(figsize=(WIDTH / 72, high / 72), layout="constrained", label=name)
        yield canvas, canvas.subplots(*shape, squeeze=False, **how)


@contextmanager
def grid(name: str, count: int) -> Generator[tuple[Canvas, Any]]:
    """A sheet of so many panels on the same scales."""
    columns = min(count, 2 if count <= 6 else 3)
    rows, high = -(-count // columns), (300, 185, 136)[columns - 1]
    with sheet(name, 64 + high * rows, rows, columns, sharex=True, sharey=True) as (canvas, panels):
        for axes in panels.flat[count:]:
            axes.remove()
        for axes in panels.flat[max(0, count - columns) : count]:
            axes.tick_params(labelbottom=True)
        yield canvas, panels.flat[:count]


def finished(canvas: Canvas, title: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Figure:
    """The figure; the title is for those who hear it, the rows are the numbers behind it."""
    name, title = str(canvas.get_label()), plain(title)
    svg, cells = inline(painted(canvas), name, title), tuple(tuple(map(_cell, row)) for row in rows)
    return Figure(name, svg, title, tuple(header), cells)


def painted(canvas: Canvas) -> str:
    """The SVG text of a canvas; not by its savefig, which draws all of it twice to lay it out before."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.StringIO()
    FigureCanvasSVG(canvas).print_svg(file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return file.getvalue()


def _cell(value: Any) -> str | int | float | None:
    if type(value) is str or value is None:
        return value
    value = value.item() if isinstance(value, np.generic) else value
    return str(value) if isinstance(value, bool) else defined(value) if isinstance(value, float) else value


def plain(words: object) -> str:
    """Text without the characters that XML cannot hold, not yet escaped."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"[\t\n\r]+", " ", str(words)))


def said(words: object) -> str:
    """The id (`gid`) of a mark that tells these words when it is pointed at."""
    return SAID + plain(words)


@lru_cache(20_000)
def width(words: str, size: float = LABEL) -> float:
    """How wide a text is in DejaVu Sans, which is wider than what most systems have."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    # Letters of East Asia, which that font lacks, are as wide as they are high.
    letters = "".join("@" if unicodedata.east_asian_width(letter) in "WF" else letter for letter in words)
    font = FontProperties(family=SETTINGS["font.family"], size=size)
    return text_to_path.get_text_width_height_descent(letters, font, False)[0]


def fit(words: object, room: float, size: float = LABEL, lines: int = 1) -> str:
    """The text in at most so many lines; of a line wider than its room the beginning and the end."""
    found = [""]
    for part in re.findall(r"[^ _./-]*[ _./-]?", plain(words)):
        if len(found) < lines and found[-1] and width(found[-1] + part.rstrip(), size) > room:
            found.append("")
        found[-1] += part
    return "\n".join(_cut(line.strip(), room, size) for line in found)


def _cut(whole: str, room: float, size: float) -> str:
    """Both ends are kept because names of one table often differ in their last letters only."""
    short, kept = whole, len(whole)
    while kept and width(short, size) > room:
        kept -= 1
        tail = kept * 2 // 5
        short = f"{whole[: kept - tail].rstrip()}\N{HORIZONTAL ELLIPSIS}{whole[len(whole) - tail :].lstrip()}"
    return short


def legend(canvas: Canvas, columns: int = 4, place: str = "outside upper center") -> None:
    """Samples of all labelled marks, each once and opaque."""
    marks: dict[str, Any] = {}
    for axes in canvas.axes:
        for mark, name in zip(*axes.get_legend_handles_labels(), strict=True):
            marks.setdefault(name, mark)
    for line in canvas.legend(marks.values(), marks, loc=place, ncols=columns).get_lines():
        line.set_alpha(1)
