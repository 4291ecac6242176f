"""What holds for every figure, whatever it is drawn from."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nachos_jax.report.figures import drawing
from nachos_jax.report.figures.drawing import plain
from nachos_jax.report.figures.standalone import standalone
from tests.report.figure_cases import CASES
from tests.report.figure_examples import EXAMPLES
from tests.report.svg_marks import collisions, outside, said, tree

STYLE = Path(drawing.__file__).parents[1] / "page/templates/figure.css.j2"
CLASSES = re.compile(r'class="([^"]*)"')
ATTRIBUTES = re.compile(r' (?!aria-label)[\w-]+="([^"]*)"')


@pytest.mark.parametrize("name", CASES)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_a_figure_is_sound(name, data):
    case = data.draw(CASES[name])
    figure = case.draw()
    if figure is None:
        return
    again = case.draw()
    assert again == figure, "the bytes depend on the numbers alone"
    assert not [a for a in ATTRIBUTES.findall(figure.svg) if re.search(r"nan|inf\b|None|e-\d", a)]
    assert "script" not in {item.tag for item in tree(figure.svg).iter()}
    assert outside(figure.svg) == []
    assert collisions(figure.svg) == []
    assert len(figure.svg) < 150_000
    holds_all(figure.table, case)
    file = ElementTree.fromstring(standalone(figure))
    assert file.tag.endswith("}svg")


def holds_all(table, case):
    assert all(len(row) == len(table.header) for row in table.rows)
    cells = [cell for row in table.rows for cell in row]
    numbers = {float(cell) for cell in cells if isinstance(cell, int | float)}
    assert all(map(math.isfinite, numbers))
    wanted = {float(n) for n in case.numbers if n is not None and abs(n) <= 1e100}
    assert wanted <= numbers
    assert set(case.names) <= {cell for cell in cells if isinstance(cell, str)}


@pytest.mark.parametrize("name", CASES)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(data=st.data())
def test_shortened_texts_keep_the_whole_in_a_title(name, data):
    figure = data.draw(CASES[name]).draw()
    if figure is None:
        return
    for item in tree(figure.svg).iter("text"):
        shown, whole = said(item), item.findtext("title")
        assert ("\N{HORIZONTAL ELLIPSIS}" in shown) or whole is None
        if whole is not None:
            head, tail = shown.split("\N{HORIZONTAL ELLIPSIS}", 1)
            assert whole.startswith(head)
            assert plain(whole).endswith(tail)


def test_every_class_of_a_figure_has_a_rule():
    ruled = set(re.findall(r"\.([a-z]\w*)", STYLE.read_text(encoding="utf-8"))) | {f"c{i}" for i in range(8)}
    # Labels have the rule of all texts; "d0" is a line without dashes.
    used = {word for figure in EXAMPLES for words in CLASSES.findall(figure.svg) for word in words.split()}
    assert used - ruled == {"label"}
    assert len(used) > 25
