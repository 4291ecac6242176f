"""The order of inner folds: a round-robin tournament by the circle method.

In round r outer folds t and v are each other's inner fold, so a fit that leaves both out serves the two
studies at the same time, and policies that stop after some folds still share all that they train.
"""

from __future__ import annotations

from collections.abc import Sequence


def order(outer: int | None, inner: Sequence[int]) -> tuple[int, ...]:
    """The inner folds of a study in the order of its rounds.

    Args:
        outer: outer fold number, or None for a study without one, which takes its folds as they come.
        inner: its inner folds, in any order.

    Returns:
        The same inner folds. Over all outer folds of a division, fold v stands as late in the order of t as t
        does in that of v, but for byes when the number of folds is odd.
    """
    if outer is None:
        return tuple(inner)
    teams = {fold: place for place, fold in enumerate(sorted([outer, *inner]))}
    rounds = len(teams) - 1 + len(teams) % 2  # an odd number of folds has a bye in each round
    return tuple(sorted(inner, key=lambda fold: _round(teams[outer], teams[fold], rounds)))


def _round(a: int, b: int, rounds: int) -> int:
    """The round in which two teams meet; team `rounds`, if there is one, stays where it is."""
    if rounds in (a, b):
        return 2 * min(a, b) % rounds
    return (a + b) % rounds
