"""From the SVG that matplotlib writes to one that stands in a page, or in a file of its own."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from nachos_jax.report.figures.style import COLOURS

SAID = "said: "
"""What the id of a mark begins with that is told when it is pointed at."""
MARGIN = 8
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_NAMES = {value: name for name, value in COLOURS.items()}


def inline(drawn: str, name: str, title: str) -> str:
    """The SVG element for a page of what was drawn with `style.COLOURS`, with the page's colours and font.

    The title says what the figure shows to those who hear it; its id begins with the name.
    """
    ElementTree.register_namespace("", _SVG[1:-1])
    root = ElementTree.fromstring(drawn)
    for item in reversed(list(root.iter())):
        _rewrite(item)
    size = root.attrib["viewBox"]
    root.attrib.clear()
    # The style is what matplotlib says of all elements, here without a rule for the whole page.
    style = "stroke-linejoin: round; stroke-linecap: butt"
    root.attrib.update({"role": "img", "aria-labelledby": f"{name}-title", "viewBox": size, "style": style})
    _tell(root, title, {"id": f"{name}-title"})
    # A page knows without an address what an SVG element is.
    return ElementTree.tostring(root, encoding="unicode").replace(f' xmlns="{_SVG[1:-1]}"', "", 1)


def _tell(item: ElementTree.Element, words: str, attributes: dict[str, str]) -> None:
    title = ElementTree.Element(f"{_SVG}title", attributes)
    title.text = words
    item.insert(0, title)


def _rewrite(item: ElementTree.Element) -> None:
    """One element: short numbers, variables for colours, no id but those that something refers to."""
    for child in [child for child in item if child.tag in (f"{_SVG}style", f"{_SVG}metadata")]:
        item.remove(child)
    for key, value in item.attrib.items():
        if key == "style":
            value = re.sub("#[0-9a-f]{6}", lambda found: f"var(--{_NAMES[found[0]]})", value)
            item.set(key, re.sub(r"font-family:[^;]*;? ?", "", value))
        elif key != "id":
            item.set(key, re.sub(r"-?\d+\.\d+", lambda found: f"{round(float(found[0]), 2):g}", value))
    if link := item.attrib.pop(_LINK, ""):
        item.set("href", link)
    looks = {child.get("style", "") for child in item if child.tag == f"{_SVG}use"}
    if len(item) > 1 and len(looks) == 1:
        item.set("style", looks.pop())
        for child in item:
            child.attrib.pop("style", None)
    told = item.attrib.pop("id", "") if item.tag == f"{_SVG}g" else ""
    if told.startswith(SAID):
        _tell(item, told.removeprefix(SAID), {})


def standalone(svg: str) -> str:
    """What `inline` made as the text of a file.

    It has the colours of the printed page, filled in because few programs other than browsers know variables.
    """
    found = re.search(r'viewBox="0 0 (\S+) (\S+)"', svg)
    assert found is not None
    wide, high = (float(end) + 2 * MARGIN for end in found.groups())
    # Variables of the page's style sheet; the last block, for print, goes before the first.
    sheet = (Path(__file__).parents[1] / "page" / "templates" / "page.css.j2").read_text(encoding="utf-8")
    first, *_, printed = re.findall(r":root \{(.*?)\}", sheet.replace('"', "'"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): ([^;]+);", first + printed))
    size = f'width="{wide:g}" height="{high:g}"'
    spaces = f'xmlns="{_SVG[1:-1]}" xmlns:xlink="{_LINK[1:-5]}" font-family="{colours["sans"]}"'
    # Other programs than browsers know only the older kind of reference.
    opening, body = svg.replace(' href="#', ' xlink:href="#').split(">", 1)
    opening = opening.replace(found[0], f'viewBox="-{MARGIN} -{MARGIN} {wide:g} {high:g}" {size} {spaces}')
    paper = f'<rect x="-{MARGIN}" y="-{MARGIN}" {size} style="fill: var(--paper)"/>'
    return re.sub(r"var\(--(\w+)\)", lambda name: colours[name[1]], f"{opening}>{paper}{body}\n")
