"""Cohorts: which trials are asked for together, so that proposals depend on records and not on timing.

A searcher that looks at scores sees exactly those of earlier cohorts. So a killed run that is taken up again
asks the same questions, and trials that were asked for before the kill are kept.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from nachos_jax.config.run_config import SearchConfig
from nachos_jax.search import registry as searchers
from nachos_jax.search.policies import registry as policies

LEARNED = 8
"""Rounds after the first where config.search.proposals = 0 leaves their size to us: never from the number of
lanes, which would let proposals depend on the devices."""


@dataclass(frozen=True)
class Cohorts:
    """All trials of a study in the order in which they are proposed.

    Attributes:
        ends: for each cohort the number of the first trial after it.
        blind: proposals do not depend on scores, so that no cohort waits for another.
        lag: cohorts that may still be undecided when the next one is asked for; it sees none of their scores.
    """

    ends: tuple[int, ...]
    blind: bool
    lag: int = 0

    def numbers(self, index: int) -> range:
        """The trials of a cohort."""
        return range(self.ends[index - 1] if index else 0, self.ends[index])

    def due(self, asked: int, through: int) -> bool:
        """Whether the next cohort may be asked for.

        Args:
            asked: cohorts whose trials are all on record.
            through: cohorts that have been decided on.
        """
        return asked < len(self.ends) and (self.blind or through >= asked - self.lag)

    def decided(self, asked: int) -> int:
        """How many cohorts the next one sees the scores of, even if more are known."""
        return max(0, asked - self.lag)


def of(search: SearchConfig) -> Cohorts:
    """The cohorts of a study."""
    blind = not searchers.looks_at_scores(search.searcher)
    sizes = policies.build(search.policy).sizes(_rounds(search, blind))
    return Cohorts(tuple(itertools.accumulate(sizes)), blind, search.lag)


def _rounds(search: SearchConfig, blind: bool) -> list[int]:
    """Sizes of the rounds in which the searcher would be asked. They follow from the config alone."""
    if blind:
        return [search.trials]
    first = min(max(search.initial, 1 + len(search.priors)), search.trials)
    left = search.trials - first
    size = search.proposals or max(1, -(-left // LEARNED))
    whole, rest = divmod(left, size)
    return [first, *[size] * whole, *([rest] if rest else [])]
