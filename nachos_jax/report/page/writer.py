"""Writes a page in a process of its own, while the one that trained makes the gallery of errors."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import pickle
import sys
from collections.abc import Callable
from typing import IO, Any

from nachos_jax.records.store import RunDirectory
from nachos_jax.report.page import page
from nachos_jax.report.page.shared import Found
from nachos_jax.report.reading import evidence


def write(path: str, hear: IO[str], tell: Callable[[str, Any], None]) -> None:
    """Writes the page of a run directory and says where it lies.

    Told: {"read": true} before anything is written, {"warning": text} for what the log should hold,
    {"page": path} at the end.

    Args:
        path: the run directory.
        hear: a line comes in once the gallery of errors is there.
        tell: (name, value), says it to who waits.
    """

    def pictures() -> None:
        if not hear.readline():
            sys.exit(1)  # nobody waits for the page any more

    logging.getLogger("nachos_jax").addHandler(_Passing(tell))
    directory = RunDirectory(path)
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
