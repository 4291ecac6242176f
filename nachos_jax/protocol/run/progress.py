"""What people see while a run goes on: a bar on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

log = logging.getLogger("nachos_jax")
LINE_EVERY = 60.0


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        fits: fits ended, those found on disk included.
        planned: fits that this run will have made, as far as is known now.
        trained: fits ended by this process.
        busy: lanes with a fit.
        lanes: lanes.
        best: best selection score so far, or None.
    """

    fits: int = 0
    planned: int = 0
    trained: int = 0
    busy: int = 0
    lanes: int = 0
    best: float | None = None


class Progress:
    """Shows a Status; `quiet` shows nothing."""

    def __init__(self, title: str, quiet: bool = False):
        self._title, self._quiet = title, quiet
        self._start = self._last_line = time.monotonic()
        self._status = Status()
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            layout = "{desc} {bar} {n_fmt}/{total_fmt} fits{postfix}"
            self._bar = tqdm(total=1, desc=title, bar_format=layout, dynamic_ncols=True)

    def show(self, status: Status) -> None:
        """Shows where the run stands now."""
        self._status = status
        if self._bar is not None:
            self._bar.total, self._bar.n = max(status.planned, 1), status.fits
            self._bar.set_postfix_str(self.details(), refresh=True)
        elif not self._quiet and time.monotonic() - self._last_line >= LINE_EVERY:
            self._last_line = time.monotonic()
            self.line()

    def line(self) -> None:
        """Writes one line of text to the log."""
        log.info("%s: %d/%d fits, %s", self._title, self._status.fits, self._status.planned, self.details())

    def details(self) -> str:
        """Lanes busy, best score and time left, e.g. "lanes 4/4, best 0.912, 3 min left"."""
        status = self._status
        best = "best -" if status.best is None else f"best {status.best:.3f}"
        return f"lanes {status.busy}/{status.lanes}, {best}, {self._left()}"

    def _left(self) -> str:
        status = self._status
        if not status.trained:
            return "time left unknown"
        seconds = (time.monotonic() - self._start) / status.trained * max(status.planned - status.fits, 0)
        return f"{seconds:.0f} s left" if seconds < 100 else f"{seconds / 60:.0f} min left"

    def close(self) -> None:
        """Leaves the last state on the screen."""
        self.show(replace(self._status, busy=0))
        if self._bar is not None:
            self._bar.close()
