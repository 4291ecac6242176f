"""A figure as a file: whole, with colours filled in for both schemes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from nachos_jax.report.figures.standalone import standalone
from tests.report.figure_examples import EXAMPLES


@pytest.mark.parametrize("figure", EXAMPLES, ids=lambda figure: figure.name)
def test_a_file_needs_nothing_else(figure):
    file = standalone(figure)
    assert "var(" not in file
    assert "http" not in re.sub(r"http://www.w3.org/(2000/svg|1999/xlink)", "", file)
    root = ElementTree.fromstring(file)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    assert (width, height) == (float(root.attrib["width"]), float(root.attrib["height"]))
    assert min(left, top) < 0, "marks at the edge have a margin"
    assert standalone(figure) == file


@pytest.mark.parametrize("figure", EXAMPLES, ids=lambda figure: figure.name)
def test_every_colour_of_light_has_one_in_the_dark(figure):
    style, rest = standalone(figure).split("</style>")
    dark = style.split("(prefers-color-scheme: dark)")[1]
    rules = dict(re.findall(r'\[style\*="(\w+: #\w+)"\] \{ (\w+: #\w+) !important \}', dark))
    used = {found[0] for found in re.findall(r"((?<![-\w])(fill|stroke): #\w+)", rest)}
    assert used
    assert used <= set(rules)
    assert all(light.split(":")[0] == other.split(":")[0] for light, other in rules.items())
    assert "stroke: #14171a" in dark, "the halo of texts as well"
