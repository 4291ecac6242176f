"""Every configuration of a space of choices and whole numbers, in a shuffled order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from nachos_jax.core.errors import UsageError
from nachos_jax.core.space import Dimension, choice
from nachos_jax.core.types import HParams
from nachos_jax.search.drawn_search import DrawnSearch, stream_seed
from nachos_jax.search.searcher import SearchSetting, identity

LARGEST = 100_000
"""Configurations of a grid at most: as many as a study can have trials."""


def grid_search(setting: SearchSetting) -> DrawnSearch:
    """Proposes all configurations, the given ones first; the seed alone says in which order.

    Raises:
        UsageError: a dimension is real and so has no end of values, or the grid is too large.
    """
    for dimension in setting.searched:
        if dimension.kind in ("uniform", "log"):
            raise UsageError(
                f"config.search.searcher = 'grid' needs values to choose from, and "
                f"config.search.space.{dimension.name} is a range: list them, like "
                f'"{_levels(dimension)}", or use another searcher.'
            )
    if sum(1 for _ in islice(setting.grid(), LARGEST + 1)) > LARGEST:
        raise UsageError(
            f"config.search.searcher = 'grid': config.search.space holds more than {LARGEST:,} "
            "configurations; list fewer values, or use another searcher."
        )
    return DrawnSearch(setting, "grid", _shuffled)


def _shuffled(setting: SearchSetting) -> Iterator[HParams]:
    given = {identity(proposal.hparams) for proposal in setting.given}
    grid = [hparams for hparams in setting.grid() if identity(hparams) not in given]
    order = np.random.default_rng(stream_seed("grid", setting.seed)).permutation(len(grid))
    return (grid[place] for place in order)


def _levels(dimension: Dimension) -> str:
    """Three levels of a real dimension as the text of a choice."""
    values = (dimension.low, float(f"{dimension.at(0.5):.2g}"), dimension.high)
    return choice(*dict.fromkeys(values))
