"""A figure as a file: whole, with the colours filled in."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from nachos_jax.report.figures.svg import standalone
from tests.report.figure_examples import EXAMPLES, example
from tests.tiers import mostly_thorough


@mostly_thorough("number", range(len(EXAMPLES)), kept=range(0, len(EXAMPLES), 4))
def test_a_file_needs_nothing_else(number):
    file = standalone(example(number).svg)
    assert "var(" not in file
    assert "http" not in re.sub(r"http://www.w3.org/(2000/svg|1999/xlink)", "", file)
    root = ElementTree.fromstring(file)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    assert (width, height) == (float(root.attrib["width"]), float(root.attrib["height"]))
    assert min(left, top) < 0, "marks at the edge have a margin"
    assert "fill: #fff" in file, "the paper of the printed page"
