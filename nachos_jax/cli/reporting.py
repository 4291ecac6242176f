"""The page at the end of a run, written by a process of its own while this one makes the pictures.

The process begins before the config is read, makes some calls for this one at first
(`nachos_jax.runtime.elsewhere`), and has imported what a page needs when asked for one. Whatever happens
to it, the page is written here instead, and what refuses it is told here.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nachos_jax.cli import guardian
from nachos_jax.runtime import beside, elsewhere, processes
from nachos_jax.runtime.elsewhere import Companion

log = logging.getLogger("nachos_jax")


class Writer:
    """Writes the page of a run."""

    def __init__(self, companion: Companion | None) -> None:
        self._companion, self._asked = companion, False

    def expects(self, task: str) -> None:
        """Makes ready what a page of this task waits for, while others train; call it before the run."""
        companion = self._companion
        if companion is None:
            beside.later(lambda: _page().prepare(task))
            return
        with contextlib.suppress(OSError):  # it has ended
            companion.say({"task": task})
        beside.later(_pictures)

    def write(self, run: Any) -> Path:
        """Writes gallery and page of an opened run, and says where the page lies.

        Raises:
            UsageError: one of its records is damaged; no picture is made of it then.
            StoppedError: stopped by a signal while pictures were made.
        """
        return self._by_process(run) or _written(run)

    def close(self) -> None:
        """Ends the process; one that is at work ends it first, but writes no page."""
        if self._companion is None:
            return
        if not self._asked:
            self._companion.process.kill()
        with contextlib.suppress(OSError), self._companion.process:
            pass

    def _by_process(self, run: Any) -> Path | None:
        """As `write`; None where the process is not there any more or could not do it."""
        companion = self._companion
        if companion is None:
            return None
        elsewhere.no_more(companion)
        self._asked = True
        try:
            companion.say(str(run.store.path))
            if not companion.heard("read"):
                return None
            _pictures().write_or_warn(run)
            companion.say(True)
            path = companion.heard("page")
        except OSError:  # it has ended
            return None
        return Path(path) if path else None


@contextlib.contextmanager
def writer(first: bool = True) -> Generator[Writer]:
    """Begins what the page waits for: in the first process of a launched command by a process of its own."""
    companion = _companion() if first and guardian.guarded() else None
    made = Writer(companion)
    try:
        with elsewhere.accompanied_by(companion) if companion else contextlib.nullcontext():
            yield made
    finally:
        made.close()


def _companion() -> Companion | None:
    try:
        process = processes.start("nachos_jax.cli.companion", [], {}, errors=subprocess.DEVNULL)
    except OSError:
        return None
    return Companion(process, lambda told: log.warning("%s", told))


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
