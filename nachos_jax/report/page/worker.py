"""A process that writes a report: `python -m nachos_jax.report.page.worker TASK PARENT`.

It imports and prepares what the first page of a process waits for, and then takes one order, which comes as a
line of JSON on its standard input: the run directory. A second line says that the pictures of errors are
there. A line of JSON on standard output says what became of it. It ends when its input does, or when no order
comes for so long that what it holds is worth more than what it saves.
"""

from __future__ import annotations

import gc
import json
import logging
import select
import sys

from nachos_jax.core.errors import UsageError
from nachos_jax.report.page import page
from nachos_jax.runtime import processes
from nachos_jax.runtime.forked import aside

PATIENCE = 900.0
"""Seconds that it waits for its order."""


def main(task: str) -> None:
    """Takes the order, if it comes."""
    say, sys.stdout = sys.stdout, sys.stderr  # what a package prints is no answer
    logging.getLogger("nachos_jax").addHandler(logging.NullHandler())  # who orders has read the records too
    page.prepare(task)
    gc.freeze()
    gc.set_threshold(100_000, 20, 10)
    ready, _, _ = select.select([sys.stdin], [], [], PATIENCE)
    order = sys.stdin.readline() if ready else ""
    if order:
        print(json.dumps(_written(json.loads(order)["workdir"])), file=say, flush=True)


def _written(workdir: str) -> dict[str, str]:
    """The path of the page, or why there is none."""
    try:
        return {"page": str(page.write(workdir, _pictures, aside))}
    except UsageError as error:
        return {"refused": str(error)}


def _pictures() -> None:
    """Waits until the pictures are there; who orders may give up before."""
    if not sys.stdin.readline():
        sys.exit(1)


if __name__ == "__main__":
    processes.die_with(int(sys.argv[2]))
    main(sys.argv[1])
