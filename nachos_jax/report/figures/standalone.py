"""A figure as a file of its own: the rules of the style sheet that it needs, with the colours filled in."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from nachos_jax.report.figures.drawing import COLOURS, Figure, told

MARGIN = 8
_RULE = re.compile(r"^(svg[^{]*?) \{ (.*) \}$", re.MULTILINE)
_PALETTES = {
    "light": re.compile(r"@media print \{\n  :root \{(.*?)\}", re.DOTALL),
    "dark": re.compile(r"@media \(prefers-color-scheme: dark\) \{\n  :root \{(.*?)\}", re.DOTALL),
}


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
    used = {name for names in re.findall(r'class="([^"]*)"', figure.svg) for name in names.split()}
    light, dark = _rules("light", used), _rules("dark", used)
    changed = "\n".join(rule for rule in dark if rule not in light)
    style = "\n".join([*light, f"@media (prefers-color-scheme: dark) {{\n{changed}\n}}"])
    size = f'width="{width:g}" height="{height:g}"'
    space = f'viewBox="-{MARGIN} -{MARGIN} {width:g} {height:g}"'
    start = opening.replace("<svg", f'<svg xmlns="http://www.w3.org/2000/svg" {size}', 1)
    start = start.replace(found[0], f" {space}", 1)
    paper = f'<rect class="paper" x="-{MARGIN}" y="-{MARGIN}" {size}/>'
    return f"{start}>{told(figure.title)}\n<style>\n{style}\n</style>\n{paper}{rest}\n"


def _rules(scheme: str, used: set[str]) -> list[str]:
    """Rules of the figures in the colours of a scheme; those of line colours once for each that is used."""
    palette = _palettes()[scheme]
    rules = ["svg { color-scheme: light dark }", f"svg .paper {{ fill: {palette['paper']} }}"]
    for selector, body in _RULE.findall(_style("figure.css.j2")):
        if not set(re.findall(r"\.([a-z]\w*)", selector)) <= used:
            continue
        if "var(--c)" not in body:
            rules.append(f"{selector} {{ {_filled(body, palette)} }}")
            continue
        for i in range(COLOURS):
            if f"c{i}" in used:
                own = body.replace("var(--c)", f"var(--c{i})")
                rules.append(f"{selector}.c{i} {{ {_filled(own, palette)} }}")
    return rules


def _filled(body: str, palette: dict[str, str]) -> str:
    return re.sub(r"var\(--([\w-]+)\)", lambda name: palette[name[1]], body)


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
