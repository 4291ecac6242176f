"""What `make test` leaves to `make soak`: no promise of docs/promises.md, and how many tests is told."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import left
from tests.mutation.faults import FAULTS

TESTS = Path(__file__).resolve().parent
ROWS = re.findall(
    r"^\| (.+) \| (`test_.+) \|$", (TESTS.parent / "docs/promises.md").read_text(), re.MULTILINE
)


@functools.cache
def kept() -> set[str]:
    """Names of the tests that are not left out whole."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        marks = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)]
        if "soak" in path.parts or any("pytestmark" in mark and "thorough" in mark for mark in marks):
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                whole = "pytest.mark.thorough" in map(ast.unparse, node.decorator_list)
                found |= set() if whole else {node.name}
    return found


def test_every_promise_keeps_a_test():
    known = kept()
    assert len(ROWS) > 10
    assert [row for row, tests in ROWS if not known & set(re.findall(r"`(test_\w+)`", tests))] == []


def test_every_planted_fault_keeps_a_test():
    """`make mutants` runs what `make test` runs: a fault whose tests are all left out would survive."""
    known, singles = (
        kept(),
        [(fault.name, fault.tests) for fault in FAULTS if all("::" in t for t in fault.tests)],
    )
    assert [name for name, tests in singles if not known & {test.split("::")[1] for test in tests}] == []


def item(config: Any, thorough: bool) -> Any:
    return SimpleNamespace(config=config, get_closest_marker=lambda name: thorough and name == "thorough")


def test_what_is_left_out_is_counted_once_whatever_the_number_of_workers():
    here, told = SimpleNamespace(stash=pytest.Stash()), []
    for _ in range(2):
        worker = SimpleNamespace(stash=pytest.Stash(), workeroutput={})
        left.pytest_deselected([item(worker, True), item(worker, False), item(worker, True)])
        left.pytest_sessionfinish(SimpleNamespace(config=worker))  # pyrefly: ignore[bad-argument-type]
        left.pytest_testnodedown(SimpleNamespace(config=here, workeroutput=worker.workeroutput))
    reporter: Any = SimpleNamespace(config=here, write_line=told.append)
    left.pytest_terminal_summary(reporter)
    assert told == ["2 thorough tests are left to `make soak`; `pytest -m ''` runs them"]
