"""A thread that does something every few seconds while the rest of the process is busy."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator

from nachos_jax.core.stopping import StoppedError


@contextlib.contextmanager
def every(seconds: float, call: Callable[[int], object], name: str) -> Iterator[None]:
    """Makes the calls call(0), call(1), ... in a thread until the context ends; the first one at once.

    Args:
        seconds: from the end of a call to the next one.
        call: what to do. If it raises StoppedError, the thread ends without a word: the main thread will meet
            the same.
        name: of the thread.
    """
    over, counts = threading.Event(), itertools.count()

    def go_on() -> None:
        with contextlib.suppress(StoppedError):
            while not over.is_set():
                call(next(counts))
                over.wait(seconds)

    thread = threading.Thread(target=go_on, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
