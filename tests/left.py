"""How many tests a run leaves to `make soak`: those marked `thorough`, counted in every process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

_COUNT = pytest.StashKey[int]()
_SENT = "left_to_soak"


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Counts what the default expression of marks leaves out."""
    for item in items:
        if item.get_closest_marker("thorough"):
            item.config.stash[_COUNT] = item.config.stash.get(_COUNT, 0) + 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells the process that prints."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_SENT] = session.config.stash.get(_COUNT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """All workers collect the same tests, so one of them is believed."""
    told = getattr(node, "workeroutput", {}).get(_SENT, 0)
    node.config.stash[_COUNT] = max(told, node.config.stash.get(_COUNT, 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says it before the closing line."""
    count = terminalreporter.config.stash.get(_COUNT, 0)
    if count:
        terminalreporter.write_line(
            f"{count} thorough tests are left to `make soak`; `pytest -m ''` runs them"
        )
