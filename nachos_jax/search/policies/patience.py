"""How long a trial has to be waited for, learned from those of its fits that nothing cut short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from nachos_jax.core.curves import best_epoch
from nachos_jax.core.types import EpochLimit
from nachos_jax.search.policies.policy import Known

LADDER = (1 / 8, 1 / 4, 1 / 2)
"""Shares of the patience that are taken: few, so that the two studies of a fit mostly ask for the same."""
SHORTEST = 2
MARGIN = 2.0
"""Another fold may keep a trial waiting for twice as long."""
MATTERS = 3.0
"""A fall of the loss in medians of its steps from epoch to epoch. What is less may be noise: if the loss
scatters normally around a level, this is 2.9 of its standard deviations."""


def learned(known: Known, trial: int) -> EpochLimit:
    """The limit under which the trial would be trained on its other folds.

    Its patience is the shortest of the ladder that is `MARGIN` times the trial's longest wait before the loss
    fell by something that mattered. Who starts late on the first fold is waited for on all others.
    """
    curves = [known.curve(trial, fold, known.limit) for fold in known.folds]
    return learned_from(known.limit, [curve.loss for curve in curves if curve is not None])


def learned_from(whole: EpochLimit, losses: Sequence[tuple[float | None, ...]]) -> EpochLimit:
    """The limit that losses of the same trial on other folds teach; the whole one where there are none.

    Args:
        whole: of a fit that nothing cuts short.
        losses: of fits that were waited for.
    """
    waits = [longest_wait(loss) for loss in losses]
    if whole.patience is None or not waits:
        return whole
    for share in LADDER:
        patience = max(SHORTEST, math.ceil(share * whole.patience))
        if MARGIN * max(waits) <= patience < whole.patience:
            return replace(whole, patience=patience)
    return whole


@lru_cache(maxsize=4096)
def longest_wait(loss: tuple[float | None, ...]) -> int:
    """The most epochs from one fall of the loss that mattered to the next, until it was lowest.

    Noise is told from the steps between epochs, so the unit of the loss does not matter.
    """
    finite = [value for value in loss if value is not None]
    least = MATTERS * float(np.median(np.abs(np.diff(finite)))) if len(finite) > 1 else 0.0
    lowest, since, longest = math.inf, 0, 0
    for value in finite[: best_epoch(loss)]:
        since += 1
        if value < lowest - least:
            lowest, longest, since = value, max(longest, since), 0
    return longest
