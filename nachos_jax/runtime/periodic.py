"""A thread that does something every few seconds while the rest of the process is busy."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Generator

from nachos_jax.runtime.stopping import StoppedError

log = logging.getLogger("nachos_jax")


@contextlib.contextmanager
def every(seconds: float, call: Callable[[int], object], name: str) -> Generator[None]:
    """Makes the calls call(0), call(1), ... in a thread until the context ends; the first one at once.

    Args:
        seconds: from the end of a call to the next one.
        call: what to do. If it raises, that is told once, and the next call is made all the same: what failed
            for a moment must not stay undone for good.
        name: of the thread.
    """
    over, counts = threading.Event(), itertools.count()

    def go_on() -> None:
        failing = False
        while not over.is_set():
            try:
                call(next(counts))
                failing = False
            except (Exception, StoppedError) as error:
                # At the end a call may be cut off on purpose.
                if not failing and not over.is_set():
                    log.warning("%s failed, and is tried again every %g seconds: %s", name, seconds, error)
                failing = True
            over.wait(seconds)

    thread = threading.Thread(target=go_on, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
