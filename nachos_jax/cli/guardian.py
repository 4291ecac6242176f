"""A parent process that says in words how its child ended.

JAX's coordination client ends its process on the spot, with a stack trace, when process 0 is gone, and so
does its runtime when memory or threads run out. The parent turns that, and a kill by the system, into a
message and an exit code.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from typing import Any

from nachos_jax.runtime.stopping import EXIT_CODE

_PASSED_ON = ("SIGTERM", "SIGUSR1", "SIGINT")
_PR_SET_PDEATHSIG = 1
_HELD_UP = (
    "this process was stopped for longer than --lost_after, and the coordination service has given it up. "
    "What is finished is on disk; the same command goes on, with any number of processes."
)
_tell: list[int] = []
"""In the child: the pipe to its guardian."""


def guard(lost_touch: str | None) -> None:
    """Goes on in a child process; the parent stays here until the child has ended, and ends like it.

    Call it before any thread is started and before JAX is imported.

    Args:
        lost_touch: what to say when the coordination client has ended the child; None in process 0, which
            loses touch with itself only when it was stopped as a whole.
    """
    parent = os.getpid()
    listen, tell = os.pipe()
    passed_on = {getattr(signal, name) for name in _PASSED_ON}
    # One that comes between the fork and the handlers waits, or it would end the parent.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(listen)
        _tell.append(tell)
        _die_with(parent)
        return
    os.close(tell)
    for one in passed_on:
        signal.signal(one, lambda number, _: _pass_on(number, child))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    status, stopped = _wait(child)
    code, lost_touch = os.waitstatus_to_exitcode(status), lost_touch or (_HELD_UP if stopped else None)
    if code == -signal.SIGABRT and os.read(listen, 1):
        code = 0  # process 0 went away while this one was taking its leave
    if code < 0:
        print(f"nachos: {_words(-code, lost_touch)}", file=sys.stderr, flush=True)
        aborted = EXIT_CODE if lost_touch else 2
        code = aborted if -code == signal.SIGABRT else 128 - code
    os._exit(code)


def _pass_on(number: int, child: int) -> None:
    """Tells the child of a signal, but not of a Ctrl-C, which the terminal has told it as well."""
    if number == signal.SIGINT:
        with contextlib.suppress(OSError):
            if os.tcgetpgrp(0) == os.getpgrp():
                return
    os.kill(child, number)


def guarded() -> bool:
    """Whether this process is the child of a guardian."""
    return bool(_tell)


def all_is_done() -> None:
    """The child tells its guardian that however it ends from now on, its work is done."""
    for tell in _tell:
        os.write(tell, b".")


def _wait(child: int) -> tuple[int, bool]:
    """The status of the child when it has ended, and whether it was stopped (SIGSTOP) before."""
    stopped = False
    while True:
        try:
            status = os.waitpid(child, os.WUNTRACED | os.WCONTINUED)[1]
        except InterruptedError:  # by signals that are passed on
            continue
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return status, stopped
        stopped = True


def _words(number: int, lost_touch: str | None) -> str:
    """What to say of a child that this signal has ended."""
    if number == signal.SIGABRT and lost_touch:
        return lost_touch
    name = signal.Signals(number).name
    why = {
        signal.SIGKILL: ", perhaps by the system because memory ran short",
        signal.SIGABRT: ", most often because memory or threads ran short (see `ulimit -a`)",
    }.get(signal.Signals(number), "")
    return f"this process was ended by {name}{why}; what is finished is kept, and the same command resumes."


def _die_with(parent: int) -> None:
    """Lets the system end this process when its parent is killed."""
    try:
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):  # not Linux: an orphan then ends with process 0
        return
    if os.getppid() != parent:
        os._exit(1)
