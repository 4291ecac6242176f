"""`pytest --cpu`: processor seconds of files and tests, which a busy machine changes less than wall time.

A fixture counts for the test that asked for it first. Of other processes those count that were waited for.
"""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

FILES, TESTS = 25, 25
"""Rows that are shown."""
_SPENT = pytest.StashKey[float]()
_seconds: defaultdict[str, float] = defaultdict(float)


def _now() -> float:
    """Seconds that this process and those that it has waited for have had of any core."""
    used = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _measured(item: pytest.Item) -> Iterator[None]:
    began = _now()
    yield
    item.stash[_SPENT] = _now() - began


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """With all fixtures that are not there yet."""
    yield from _measured(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The test itself."""
    yield from _measured(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """What ends with it."""
    yield from _measured(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """The report takes the seconds to the process that prints."""
    made: Any = yield
    made.get_result().processor_seconds = item.stash.get(_SPENT, 0.0)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Adds up the phases of each test."""
    _seconds[report.nodeid] += getattr(report, "processor_seconds", 0.0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Files and tests that took most; collecting them comes on top, once a worker."""
    files: defaultdict[str, float] = defaultdict(float)
    for name, seconds in _seconds.items():
        files[name.split("::")[0]] += seconds
    terminalreporter.section(f"{sum(files.values()):.0f} processor seconds in {len(_seconds)} tests")
    for rows, shown in ((files, FILES), (_seconds, TESTS)):
        for name, seconds in sorted(rows.items(), key=lambda row: -row[1])[:shown]:
            terminalreporter.write_line(f"{seconds:7.1f}  {name}")
