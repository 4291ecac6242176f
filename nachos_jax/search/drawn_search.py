"""Trials drawn without looking at data: what is given, then a stream: Sobol's points, random ones, a grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from nachos_jax.core.types import HParams, digest
from nachos_jax.runtime import elsewhere
from nachos_jax.search.searcher import History, Proposal, SearchSetting, identity

MISSES = 256
"""So many points in a row without a new configuration: what is left is read off the grid instead."""

SOBOL_BLOCK = 64
"""Points drawn at a time: a power of two, which keeps the sequence balanced."""

Points = Callable[[SearchSetting], Iterable[np.ndarray]]
"""From a setting with D searched dimensions: an endless stream of [D] quantiles in [0, 1)."""

Stream = Callable[[SearchSetting], Iterator[HParams]]
"""From a setting: configurations that differ from each other and from what is given."""


class DrawnSearch:
    """Proposes the default configuration and the priors, then the configurations of a stream.

    The stream depends on the seed and the space, never on the study, so that all studies of a run
    get the same trials and share their fits. `origin` is that of the proposals of the stream.
    """

    def __init__(self, setting: SearchSetting, origin: str, stream: Stream):
        self._rest = (Proposal(hparams, origin) for hparams in stream(setting))
        self._drawn = list(setting.given)

    def ask(self, count: int, history: History) -> list[Proposal]:
        """See `Searcher.ask`."""
        seen = {identity(heard.trial.hparams) for heard in history}
        new = (proposal for proposal in self._sequence() if identity(proposal.hparams) not in seen)
        return list(itertools.islice(new, count))

    def _sequence(self) -> Iterator[Proposal]:
        yield from self._drawn
        for proposal in self._rest:
            self._drawn.append(proposal)
            yield proposal


def _distinct(setting: SearchSetting, points: Points) -> Iterator[HParams]:
    """The configurations at points; what a small space still holds when points only repeat it."""
    seen = {identity(proposal.hparams) for proposal in setting.given}
    misses = 0
    for point in points(setting) if setting.searched else ():
        hparams = setting.at(point)
        if identity(hparams) not in seen:
            misses = 0
            seen.add(identity(hparams))
            yield hparams
        else:
            misses += 1
            if misses == MISSES:
                break
    yield from (hparams for hparams in setting.grid() if identity(hparams) not in seen)


def stream_seed(purpose: str, seed: int) -> int:
    """A 64-bit seed for one purpose; it leaves out the study so that studies draw the same."""
    return int(digest([purpose, seed]), 16)


def random(setting: SearchSetting) -> Iterator[HParams]:
    """Configurations drawn independently and evenly."""
    return _distinct(setting, _random_points)


def sobol(setting: SearchSetting) -> Iterator[HParams]:
    """Configurations that fill the space evenly."""
    return _distinct(setting, _sobol_points)


def _random_points(setting: SearchSetting) -> Iterator[np.ndarray]:
    """Independent uniform points [D], float64."""
    generator = np.random.default_rng(stream_seed("random", setting.seed))
    while True:
        yield generator.random(len(setting.searched))


def _sobol_points(setting: SearchSetting) -> Iterator[np.ndarray]:
    """Points [D] float64 of the sequence of Sobol (1967), scrambled as by Matousek (1998).

    They fill the space evenly; point i follows from the seed and D alone, however many are drawn.
    """
    seed = stream_seed("sobol", setting.seed)
    for block in itertools.count():
        yield from elsewhere.call(sobol_block, len(setting.searched), seed, block)


def sobol_block(dimensions: int, seed: int, block: int) -> np.ndarray:
    """Points [SOBOL_BLOCK, D] float64 of the sequence, the blocks counted from 0."""
    from scipy.stats import qmc  # slow to import

    sequence = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    if block:
        sequence.fast_forward(block * SOBOL_BLOCK)
    return sequence.random(SOBOL_BLOCK)
