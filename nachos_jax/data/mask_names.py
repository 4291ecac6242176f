"""Which label each name of a source is of: names may or may not begin with that of the background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nachos_jax.data.checks import listed
from nachos_jax.data.columns import Columns

BACKGROUND = frozenset(("background", "bg", "none", "nothing", "unlabeled", "unlabelled", "hintergrund"))
"""Names of label 0, in small letters, that may stand in front of those of the classes."""


def of_classes(order: Sequence[str], voxels: np.ndarray) -> tuple[str, ...]:
    """The names of the labels 1, 2, ...; the first is left out if it is that of the background.

    Args:
        order: names as the source has them.
        voxels: [N, 256] of each label.
    """
    first = bool(order) and (_is_background(order[0]) or len(order) == _largest(voxels) + 1)
    return tuple(order[1:]) if first else tuple(order)


def doubt(columns: Columns, classes: Sequence[str], external: bool) -> str:
    """What is to be told where the first name may be that of 0 or of 1, with the cure; "" where it may not.

    Args:
        columns: of cases with masks.
        classes: names that the user gives, or of external cases those inside; () takes those of the source.
        external: whether nothing is learned of these cases.
    """
    order = tuple(columns.order)
    if columns.masks is None or not order or _is_background(order[0]):
        return ""
    told = f"{columns.source} names the labels of its masks {listed(order)}: {order[0]!r} may stand for 0 or"
    told = f"{told} for 1. Call it 'background' if it is 0; if it is 1,"
    if external and order[1:] == tuple(classes):
        return f"{told} number and name the labels as inside."
    if not classes and len(order) == _largest(columns.masks.voxels) + 1:
        return f"{told} leave out {order[-1]!r}, which no mask holds."
    return ""


def _is_background(name: str) -> bool:
    return name.strip().strip("_").casefold() in BACKGROUND


def _largest(voxels: np.ndarray) -> int:
    return int(np.flatnonzero(voxels.any(axis=0)).max())
