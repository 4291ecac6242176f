"""What holds for every figure, whatever it is drawn from."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nachos_jax.report.figures import rows
from nachos_jax.report.figures.classification import confusion
from nachos_jax.report.figures.drawing import plain
from nachos_jax.report.figures.learning import curves
from nachos_jax.report.figures.lessons import grouped
from nachos_jax.report.figures.style import COLOURS
from nachos_jax.report.figures.svg import standalone
from tests.report.drawn_marks import Drawn, NothingDrawnError, tree
from tests.report.figure_cases import CASES, HOSTILE
from tests.report.figure_examples import EXAMPLES, example, run_scores
from tests.tiers import mostly_thorough

NUMBERS = range(len(EXAMPLES))
FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"


@pytest.mark.filterwarnings("ignore:Glyph")
def test_long_numbers_along_the_rows_do_not_touch():
    names = ["\u533b\u9662" * 20, "B", "MRI scanner " * 5 + "7", "very " * 28, "very " * 28, "W" * 60]
    told = run_scores(names, [None, -433176.0609829915, math.inf, math.nan, 16.621414586284907, 0.0])
    assert Drawn(lambda: grouped(told, "Loss")).collisions() == []


@mostly_thorough(("count", "most"), [(11, 10**4), (5, 10**6), (11, 10**6), (12, 10**8)], kept=(5,))
def test_large_counts_in_the_cells_of_a_confusion_matrix_do_not_touch(count, most):
    draw = np.random.default_rng(count)
    counts = draw.integers(most // 2, most, (count, count)).astype(float)
    shares, errors = counts / counts.sum(axis=1, keepdims=True), draw.random((count, count)) / 2
    shares[0, 0] = 1.0
    names = [f"melanocytic nevus {number}" for number in range(count)]
    found = Drawn(lambda: confusion(names, shares, errors, counts))
    assert (found.collisions(), found.outside()) == ([], [])
    assert [row[-1] for row in found.figure.rows] == counts.ravel().tolist()
    shortened = any(re.fullmatch(r"[\d.]+[kM]", words) for words in found.words)
    assert (f"{counts.sum():,.0f} cases" in found.figure.title) == shortened
    assert shortened == (most > (10**6 if count == 5 else 10**4))


@pytest.mark.filterwarnings("ignore:Glyph")
@mostly_thorough("name", CASES, kept=("calibration", "confusion", "folds", "scatter"))
@settings(
    max_examples=5 if FULLY else 3,
    deadline=None,
    phases=(Phase.generate,),  # to shrink what fails takes minutes: a figure takes a few tenths of a second
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_a_figure_is_sound(name, data):
    case = data.draw(CASES[name])
    try:
        found = Drawn(case.draw)
    except NothingDrawnError:
        return
    figure = found.figure
    assert not re.search(r'"[^"<]*\b(nan|inf|None)\b', figure.svg.split("</title>", 1)[1].split("<text")[0])
    assert "script" not in {item.tag for item in found.root.iter()}
    assert found.outside() == []
    assert found.collisions() == []
    assert len(figure.svg) < 250_000
    holds_all(figure, case)
    assert ElementTree.fromstring(standalone(figure.svg)).tag.endswith("}svg")


def holds_all(figure, case):
    assert all(len(row) == len(figure.header) for row in figure.rows)
    cells = [cell for row in figure.rows for cell in row]
    numbers = {float(cell) for cell in cells if isinstance(cell, int | float)}
    assert all(map(math.isfinite, numbers))
    assert {float(n) for n in case.numbers if n is not None and abs(n) <= 1e100} <= numbers
    assert set(case.names) <= {cell for cell in cells if isinstance(cell, str)}


@mostly_thorough("number", NUMBERS, kept=tuple(NUMBERS)[::6])
def test_the_bytes_depend_on_the_numbers_alone(number):
    assert EXAMPLES[number]() == example(number)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_figure_is_told_to_those_who_hear_it(number):
    figure = example(number)
    root = tree(figure.svg)
    assert root.get("role") == "img"
    title = root[0]
    assert (title.tag, title.text) == ("title", figure.title)
    assert len(figure.title) > 5
    assert root.get("aria-labelledby") == title.get("id")


@pytest.mark.parametrize("number", NUMBERS)
def test_all_colours_are_variables_and_nothing_reaches_out_of_the_figure(number):
    figure = example(number)
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgb\(|<style|font-family", figure.svg)
    assert {*re.findall(r"var\(--(\w+)\)", figure.svg)} <= set(COLOURS)
    for item in tree(figure.svg).iter():
        for part in ("fill", "stroke"):
            value = re.search(rf"(?<![-\w]){part}: ([^;]+)", item.get("style", ""))
            assert value is None or value[1] == "none" or value[1].startswith("var(--")


def test_ids_of_the_figures_of_a_page_are_their_own_and_are_found():
    found = {figure.name: figure.svg for figure in map(example, NUMBERS)}
    ids = [name for svg in found.values() for name in re.findall(r'\bid="([^"]+)"', svg)]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    for svg in found.values():
        mine = set(re.findall(r'\bid="([^"]+)"', svg))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= mine
    assert any("clipPath" in svg for svg in found.values()), "else this says nothing of them"


def test_hostile_names_are_shown_as_they_are():
    draw = lambda: curves({"$x_1^2$ %": (0.5, 0.4), "a & <b>": (0.3,)}, HOSTILE)  # noqa: E731
    found = Drawn(draw)
    assert {"$x_1^2$ %", "a & <b>"} <= found.words
    assert plain(HOSTILE) in {title.text for title in found.root.iter("title")}


@pytest.mark.thorough
def test_other_processes_without_a_home_give_the_same_bytes_and_load_matplotlib_late(tmp_path):
    code = (
        "import sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "import nachos_jax.report.page.page\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from nachos_jax.report.figures.rows import bars\n"
        "figure = bars('spent', 'seconds', 'time', {'training': 3600.0}, ['an hour'])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "sys.stdout.write(figure.svg)\n"
    )
    home = tmp_path / "file"
    home.write_text("no folder")
    env = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONHASHSEED": "7", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, cwd=None
    )
    assert (done.returncode, done.stderr) == (0, "")
    here = rows.bars("spent", "seconds", "time", {"training": 3600.0}, ["an hour"])
    assert here is not None
    assert done.stdout == here.svg


@pytest.mark.thorough
def test_preparing_says_nothing_where_the_home_folder_cannot_be_written(tmp_path):
    home = tmp_path / "file"
    home.write_text("no folder")
    env = {"HOME": str(home), "XDG_CACHE_HOME": str(home)}
    code = "from nachos_jax.report.figures.drawing import prepare; prepare()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, cwd=None
    )
    assert (done.returncode, done.stderr) == (0, "")
