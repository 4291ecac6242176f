"""Rounds: which trials are asked for together, so that proposals depend on records and not on timing.

A searcher that looks at scores sees exactly those of the rounds before the last `lag` ones, even if later
ones are known. So a killed run that is taken up again asks the same questions, and trials that were asked
before the kill are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nachos_jax.config.run_config import SearchConfig
from nachos_jax.search.registry import looks_at_scores

LEARNED = 8
"""Rounds after the first where config.search.proposals = 0 leaves their size to us."""


@dataclass(frozen=True)
class Round:
    """Trials `start` to `start + size - 1` of a study, asked for with the scores of the first `seen`."""

    start: int
    size: int
    seen: int = 0


def due(search: SearchConfig, asked: int, scored: int) -> Round | None:
    """The round that can be asked for now.

    Args:
        search: number of trials, searcher, sizes and lag.
        asked: trials on record before the first that is not, which may have been lost.
        scored: trials with a score, likewise.

    Returns:
        The next round; None when all trials were asked for, or scores that it sees are missing.
    """
    for now in rounds(search):
        if asked < now.start + now.size:
            return now if scored >= now.seen else None
    return None


def rounds(search: SearchConfig) -> Iterator[Round]:
    """All rounds of a study, one where nobody looks at scores. They follow from the config alone."""
    first = search.trials
    if looks_at_scores(search.searcher):
        first = min(max(search.initial, 1 + len(search.priors)), search.trials)
    starts = [0, *range(first, search.trials, _size(search, first))]
    for place, start in enumerate(starts):
        end = starts[place + 1] if place + 1 < len(starts) else search.trials
        yield Round(start, end - start, starts[max(0, place - search.lag)])


def _size(search: SearchConfig, first: int) -> int:
    """Trials of a round: never from the lanes, which would let proposals depend on the devices."""
    return search.proposals or max(1, -(-(search.trials - first) // LEARNED))
