"""The page at the end of a run, written by a process of its own while this one makes the pictures.

The process begins with the run: its imports, some seconds of them, then cost training nothing. Whatever
happens to it, the page is written here instead, and what refuses it is told here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nachos_jax.cli import guardian
from nachos_jax.runtime import beside, processes

log = logging.getLogger("nachos_jax")

LONGEST = 3600.0
"""Seconds of waiting for one answer after which the process is taken to hang, and ended."""


class Writer:
    """Writes the page of a run."""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process, self._asked = process, False

    def write(self, run: Any) -> Path:
        """Writes gallery and page of an opened run, and says where the page lies.

        Raises:
            UsageError: one of its records is damaged; no picture is made of it then.
            StoppedError: stopped by a signal while pictures were made.
        """
        return self._by_process(run) or _written(run)

    def close(self) -> None:
        """Ends the process; one that is at work ends it first, but writes no page."""
        if self._process is None:
            return
        if not self._asked:
            self._process.kill()
        with contextlib.suppress(OSError), self._process:
            pass

    def _by_process(self, run: Any) -> Path | None:
        """As `write`; None where the process is not there any more or could not do it."""
        if self._process is None:
            return None
        self._asked = True
        try:
            self._say(str(run.store.path))
            if not self._heard("read"):
                return None
            _pictures().write_or_warn(run)
            self._say(True)
            path = self._heard("page")
        except OSError:  # it has ended
            return None
        return Path(path) if path else None

    def _say(self, value: Any) -> None:
        assert self._process is not None
        stream = processes.pipe(self._process.stdin)
        stream.write(json.dumps(value) + "\n")
        stream.flush()

    def _heard(self, name: str) -> Any:
        """What it says of this name, None if it ends before; its warnings go to the log."""
        assert self._process is not None
        limit = threading.Timer(LONGEST, self._process.kill)
        limit.daemon = True
        limit.start()
        try:
            for line in processes.pipe(self._process.stdout):
                told = json.loads(line)
                if "warning" in told:
                    log.warning("%s", told["warning"])
                elif name in told:
                    return told[name]
        finally:
            limit.cancel()
        return None


@contextlib.contextmanager
def writer(task: str) -> Generator[Writer]:
    """Begins to make ready what the page of such a run waits for; by a process in the command alone."""
    process = _process(task)
    made = Writer(process)
    beside.later(_pictures if process else lambda: _page().prepare(task))
    try:
        yield made
    finally:
        made.close()


def _process(task: str) -> subprocess.Popen[str] | None:
    if not guardian.guarded():
        return None
    try:
        return processes.start("nachos_jax.report.page.writer", [task], {}, errors=subprocess.DEVNULL)
    except OSError:
        return None


def _written(run: Any) -> Path:
    """As `Writer.write`, in this process."""
    from nachos_jax.report.reading import evidence

    found = evidence.read(run.store)  # refuses damaged records before pictures are made of them
    with ThreadPoolExecutor(1, "gallery") as other:
        pictures = other.submit(_pictures().write_or_warn, run)
        return _page().of(run.store, found, pictures.result)


def _pictures() -> Any:
    """What makes pictures; it takes a second to import."""
    from nachos_jax.protocol.model import gallery

    return gallery


def _page() -> Any:
    """What makes numbers and page of a report; it takes seconds to import."""
    from nachos_jax.report.page import page

    return page
