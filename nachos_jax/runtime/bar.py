"""How far something is that goes through many things: a bar on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import logging
import sys
import time

log = logging.getLogger("nachos_jax")
LINE_EVERY = 60.0


class Bar:
    """A context that shows how many of `count` things are done.

    Args:
        title: what is done.
        things: what is counted.
        count: how many there are.
        last: whether, without a terminal, a line tells the end too.
    """

    def __init__(self, title: str, things: str, count: int, last: bool = True):
        from tqdm import tqdm  # late: it is slow to import

        self._title, self._things, self._end = title, things, count if last else -1
        self._start = self._last = time.monotonic()
        self._bar = tqdm(total=count, desc=title, unit=f" {things}", disable=not sys.stderr.isatty())

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def show(self, done: int, count: int) -> None:
        """Told after each of them, or after several."""
        self._bar.update(done - self._bar.n)
        now = time.monotonic()
        if self._bar.disable and (now - self._last > LINE_EVERY or done == self._end):
            self._last = now
            rate = done / max(now - self._start, 1e-9)
            log.info("%s: %d/%d %s, %.3g a second", self._title, done, count, self._things, rate)
