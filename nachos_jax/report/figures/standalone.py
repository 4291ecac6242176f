"""A figure as a file of its own, with the colours filled in."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from nachos_jax.report.figures.drawing import Figure

MARGIN = 8
_PALETTES = {
    "light": re.compile(r"@media print \{\n  :root \{(.*?)\}", re.DOTALL),
    "dark": re.compile(r"@media \(prefers-color-scheme: dark\) \{\n  :root \{(.*?)\}", re.DOTALL),
}
_USED = re.compile(r"\b(fill|stroke): var\(--(\w+)\)")


def standalone(figure: Figure) -> str:
    """The figure as the text of an SVG file.

    It has the colours of the printed page, or the dark ones where the reader prefers those. They are
    filled in because few programs other than browsers know variables in style sheets.

    Args:
        figure: a drawn figure.
    """
    opening, rest = figure.svg.split(">", 1)
    found = re.search(r' viewBox="0 0 (\S+) (\S+)"', opening)
    assert found is not None
    width, height = (float(length) + 2 * MARGIN for length in found.groups())
    size = f'width="{width:g}" height="{height:g}"'
    opening = opening.replace(found[0], f' viewBox="-{MARGIN} -{MARGIN} {width:g} {height:g}" {size}')
    light, dark = _palettes()["light"], _palettes()["dark"]
    used = sorted({*_USED.findall(figure.svg), ("fill", "paper"), ("fill", "ink")})
    # The colours of light stand in the elements, so only a rule that is important changes them.
    rules = [
        f'[style*="{what}: {light[name]}"] {{ {what}: {dark[name]} !important }}'
        for what, name in used
        if light[name] != dark[name]
    ]
    rules.append(_halo().replace("var(--paper)", dark["paper"]))
    style = (
        f"svg {{ color-scheme: light dark; font-family: {light['sans']} }}\n{_halo()}\n"
        f"@media (prefers-color-scheme: dark) {{\n{chr(10).join(rules)}\n}}"
    )
    paper = f'<rect x="-{MARGIN}" y="-{MARGIN}" {size} style="fill: var(--paper)"/>'
    opening = opening.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    # Other programs than browsers know only the older kind of reference.
    opening = opening.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"', 1)
    rest = rest.replace(' href="#', ' xlink:href="#')
    whole = f"{opening}>\n<style>\n{style}\n</style>\n{paper}{rest}\n"
    return re.sub(r"var\(--(\w+)\)", lambda name: light[name[1]], whole)


def _halo() -> str:
    """The rule of the page's style sheet for text over lines."""
    found = re.search(r"^svg \.over .*$", _style("figure.css.j2"), re.MULTILINE)
    assert found is not None
    return found[0]


@cache
def _palettes() -> dict[str, dict[str, str]]:
    """Values of the variables in light and dark; what only the first block of the page has is in both."""
    style = _style("page.css.j2")
    shared = dict(re.findall(r"--([\w-]+): ([^;]+);", style.split("}", 1)[0]))
    palettes = {}
    for scheme, pattern in _PALETTES.items():
        found = pattern.search(style)
        assert found is not None
        palettes[scheme] = shared | dict(re.findall(r"--([\w-]+): ([^;]+);", found[1]))
    return palettes


@cache
def _style(name: str) -> str:
    return (Path(__file__).parents[1] / "page" / "templates" / name).read_text(encoding="utf-8")
