"""The patch that a network is given, where the config does not say: as large as cases are, within limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

SIDES = ("segmentation.patch_depth", "segmentation.patch_height", "segmentation.patch_width")
"""Hyperparameters of the sides."""
STEP = 8
"""Sides are multiples of it, so that they can be halved three times."""
MOST = {2: 256 * 256, 3: 64 * 64 * 64}
"""Voxels of a planned patch, by dimensions."""


def planned(median: Sequence[int], given: Sequence[int], dimensions: int) -> tuple[int, ...]:
    """Sides (D, H, W) of a patch.

    A side that is not given (0) is that of the case in the middle, rounded up, so that most cases fit into
    one patch (nnU-Net's rule); while a patch has more voxels than MOST, its longest planned side shrinks.

    Args:
        median: (D, H, W) of the cases.
        given: sides that the config gives, 0 for those that it leaves open.
        dimensions: 2 for slices across the first axis, or 3.
    """
    flat = dimensions == 2 or median[0] == 1
    sides = [side or _rounded(middle) for side, middle in zip(given, median, strict=True)]
    if flat:
        sides[0] = 1
    free = [axis for axis in range(3) if not given[axis] and sides[axis] > STEP]
    while free and math.prod(sides) > MOST[2 if flat else 3]:
        longest = max(free, key=sides.__getitem__)
        sides[longest] -= STEP
        free = [axis for axis in free if sides[axis] > STEP]
    return tuple(sides)


def _rounded(side: int) -> int:
    return side if side < STEP else -(-side // STEP) * STEP
