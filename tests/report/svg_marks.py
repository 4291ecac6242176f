"""Reads figures back: where their marks lie, which room their texts take, what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

SIZES = {"label": 12.5, "head": 13.0, "small": 10.0}
COMMAND = re.compile(r"([MLlmhvHVz])([^MLlmhvHVz]*)")
NUMBER = re.compile(r"-?\d*\.?\d+")


@dataclass(frozen=True)
class Box:
    """The room of a text, rather too small than too large."""

    words: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide > 1.0 and high > 2.5


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.replace(' xmlns="http://www.w3.org/2000/svg"', ""))


def size(svg: str) -> tuple[float, float]:
    found = re.match(r'<svg role="img" aria-label="[^"]*" viewBox="0 0 (\S+) (\S+)">', svg)
    assert found is not None
    return float(found[1]), float(found[2])


def path_points(steps: str) -> list[tuple[float, float]]:
    """All points of the lines of a path, absolute."""
    points: list[tuple[float, float]] = []
    x = y = 0.0
    for command, rest in COMMAND.findall(steps):
        numbers = [float(n) for n in NUMBER.findall(rest)]
        if command in "hv":
            x, y = (x + numbers[0], y) if command == "h" else (x, y + numbers[0])
            points.append((x, y))
        elif command != "z":
            for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
                x, y = (dx, dy) if command in "ML" else (x + dx, y + dy)
                points.append((x, y))
    return points


def marks(svg: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """Class and points of every mark but texts."""
    found = []
    for item in tree(svg).iter():
        get = {key: item.attrib[key] for key in item.attrib}
        if item.tag == "path":
            points = path_points(get["d"])
        elif item.tag == "line":
            points = [(float(get["x1"]), float(get["y1"])), (float(get["x2"]), float(get["y2"]))]
        elif item.tag == "circle":
            points = [(float(get["cx"]), float(get["cy"]))]
        elif item.tag == "rect":
            x, y, wide, high = (float(get[key]) for key in ("x", "y", "width", "height"))
            assert wide >= 0
            assert high >= 0
            points = [(x, y), (x + wide, y + high)]
        else:
            continue
        found.append((get["class"], points))
    return found


def said(item: ElementTree.Element) -> str:
    """What a text shows; its title is only shown when it is pointed at."""
    return (item.text or "") + "".join(child.tail or "" for child in item)


def boxes(svg: str) -> list[Box]:
    found = []
    for item in tree(svg).iter("text"):
        words = said(item)
        high = SIZES.get(item.attrib["class"].split()[0], 11.5)
        wide = sum(0.3 if letter in ".,:;'|!ijlI ()[]/rtf-" else 0.56 for letter in words) * high
        start = {"start": 0.0, "middle": wide / 2, "end": wide}[item.attrib["text-anchor"]]
        if "transform" in item.attrib:
            x, y, _ = (float(n) for n in NUMBER.findall(item.attrib["transform"]))
            found.append(Box(words, x - 0.7 * high, y + start - wide, x + 0.15 * high, y + start))
        else:
            x, y = float(item.attrib["x"]), float(item.attrib["y"])
            found.append(Box(words, x - start, y - 0.7 * high, x - start + wide, y + 0.15 * high))
    return found


def collisions(svg: str) -> list[tuple[str, str]]:
    """Pairs of texts that overlap."""
    found = boxes(svg)
    return [(a.words, b.words) for i, a in enumerate(found) for b in found[:i] if a.meets(b)]


def outside(svg: str, slack: float = 2.0) -> list[object]:
    """Marks and texts that leave the viewBox."""
    width, height = size(svg)
    left: list[object] = []
    for kind, points in marks(svg):
        if any(not (-slack <= x <= width + slack and -slack <= y <= height + slack) for x, y in points):
            left.append((kind, points))
    for box in boxes(svg):
        if box.left < -slack or box.right > width + slack or box.top < -slack or box.bottom > height + slack:
            left.append(box)
    return left
