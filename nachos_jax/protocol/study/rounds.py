"""Rounds: which trials are asked for together, so that proposals depend on records and not on timing.

A searcher that looks at scores sees exactly those of all earlier rounds. So a killed run that is taken up
again asks the same questions, and trials that were asked before the kill are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from nachos_jax.config.run_config import SearchConfig
from nachos_jax.search.registry import looks_at_scores


@dataclass(frozen=True)
class Round:
    """Trials `start` to `start + size - 1` of a study."""

    start: int
    size: int


def due(search: SearchConfig, asked: int, scored: int) -> Round | None:
    """The round that can be asked for now.

    Args:
        search: number of trials, searcher and sizes.
        asked: trials on record before the first that is not, which may have been lost.
        scored: trials with a score, likewise.

    Returns:
        The next round; None when all trials were asked for, or scores of earlier rounds are missing.
    """
    start, size = 0, search.trials
    if looks_at_scores(search.searcher):
        size = min(search.initial, search.trials)
        while start + size <= asked < search.trials:
            start += size
            size = min(search.proposals, search.trials - start)
    if asked >= search.trials or scored < start:
        return None
    return Round(start, size)
