"""A second process of a command: `python -m nachos_jax.cli.companion`.

It imports what takes seconds beside the first one's imports, makes the calls that need it, and in the end
writes the page; see `nachos_jax.runtime.elsewhere` and `nachos_jax.report.page.writer`. It ends when its
input does, and so with who started it.
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from nachos_jax.runtime import elsewhere, thrift

ASKED_FIRST = (
    *("sklearn.datasets", "sklearn.model_selection", "scipy.stats.qmc"),
    *("nachos_jax.splits.folds", "nachos_jax.data.digits", "nachos_jax.search.drawn_search"),
)
"""Modules of the calls that a run waits for, and what they import late: not while another thread imports."""

PATIENCE = 900
"""Seconds after which it gives its memory back: to a run of hours the imports are nothing."""


def main(hear: IO[str], say: IO[str]) -> None:
    """Hears of a task, answers calls while it makes ready what a page of it waits for, and writes the page.

    Heard: {"task": name}, then calls, then the run directory and what `writer.write` waits for.

    Args:
        hear: what comes in.
        say: what goes out.
    """

    def tell(name: str, value: Any) -> None:
        print(json.dumps({name: value}), file=say, flush=True)

    for module in ASKED_FIRST:
        importlib.import_module(module)
    if not (line := hear.readline()):
        return  # the command has been refused
    task = json.loads(line)["task"]
    with ThreadPoolExecutor(1, "serving") as other:  # ended before a copy of this process is made
        asked = other.submit(elsewhere.serve, hear, tell)
        from nachos_jax.report.page import page, writer

        signal.alarm(PATIENCE)
        page.prepare(task)
        line = asked.result()
        signal.alarm(0)
    if line:
        writer.write(json.loads(line), hear, tell)


if __name__ == "__main__":
    ended_with = thrift.leave_at_once()
    thrift.collect_seldom()
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    main(sys.stdin, answers)
    ended_with(0)
