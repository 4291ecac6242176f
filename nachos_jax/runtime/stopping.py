"""A signal that asks a run to stop. While it trains, it ends the epoch and saves its lanes first."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Generator
from typing import Any

EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, the same command goes on where this one ended."""


class StoppedError(BaseException):
    """The run ended early and can be taken up again by the same command.

    A signal raises it wherever the main thread is. So it is no Exception: whoever takes what a decoder raises
    for a damaged file lets it pass.
    """


_asked: list[str] = []
_deferred = False
_looks: list[Callable[[], object]] = []


def listen() -> None:
    """From now on SIGTERM and SIGUSR1 (what schedulers send before they end a job) stop the run.

    Outside of `deferred` they raise StoppedError on the spot.
    """
    for name in ("SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):  # Windows has no SIGUSR1
            signal.signal(getattr(signal, name), _ask)


@contextlib.contextmanager
def deferred() -> Generator[None]:
    """Inside, a signal is only noted: whoever trains looks at `asked` between epochs."""
    global _deferred
    _deferred = True
    try:
        yield
    finally:
        _deferred = False


def asked() -> str | None:
    """Name of the signal that asked the run to stop, or None."""
    return _asked[0] if _asked else None


def check() -> None:
    """Ends a thread beside the main one, which a signal cannot reach.

    Raises:
        StoppedError: a signal has asked the run to stop.
    """
    if _asked:
        raise StoppedError(_told())


@contextlib.contextmanager
def looking(look: Callable[[], object]) -> Generator[None]:
    """Inside, `between` makes this call: of who trains, while something is made that no epoch divides."""
    _looks.append(look)
    try:
        yield
    finally:
        _looks.remove(look)


def between() -> None:
    """To be called between the parts of what takes long, in the main thread.

    Raises:
        StoppedError: a signal has asked the run to stop, or who trains has seen that it must.
    """
    for look in tuple(_looks):
        look()


def _told() -> str:
    return f"stopped by {_asked[0]}: what is finished is kept, and the same command goes on."


def _ask(number: int, _frame: Any) -> None:
    _asked.append(signal.Signals(number).name)
    if not _deferred:
        raise StoppedError(_told())
