"""Strata: groups of cases that every fold should hold alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Strata:
    """What folds are balanced by.

    Attributes:
        numbers: [N] int32, the stratum of each case, counted from 0.
        names: their names.
        needed: True when a fold without one of them is refused (the classes of a classification), False
            when they only guide the draw.
    """

    numbers: np.ndarray
    names: tuple[str, ...]
    needed: bool
