"""Strata: groups of cases that every fold should hold alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Strata:
    """What folds are balanced by."""

    numbers: np.ndarray  # [N] int32, the stratum of each case, counted from 0
    names: tuple[str, ...]  # their names
    needed: bool  # whether a fold without one is refused (classes), or they only guide the draw
