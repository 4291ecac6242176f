"""The page at the end of a run, written by a process of its own while this one makes the pictures.

The process begins before the run, makes some calls for it at first (`nachos_jax.runtime.elsewhere`), and has
imported what a page needs when it is asked for one. Whatever happens to it, the page is written here instead,
and what refuses it is told here.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nachos_jax.cli import guardian
from nachos_jax.runtime import beside, elsewhere, processes
from nachos_jax.runtime.elsewhere import Helper

log = logging.getLogger("nachos_jax")


class Writer:
    """Writes the page of a run."""

    def __init__(self, helper: Helper | None) -> None:
        self._helper, self._asked = helper, False

    def write(self, run: Any) -> Path:
        """Writes gallery and page of an opened run, and says where the page lies.

        Raises:
            UsageError: one of its records is damaged; no picture is made of it then.
            StoppedError: stopped by a signal while pictures were made.
        """
        return self._by_process(run) or _written(run)

    def close(self) -> None:
        """Ends the process; one that is at work ends it first, but writes no page."""
        if self._helper is None:
            return
        if not self._asked:
            self._helper.process.kill()
        with contextlib.suppress(OSError), self._helper.process:
            pass

    def _by_process(self, run: Any) -> Path | None:
        """As `write`; None where the process is not there any more or could not do it."""
        helper = self._helper
        if helper is None:
            return None
        elsewhere.no_more(helper)
        self._asked = True
        try:
            helper.say(str(run.store.path))
            if not helper.heard("read"):
                return None
            _pictures().write_or_warn(run)
            helper.say(True)
            path = helper.heard("page")
        except OSError:  # it has ended
            return None
        return Path(path) if path else None


@contextlib.contextmanager
def writer(task: str) -> Iterator[Writer]:
    """Begins to make ready what the page of such a run waits for; by a process in the command alone."""
    helper = _helper(task)
    made = Writer(helper)
    beside.later(_pictures if helper else lambda: _page().prepare(task))
    try:
        with elsewhere.helped_by(helper) if helper else contextlib.nullcontext():
            yield made
    finally:
        made.close()


def _helper(task: str) -> Helper | None:
    if not guardian.guarded():
        return None
    try:
        process = processes.start("nachos_jax.cli.helper", [task], {}, errors=subprocess.DEVNULL)
    except OSError:
        return None
    return Helper(process, lambda told: log.warning("%s", told))


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
