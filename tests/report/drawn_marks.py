"""Reads figures back: the numbers behind their marks, and the room that their texts take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import east_asian_width
from unittest.mock import patch
from xml.etree import ElementTree

import numpy as np
from matplotlib.cbook import normalize_kwargs
from matplotlib.lines import Line2D

from nachos_jax.report.figures import drawing
from nachos_jax.report.figures.drawing import Figure, width
from nachos_jax.report.figures.style import WIDTH

NUMBER = re.compile(r"-?\d*\.?\d+")
TOLD = ("color", "linewidth", "marker", "markersize", "markerfacecolor", "markeredgecolor")


@dataclass(frozen=True)
class Box:
    words: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide > 1.0 and high > 1.0


class NothingDrawnError(AssertionError):
    """The numbers leave nothing to draw."""


class Drawn:
    """A figure, and what matplotlib drew of it."""

    def __init__(self, draw: Callable[[], Figure | None]):
        with patch.object(drawing, "painted", side_effect=drawing.painted) as spy:
            figure = draw()
        if figure is None:
            raise NothingDrawnError
        self.figure, self.canvas = figure, spy.call_args.args[0]
        self.root = tree(figure.svg)
        boxes = [box(item) for item in self.root.iter("text")]
        self.words = {found.words for found in boxes}
        # matplotlib lays out what its font lacks, such as letters of East Asia, as if they were narrow.
        self.boxes = [b for b in boxes if not any(east_asian_width(letter) in "WF" for letter in b.words)]

    def lines(self, look: Mapping[str, Any]) -> list[Line2D]:
        """Lines and points that look so, in the order in which they are drawn."""
        wanted = {key: v for key, v in normalize_kwargs(dict(look), Line2D).items() if key in TOLD}
        lines = [line for axes in self.canvas.axes for line in axes.lines]
        return [line for line in lines if all(getattr(line, f"get_{k}")() == v for k, v in wanted.items())]

    def data(self, look: Mapping[str, Any]) -> list[np.ndarray]:
        """Numbers [P, 2] of every line or point that looks so."""
        return [np.column_stack(line.get_data()).astype(float) for line in self.lines(look)]

    def bands(self) -> list[np.ndarray]:
        """Corners [P, 2] of every area between two lines."""
        found = [area for axes in self.canvas.axes for area in axes.collections if area.get_label() == "band"]
        return [path.vertices for area in found for path in area.get_paths()]

    @property
    def height(self) -> float:
        return float(self.root.attrib["viewBox"].split()[3])

    def collisions(self) -> list[tuple[str, str]]:
        """Pairs of texts that overlap."""
        boxes = self.boxes
        return [(a.words, b.words) for i, a in enumerate(boxes) for b in boxes[:i] if a.meets(b)]

    def outside(self) -> list[Box]:
        """Texts that leave the viewBox by more than the margin of a page or file."""
        return [
            b
            for b in self.boxes
            if b.left < -8 or b.top < -8 or b.right > WIDTH + 8 or b.bottom > self.height + 8
        ]


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def box(item: ElementTree.Element) -> Box:
    """The room of a text by the letters of DejaVu Sans, from half a descender to the height of an x."""
    style, words = item.attrib["style"], item.text or ""
    found = re.search(r"font-size: ([\d.]+)px", style)
    assert found is not None
    size = float(found[1])
    wide = width(words, size)
    anchor = re.search(r"text-anchor: (\w+)", style)
    before = {"start": 0.0, "middle": wide / 2, "end": wide}[anchor[1] if anchor else "start"]
    turn = item.attrib["transform"]
    x, y = (float(n) for n in NUMBER.findall(re.sub(r"rotate\(\S+", "", turn))[:2])
    if "rotate(-90" in turn:
        return Box(words, x - 0.55 * size, y + before - wide, x + 0.1 * size, y + before)
    return Box(words, x - before, y - 0.55 * size, x - before + wide, y + 0.1 * size)
