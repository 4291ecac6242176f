"""A process that writes one page: `python -m nachos_jax.report.page.writer TASK`.

While others train it makes ready what a page waits for. Lines of JSON on its standard input and output are
the talk, see `main`. It ends when its input does, and so with who started it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import pickle
import select
import sys
from collections.abc import Callable
from typing import IO, Any

from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from nachos_jax.report.page.shared import Found
from nachos_jax.report.reading import evidence

PATIENCE = 900
"""Seconds after which it gives its memory back: to a run of hours the imports are nothing."""


def main(task: str, hear: IO[str], say: IO[str]) -> None:
    """Waits for a run directory, writes its page and says where it lies.

    Heard: the run directory, then true once the gallery of errors is there. Said: {"read": true} before
    anything is written, {"warning": text} for what the log should hold, {"page": path} at the end.

    Args:
        task: that the run is expected to have.
        hear: what comes in.
        say: what goes out.
    """

    def tell(name: str, value: Any) -> None:
        print(json.dumps({name: value}), file=say, flush=True)

    def pictures() -> None:
        if not hear.readline():
            sys.exit(1)  # nobody waits for the page any more

    page.prepare(task)
    if not select.select([hear], [], [], PATIENCE)[0] or not (line := hear.readline()):
        return
    logging.getLogger("nachos_jax").addHandler(_Passing(tell))
    directory = RunDirectory(json.loads(line))
    found = evidence.read(directory)
    tell("read", True)
    tell("page", str(page.of(directory, found, pictures, forked)))


def forked(call: Callable[[], Found]) -> Callable[[], Found]:
    """Begins a call in a copy of this process, which has no threads; a call without result is made here."""
    inward, outward = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException), os.fdopen(outward, "wb") as pipe:
            pickle.dump(call(), pipe)
        os._exit(0)
    os.close(outward)

    @functools.cache
    def result() -> Found:
        with os.fdopen(inward, "rb") as pipe:
            data = pipe.read()
        os.waitpid(child, 0)
        try:
            return pickle.loads(data)  # noqa: S301  from this very process
        except (EOFError, pickle.UnpicklingError):
            return call()

    return result


class _Passing(logging.Handler):
    """Tells warnings to who keeps the log."""

    def __init__(self, tell: Any) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell("warning", record.getMessage())


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    main(sys.argv[1], sys.stdin, answers)
