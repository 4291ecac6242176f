"""Calls that a process and a copy of it share out between them: whoever is free takes the next one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Found = TypeVar("Found")


class Aside(Protocol):
    """Has a call made beside what follows."""

    def __call__(self, call: Callable[[], Found], /) -> Callable[[], Found]:
        """Begins it; what this returns waits for the result, and may be asked again."""
        ...


def at_once(call: Callable[[], Found]) -> Callable[[], Found]:
    """Begins and ends a call."""
    found = call()
    return lambda: found


def shared(calls: Sequence[Callable[[], Found]], aside: Aside) -> list[Found]:
    """The results of the calls, in their order; the longest calls had better come first.

    Their numbers wait in a pipe, from which both read one at a time. What a copy has taken and does not bring
    back is made here.

    Args:
        calls: at most 256.
        aside: begins the copy's share.
    """
    inward, outward = os.pipe()
    os.write(outward, bytes(range(len(calls))))
    os.close(outward)

    def share() -> dict[int, Found]:
        found = {}
        while taken := os.read(inward, 1):
            found[taken[0]] = calls[taken[0]]()
        return found

    try:
        theirs = aside(share)
        found = share()
        found |= theirs()
    finally:
        os.close(inward)
    return [found[number] if number in found else call() for number, call in enumerate(calls)]
