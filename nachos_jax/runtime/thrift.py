"""What Python does for long processes and a command need not wait for."""

from __future__ import annotations

import atexit
import contextlib
import gc
import logging
import os
import sys
from collections.abc import Callable


def collect_seldom() -> None:
    """A short run makes no cycles worth the time of looking through all that is imported again and again."""
    gc.set_threshold(100_000, 20, 10)


def leave_at_once() -> Callable[[int], None]:
    """Lets this process end without taking its modules and arrays apart, which takes half a second or more.

    Call it before what else is to be done at the end is registered: all of that is done before, and threads
    are waited for, as ever.

    Returns:
        To be told the exit code. Until then it is 1, what Python ends with after an error.
    """
    codes = [1]
    atexit.register(lambda: _leave(codes[-1]))  # the first one registered is called last
    return codes.append


def _leave(code: int) -> None:
    logging.shutdown()  # registered when it was imported, which may have been before
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more, or it is closed
            stream.flush()
    os._exit(code)
