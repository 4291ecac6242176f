"""Who writes the report of a command: a process of its own, which prepares itself while this one begins.

Imports and drawing keep one core busy, so two processes need less time than two threads, which Python lets
take turns. Where there is no such process, or it is lost, the report is written here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.runtime import beside, processes

log = logging.getLogger("nachos_jax")


class Writer:
    """A context that makes ready for the report of a task, and writes it when it is told to.

    Args:
        task: name of the task.
        apart: whether a process of its own may do it.
    """

    def __init__(self, task: str, apart: bool):
        self._task, self._apart = task, apart
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Writer:
        if self._apart:
            with contextlib.suppress(OSError):  # no memory or no process is left: it is written here
                arguments = [self._task, str(os.getpid())]
                self._process = processes.start("nachos_jax.report.page.worker", arguments, {})
        else:
            beside.later(lambda: _page().prepare(self._task))
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                processes.pipe(stream).close()

    def write(self, workdir: str | os.PathLike, pictures: Callable[[], object]) -> Path:
        """As `nachos_jax.report.page.page.write`, while a call makes the gallery of errors, in this process.

        Raises:
            UsageError: the directory holds no run, or one of its records is damaged.
        """
        if self._process is None:
            with ThreadPoolExecutor(1, "gallery") as other:
                return _page().write(workdir, other.submit(pictures).result)
        self._tell({"workdir": os.fspath(workdir)})
        pictures()
        self._tell("pictures")
        line = processes.pipe(self._process.stdout).readline()
        if not line:
            log.debug("the process that writes reports has ended: the report is written here")
            return _page().write(workdir)
        answer = json.loads(line)
        if "refused" in answer:
            raise UsageError(answer["refused"])
        return Path(answer["page"])

    def _tell(self, order: Any) -> None:
        assert self._process is not None
        with contextlib.suppress(BrokenPipeError):  # that it has ended is heard
            print(json.dumps(order), file=processes.pipe(self._process.stdin), flush=True)


def _page() -> Any:
    from nachos_jax.report.page import page  # late: it is slow to import

    return page
