"""A figure as a file: whole, with colours filled in, and the same rules as on the page."""

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
    assert "http" not in file.replace("http://www.w3.org/2000/svg", "")
    root = ElementTree.fromstring(file)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    assert (width, height) == (float(root.attrib["width"]), float(root.attrib["height"]))
    assert min(left, top) < 0, "marks at the edge have a margin"
    assert standalone(figure) == file


def test_light_and_dark_differ_in_colours_alone():
    file = standalone(EXAMPLES[0])
    light, dark = re.split(r"@media[^{]*\{", file.split("</style>")[0])
    rule = re.compile(r"^(svg[^{]*) \{ (.*) \}$", re.MULTILINE)
    in_light, in_dark = dict(rule.findall(light)), dict(rule.findall(dark))
    assert in_dark
    for selector, body in in_dark.items():
        assert body != in_light[selector]
        without = [re.sub(r"#\w+", "", text) for text in (body, in_light[selector])]
        assert without[0] == without[1]


def test_only_used_rules_and_line_colours_are_written():
    curves = next(figure for figure in EXAMPLES if figure.name == "training_loss")
    file = standalone(curves)
    assert "svg .curve.c3 {" in file
    assert "svg .cell" not in file
