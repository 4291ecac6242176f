"""The resolutions of a U-Net: which axes are halved at each, how long its kernels are, how many channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST = 4
"""Pixels that nnU-Net keeps along an axis."""
_FEWEST, _MOST, _MOST_3D = 4, 512, 320
"""Channels of a level; at most as many as nnU-Net's."""


@dataclass(frozen=True)
class Level:
    """One resolution, the first of which is that of the patch."""

    stride: tuple[int, ...]  # 1 or 2 along each axis, from the level above
    kernel: tuple[int, ...]  # side of its convolutions along each axis, 1 or 3


def levels(
    patch: Sequence[float], spacing: Sequence[float], most: int | None = None, least: int = LEAST
) -> tuple[Level, ...]:
    """The levels that nnU-Net plans (Isensee et al. 2021, "nnU-Net", Methods; rule of version 2).

    An axis is halved while it keeps 4 pixels and its spacing is below twice the finest of those that can be
    halved; one that is left alone needs half as many pixels again. Kernels are 1 along an axis until its
    spacing is below twice the finest, and 3 everywhere at the lowest level.

    Args:
        patch: pixels along each axis.
        spacing: mm (or any unit) between pixels along each axis.
        most: levels wanted; None for all that the patch allows.
        least: pixels that an axis keeps when none can be halved that would keep 4.
    """
    sides, steps = list(patch), list(spacing)
    stride, kernel = (1,) * len(sides), (1,) * len(sides)
    found: list[Level] = []
    while True:
        finest = min(steps, default=1.0)
        kernel = tuple(
            3 if old == 3 or step < 2 * finest else 1 for old, step in zip(kernel, steps, strict=True)
        )
        found.append(Level(stride, kernel))
        halved = _to_halve(sides, steps, LEAST) or _to_halve(sides, steps, least)
        if not halved or len(found) == most:
            return (*found[:-1], Level(stride, (3,) * len(sides)))
        stride = tuple(2 if axis in halved else 1 for axis in range(len(sides)))
        sides = [-(-side // factor) for side, factor in zip(sides, stride, strict=True)]
        steps = [step * factor for step, factor in zip(steps, stride, strict=True)]


def flat_levels(spacing: Sequence[float]) -> int:
    """Levels before the first axis, the widest, is halved with the finest: floor(log2(first / finest))."""
    return max(0, math.floor(math.log2(spacing[0] / min(spacing))))


def channels(width: int, multiplier: float, count: int, axes: int) -> list[int]:
    """Channels of each of so many levels of a network of 2 or 3 axes."""
    most = _MOST_3D if axes == 3 else _MOST
    return [min(most, max(_FEWEST, round(width * multiplier**level))) for level in range(count)]


def _to_halve(sides: Sequence[float], steps: Sequence[float], least: int) -> set[int]:
    """The axes that are halved next."""
    long = [axis for axis, side in enumerate(sides) if side >= 2 * least]
    finest = min((steps[axis] for axis in long), default=0.0)
    near = {axis for axis in long if steps[axis] < 2 * finest}
    alone = len(near) == 1 and sides[next(iter(near))] < 3 * least
    return set() if alone else near
