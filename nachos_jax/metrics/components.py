"""Connected components of masks: keeping the largest alone, and whether that helps.

Both steps of nnU-Net (Isensee et al. 2021): all classes as one, then class by class. The decision is to be
made on inner folds and applied to the outer one: made where it is reported, it flatters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected component of a mask, corners touching; the first in memory of equal ones.

    Args:
        mask: [*space] bool, of any rank.

    Returns:
        [*space] bool, empty if the mask is.
    """
    from scipy import ndimage  # late: only masks need it

    labelled: Any = ndimage.label(mask, np.ones((3,) * mask.ndim))
    parts, count = labelled
    if count <= 1:
        return mask.copy()
    sizes = np.bincount(parts.ravel())[1:]
    return parts == 1 + int(np.argmax(sizes))


def keep_largest(labels: np.ndarray, classes: Iterable[int]) -> np.ndarray:
    """A mask in which some classes have kept their largest component; the rest becomes background, 0.

    Args:
        labels: [*space] integers, 0 the background.
        classes: those to be treated, each by itself.

    Returns:
        [*space], the same dtype.
    """
    kept = labels.copy()
    for number in classes:
        mask = labels == number
        kept[mask & ~largest(mask)] = 0
    return kept


def keep_largest_foreground(labels: np.ndarray) -> np.ndarray:
    """A mask in which all classes together have kept their largest component."""
    return np.where(largest(labels != 0), labels, 0).astype(labels.dtype)


@dataclass(frozen=True)
class Largest:
    """Which largest components a mask keeps.

    Attributes:
        together: all classes as one keep theirs, first.
        classes: those that keep theirs each by itself, from 1.
    """

    together: bool = False
    classes: tuple[int, ...] = ()

    def of(self, labels: np.ndarray) -> np.ndarray:
        """The mask [*space] of integers, 0 the background, with those components alone."""
        kept = keep_largest_foreground(labels) if self.together else labels
        return keep_largest(kept, self.classes) if self.classes else kept


def ways(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    """A mask in the four ways that `chosen` chooses from: as it is, together, each class, both after another.

    Args:
        labels: [*space] integers.
        classes: K.
    """
    every = tuple(range(1, classes + 1))
    return [Largest(together, each).of(labels) for each in ((), every) for together in (False, True)]


def chosen(dice: np.ndarray) -> Largest:
    """What helps: first all classes together, then, on top of that, class by class.

    Args:
        dice: [n, 4, K] Dice of inner cases in the order of `ways`.
    """
    together = foreground_helps(dice[:, 0], dice[:, 1])
    before, after = dice[:, int(together)], dice[:, 2 + int(together)]
    return Largest(together, tuple(helped(before, after)))


def foreground_helps(without: np.ndarray, together: np.ndarray) -> bool:
    """True when the mean Dice of all classes rises and that of no class falls.

    Args:
        without: [n, K] Dice of inner cases as predicted; rows of NaN are cases that nothing is known of.
        together: [n, K] Dice of the same cases after `keep_largest_foreground`.
    """
    before, after = _means(without, together)
    return bool(after.mean() > before.mean() and (after >= before).all())


def helped(without: np.ndarray, each: np.ndarray) -> list[int]:
    """Classes, from 1, whose mean Dice rises when each keeps its largest component.

    The other classes cannot fall: what is taken from a class becomes background.

    Args:
        without: [n, K] Dice of inner cases before this step.
        each: [n, K] Dice of the same cases after `keep_largest` of all classes.
    """
    before, after = _means(without, each)
    return [int(place) + 1 for place in np.flatnonzero(after > before)]


def _means(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over the cases that both know of, [K] each; -inf of none, so that nothing rises."""
    if before.shape != after.shape or before.ndim != 2:
        raise ValueError(f"Dice of {before.shape} before and {after.shape} after: (cases, classes) expected")
    known = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
    if not known.any():
        nothing = np.full(before.shape[1], -np.inf)
        return nothing, nothing
    return before[known].mean(axis=0), after[known].mean(axis=0)
