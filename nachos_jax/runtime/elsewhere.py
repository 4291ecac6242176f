"""Calls that a second process makes: its slow imports are then no wait of this one.

Both talk in lines of JSON on the second one's standard input and output. A call is {"call": [module, name],
"with": its arguments}, and its answer {"made": the result}, null where it failed; then, as where nobody
answers, the call is made here.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import pickle
import subprocess
import threading
import warnings
from collections.abc import Callable, Generator
from typing import IO, Any, TypeVar

from nachos_jax.runtime import processes

Made = TypeVar("Made")

LONGEST = 3600.0
"""Seconds of waiting for one answer after which the process is taken to hang, and ended."""

Tell = Callable[[str, Any], None]
"""(name, value): says {name: value} to who listens."""

_companions: list[Companion] = []


class Companion:
    """The second process, seen from the first.

    Args:
        process: with pipes of text, see `nachos_jax.runtime.processes`.
        warn: what becomes of a warning of its.
    """

    def __init__(self, process: subprocess.Popen[str], warn: Callable[[str], None]) -> None:
        self.process = process
        self._warn, self._one_at_a_time = warn, threading.Lock()

    def say(self, value: Any) -> None:
        """Says something.

        Raises:
            OSError: the process has ended.
        """
        stream = processes.pipe(self.process.stdin)
        stream.write(json.dumps(value) + "\n")
        stream.flush()

    def heard(self, name: str) -> Any:
        """What it says of this name, None if it ends before, or hangs."""
        limit = threading.Timer(LONGEST, self.process.kill)
        limit.daemon = True
        limit.start()
        try:
            for line in processes.pipe(self.process.stdout):
                told = _told(line)
                if "warning" in told:
                    self._warn(told["warning"])
                elif name in told:
                    return told[name]
        finally:
            limit.cancel()
        return None

    def answer(self, function: Callable, args: tuple) -> str | None:
        """The packed result of a call, None where there is none."""
        with self._one_at_a_time, contextlib.suppress(OSError):
            self.say({"call": [function.__module__, function.__name__], "with": _packed(args)})
            return self.heard("made")
        return None


@contextlib.contextmanager
def accompanied_by(companion: Companion) -> Generator[None]:
    """Lets it make the calls of this process."""
    _companions.append(companion)
    try:
        yield
    finally:
        no_more(companion)


def no_more(companion: Companion) -> None:
    """It makes no further calls; what is said to it now is for somebody else there."""
    if companion in _companions:
        _companions.remove(companion)


def call(function: Callable[..., Made], *args: Any) -> Made:
    """function(*args), made by the second process where there is one that can.

    Args:
        function: of a module, by a name of its own; it depends on its arguments alone.
        args: what pickle can take.
    """
    made = _companions[-1].answer(function, args) if _companions else None
    return function(*args) if made is None else pickle.loads(base64.b64decode(made))  # noqa: S301  our own


def serve(hear: IO[str], tell: Tell) -> str:
    """In the second process: answers calls until a line is something else, and returns it; "" at the end."""
    while line := hear.readline():
        told = json.loads(line)
        if not isinstance(told, dict) or "call" not in told:
            return line
        module, name = told["call"]
        tell("made", _answer(module, name, told["with"]))
    return ""


def _answer(module: str, name: str, given: str) -> str | None:
    try:
        # Noted and not raised: one may come from another thread, which imports meanwhile.
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            args = pickle.loads(base64.b64decode(given))  # noqa: S301  of who started this process
            made = _packed(getattr(importlib.import_module(module), name)(*args))
        return None if seen else made  # nobody would see them here
    except Exception:  # the caller makes the call, and meets the same
        return None


def _told(line: str) -> dict[str, Any]:
    """What a line says; nothing where a library has written it."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _packed(value: Any) -> str:
    return base64.b64encode(pickle.dumps(value)).decode()
