"""What a learning curve says: its best epoch, how long it has waited, where a limit would have cut it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nachos_jax.core.types import EpochLimit


def best_epoch(loss: Sequence[float | None]) -> int:
    """First epoch, counted from 1, with the lowest loss."""
    finite = [math.inf if value is None else value for value in loss]
    return 1 + min(range(len(finite)), key=finite.__getitem__)


def waited(loss: Sequence[float | None], min_delta: float = 0.0) -> int:
    """Epochs since the loss last fell by more than min_delta below the last value that did so."""
    lowest, since = math.inf, 0
    for value in loss:
        if value is not None and value < lowest - min_delta:
            lowest, since = value, 0
        else:
            since += 1
    return since


def stop(loss: Sequence[float | None], limit: EpochLimit) -> int | None:
    """The epoch, counted from 1, after which a watcher with this limit stops; None when it would go on.

    Raises:
        ValueError: the limit has no patience, so nothing watches.
    """
    if limit.patience is None:
        raise ValueError("a fit without patience has no watchers")
    lowest, since = math.inf, 0
    for epoch, value in enumerate(loss, 1):
        if value is None:
            return epoch
        lowest, since = (value, 0) if value < lowest - limit.min_delta else (lowest, since + 1)
        if since >= limit.patience or epoch >= limit.epochs:
            return epoch
    return None
