"""Which way the axes of volumes point, as axis codes, and arrays turned from one way to another.

Axis codes are nibabel's: for each axis of an array the side of the body that its index grows towards, L or R,
P or A, I or S; "RAS" has its first axis grow to the right. Of oblique volumes they are the nearest ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

_OTHER: dict[str, str] = dict(zip("LRPAIS", "RLAPSI", strict=True))
"""The opposite of each side."""


def is_codes(value: Any) -> bool:
    """Whether these are axis codes of three axes."""
    return isinstance(value, str) and sorted(min(side, _OTHER.get(side, "")) for side in value) == [*"AIL"]


def most(codes: Sequence[str]) -> str:
    """The axis codes that most volumes have, of several the first in the alphabet; "" where none has any."""
    counts = Counter(filter(None, codes))
    return min(counts, key=lambda one: (-counts[one], one), default="")


def order(own: str, wanted: str) -> tuple[int, ...]:
    """For each axis of a volume that points as `wanted`: its number in one that points as `own`."""
    return tuple(next(place for place, side in enumerate(own) if side in (to, _OTHER[to])) for to in wanted)


def turned(values: np.ndarray, own: str, wanted: str) -> np.ndarray:
    """A view of a volume that points as `own`, by axes alone brought to point as `wanted`.

    Args:
        values: [X, Y, Z], maybe with further axes behind these.
        own: its axis codes.
        wanted: those of what is given back.
    """
    axes = order(own, wanted)
    steps = tuple(
        slice(None, None, 1 if own[axis] == to else -1) for axis, to in zip(axes, wanted, strict=True)
    )
    return values.transpose(*axes, *range(3, values.ndim))[steps]
