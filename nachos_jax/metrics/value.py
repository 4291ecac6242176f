"""A number with what a reader must know of it: the one type in which metrics answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """A metric's value with what a reader must know of it."""

    value: float | None  # the number, or None where it is undefined
    note: str = ""  # the reason when undefined, else a qualification; empty when there is none


def share(part: float, whole: float, reason: str) -> Value:
    """`part / whole`, or None with the reason where the whole is 0."""
    return Value(float(part / whole)) if whole else Value(None, reason)
