"""From the SVG that matplotlib writes to one that can stand in a page among others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from nachos_jax.report.figures.style import COLOURS

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_NAMES = {value: name for name, value in COLOURS.items()}
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_NUMBER = re.compile(r"-?\d+\.\d+")
# The page sets the font of all figures.
_FONT = re.compile(r"font-family:[^;]*;?")


def inline(drawn: str, name: str, title: str, words: str, marks: Mapping[str, tuple[str, str]]) -> str:
    """The SVG element for a page: colours are the page's variables, names of parts are the figure's own.

    Args:
        drawn: SVG text with the colours of `style.COLOURS`.
        name: what the ids begin with.
        title: what the figure shows.
        words: how to read it.
        marks: class and text, each "" for none, by id of a mark.

    Raises:
        KeyError: a colour is none of the page's.
    """
    ElementTree.register_namespace("", SVG[1:-1])
    root = ElementTree.fromstring(drawn)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawn))
    for item in list(root.iter()):
        for child in [child for child in item if child.tag in (f"{SVG}style", f"{SVG}metadata")]:
            item.remove(child)
        kind, told = marks.get(item.get("id", ""), ("", ""))
        item.attrib.update({"class": kind} if kind else {})
        _rewrite(item, name, used)
        if told:
            item.insert(0, _element("title", told))
    size = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"role": "img", "aria-labelledby": f"{name}-title {name}-desc", "viewBox": size})
    # What matplotlib says of all elements, here without a rule that would hold for the whole page.
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    root.insert(0, _element("title", title, id=f"{name}-title"))
    root.insert(1, _element("desc", words, id=f"{name}-desc"))
    # A page knows without an address what an SVG element is.
    return ElementTree.tostring(root, encoding="unicode").replace(f' xmlns="{SVG[1:-1]}"', "", 1)


def _element(tag: str, words: str, **attributes: str) -> Element:
    made = Element(SVG + tag, attributes)
    made.text = words
    return made


def _rewrite(item: Element, name: str, used: set[str]) -> None:
    """One element: short numbers, variables for colours, no id but those that something refers to."""
    if item.get("id") in used:
        item.set("id", f"{name}-{item.get('id')}")
    else:
        item.attrib.pop("id", None)
    for key, value in list(item.attrib.items()):
        if key == "style":
            value = _COLOUR.sub(lambda found: f"var(--{_NAMES[found[0]]})", _FONT.sub("", value))
        elif key == f"{LINK}href":
            del item.attrib[key]
            key, value = "href", value.replace("#", f"#{name}-")
        elif key not in ("class", "id"):
            value = _NUMBER.sub(_short, value.replace("url(#", f"url(#{name}-"))
        item.set(key, " ".join(value.split()))
    if item.get("transform", "").startswith("rotate(-0 "):
        del item.attrib["transform"]
    looks = {child.get("style") for child in item}
    if len(item) > 1 and len(looks) == 1 and all(child.tag == f"{SVG}use" for child in item):
        item.set("style", _COLOUR.sub(lambda found: f"var(--{_NAMES[found[0]]})", looks.pop() or ""))
        for child in item:
            child.attrib.pop("style", None)
    if item.tag != f"{SVG}text":
        item.text = None
    item.tail = "\n" if item.tag == f"{SVG}g" else None


def _short(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".").replace("-0", "0", found[0].startswith("-0.00"))
