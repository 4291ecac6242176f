"""What people see while a run goes on: a bar on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nachos_jax.runtime.periodic import every

log = logging.getLogger("nachos_jax")
LINE_EVERY, REFRESH_EVERY = 60.0, 5.0
COMPILING, ENDED = "compiling and timing", "ended"


@dataclass(frozen=True)
class Status:
    """Where a run stands.

    Attributes:
        fits: fits ended, those found on disk included.
        planned: fits that this run will have made, as far as is known now.
        busy: lanes with a fit.
        lanes: lanes.
        best: best selection score so far, or None.
        epochs: epochs trained by this launch, summed over fits.
        rate: epochs a second while training.
        left: epochs that are left, as far as is known now.
    """

    fits: int = 0
    planned: int = 0
    busy: int = 0
    lanes: int = 0
    best: float | None = None
    epochs: int = 0
    rate: float = 0.0
    left: float = 0.0


class Progress:
    """Shows a Status; `quiet` shows nothing."""

    def __init__(self, title: str, quiet: bool = False):
        self._title, self._quiet = title, quiet
        self._status, self._doing = Status(), lambda: ""
        self._thread = contextlib.ExitStack()
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            layout = "{desc} {bar} {n_fmt}/{total_fmt} fits{postfix}"
            self._bar = tqdm(total=1, desc=title, bar_format=layout, dynamic_ncols=True)

    def watch(self, doing: Callable[[], str]) -> None:
        """Shows from now on where the run stands, also while nothing ends.

        Args:
            doing: tells what the process does now.
        """
        self._doing = doing
        seconds, call = (REFRESH_EVERY, self._refresh) if self._bar is not None else (LINE_EVERY, self.line)
        if not self._quiet:
            self._thread.enter_context(every(seconds, lambda count: count and call(), "progress"))

    def show(self, status: Status) -> None:
        """Shows where the run stands now."""
        first, self._status = not self._status.epochs, status
        if self._bar is not None:
            self._refresh()
        elif first and status.epochs and not self._quiet:
            self.line()

    def _refresh(self) -> None:
        self._bar.total, self._bar.n = max(self._status.planned, 1), self._status.fits
        self._bar.set_postfix_str(self.details(), refresh=True)

    def line(self) -> None:
        """Writes one line of text to the log."""
        log.info("%s: %d/%d fits, %s", self._title, self._status.fits, self._status.planned, self.details())

    def details(self) -> str:
        """E.g. "120 epochs, lanes 4/4, 3.1 epochs/s, best 0.912, 3 min left"."""
        status, doing = self._status, self._doing()
        told = [f"{status.epochs:,} epochs", f"lanes {status.busy}/{status.lanes}"]
        told += [f"{status.rate:.3g} epochs/s"] if status.rate else []
        told += [doing] if doing.startswith(COMPILING) else []
        best = "best -" if status.best is None else f"best {status.best:.3f}"
        return ", ".join([*told, best, left(status.left, status.rate)])

    def close(self) -> None:
        """Leaves the last state on the screen."""
        self._thread.close()
        self.show(replace(self._status, busy=0))
        if self._bar is not None:
            self._bar.close()


def left(epochs: float, rate: float) -> str:
    """The time that epochs will take, in words."""
    if not rate:
        return "time left unknown"
    seconds = epochs / rate
    return f"{seconds:.0f} s left" if seconds < 100 else f"{seconds / 60:.0f} min left"
