"""Reads figures back: the numbers behind their marks, and the room that their texts take."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from unittest.mock import patch
from xml.etree import ElementTree

import numpy as np

from nachos_jax.report.figures import drawing
from nachos_jax.report.figures.drawing import Figure, width
from nachos_jax.report.figures.style import WIDTH

NUMBER = re.compile(r"-?\d*\.?\d+")


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


class Drawn:
    """A figure, and what matplotlib drew of it."""

    def __init__(self, draw: Callable[[], Figure | None]):
        with patch.object(drawing, "written", wraps=drawing.written) as spy:
            figure = draw()
        assert figure is not None
        self.figure, self.canvas = figure, spy.call_args.args[0]
        self.root = tree(figure.svg)
        self.boxes = [box(item) for item in self.root.iter("text")]
        self.words = {found.words for found in self.boxes}

    def data(self, kind: str) -> list[np.ndarray]:
        """Numbers [P, 2] of every mark of a kind; places on the sheet for those on no axes."""
        found = []
        for artist in self.canvas.findobj(lambda a: a.get_gid() and a.get_label() == kind):
            points = np.column_stack(artist.get_data()) if hasattr(artist, "get_data") else artist.get_xy()
            points = np.asarray(points, float)
            if artist.axes is None:
                points = (np.array([0, 1]) + points * [1, -1]) * [WIDTH, self.height]
            found.append(points)
        return found

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
    wide = width(words, size, "bold" in style or "font-weight" in style)
    anchor = re.search(r"text-anchor: (\w+)", style)
    before = {"start": 0.0, "middle": wide / 2, "end": wide}[anchor[1] if anchor else "start"]
    if "transform" in item.attrib:
        x, y, _ = (float(n) for n in NUMBER.findall(item.attrib["transform"]))
        return Box(words, x - 0.55 * size, y + before - wide, x + 0.1 * size, y + before)
    x, y = float(item.attrib["x"]), float(item.attrib["y"])
    return Box(words, x - before, y - 0.55 * size, x - before + wide, y + 0.1 * size)
