"""Imports of seconds that training does not need, made in a thread while a program compiles or trains."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("nachos_jax")

_waiting: list[Callable[[], object]] = []


def later(call: Callable[[], object]) -> None:
    """Notes what may be done beside: something that is harmless to do again, and may fail."""
    _waiting.append(call)


def begin() -> None:
    """Starts what waits, the last first, because it is wanted first; returns at once.

    The process waits at its end for what has begun: a thread that dies within an import may take it along.
    """
    if _waiting:
        calls = [_waiting.pop() for _ in range(len(_waiting))]
        threading.Thread(target=_do, args=(calls,), name="beside").start()


def _do(calls: list[Callable[[], object]]) -> None:
    for call in calls:
        try:
            call()
        except Exception as error:  # whoever needs it later meets the same error, and tells it
            log.debug("beside training: %r", error)
