"""A call beside the rest, in a fork of this process: for processes in which no other thread is at work.

A process that has started JAX must not be forked, its threads would be missing; a report needs no JAX.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from nachos_jax.runtime import cores

Aside = Callable[[Callable[[], Any]], Callable[[], Any]]
"""Takes a call and gives one that waits for its result, which is the same after a way through JSON."""


def at_once(call: Callable[[], Any]) -> Callable[[], Any]:
    """Makes the call now, in this process."""
    found = call()
    return lambda: found


def aside(call: Callable[[], Any]) -> Callable[[], Any]:
    """Makes the call in a fork, where there is a second core for it and the system is one that forks well.

    If the fork does not give the result, for whatever reason, the call is made again here, which then meets
    its error, if it has one, in the process that can tell it.
    """
    if sys.platform != "linux" or cores.available() < 2:
        return at_once(call)
    listen, tell = os.pipe()
    with warnings.catch_warnings():
        # Of the threads of the linear algebra, which takes them down before a fork and makes them anew.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os.close(listen)
        _answer(call, tell)
    os.close(tell)
    return functools.partial(_result, call, listen, child)


def _answer(call: Callable[[], Any], tell: int) -> None:
    """Makes the call and ends this process, without what else the process has to do at its end."""
    code = 1
    try:
        text = json.dumps(call()).encode()
        with os.fdopen(tell, "wb") as file:
            file.write(text)
        code = 0
    finally:
        os._exit(code)


def _result(call: Callable[[], Any], listen: int, child: int) -> Any:
    with os.fdopen(listen, "rb") as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    return call() if status else json.loads(text)
