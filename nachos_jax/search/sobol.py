"""Quasi-random points that fill the search space evenly: a scrambled Sobol sequence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nachos_jax.search.random_search import stream_seed
from nachos_jax.search.searcher import SearchSetting

BLOCK = 64
"""Points drawn at a time: a power of two, which keeps the sequence balanced."""


def sobol_points(setting: SearchSetting) -> Iterator[np.ndarray]:
    """Points [D] float64 of the sequence of Sobol (1967), scrambled as by Matousek (1998).

    Point i follows from the seed and D alone, however many are drawn.
    """
    from scipy.stats import qmc

    seed = np.random.default_rng(stream_seed("sobol", setting.seed))
    sequence = qmc.Sobol(len(setting.searched), scramble=True, rng=seed)
    while True:
        yield from sequence.random(BLOCK)
