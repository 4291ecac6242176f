"""Trials drawn without looking at data: the default, then points of a stream, Sobol's or a random one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from nachos_jax.core.types import HParamValue, digest
from nachos_jax.search.searcher import History, Proposal, SearchSetting, identity

MISSES = 256
"""So many points in a row without a new configuration: what is left is read off the grid instead."""

SOBOL_BLOCK = 64
"""Points drawn at a time: a power of two, which keeps the sequence balanced."""

Points = Callable[[SearchSetting], Iterable[np.ndarray]]
"""From a setting with D searched dimensions: an endless stream of [D] quantiles in [0, 1)."""


class DrawnSearch:
    """Proposes the default configuration, then the distinct configurations of a stream of points.

    The stream depends on the seed and the space, never on the study, so that all studies of a run
    get the same trials and share their fits. `origin` is that of the proposals after the default.
    """

    def __init__(self, setting: SearchSetting, origin: str, points: Points):
        self._origin = origin
        self._rest = _distinct(setting, points)
        self._drawn: list[Proposal] = []

    def ask(self, count: int, history: History) -> list[Proposal]:
        """See `Searcher.ask`."""
        seen = {identity(trial.hparams) for trial, _ in history}
        new = (proposal for proposal in self._sequence() if identity(proposal.hparams) not in seen)
        return list(islice(new, count))

    def _sequence(self) -> Iterator[Proposal]:
        yield from self._drawn
        for hparams in self._rest:
            self._drawn.append(Proposal(hparams, self._origin if self._drawn else "default"))
            yield self._drawn[-1]


def _distinct(setting: SearchSetting, points: Points) -> Iterator[dict[str, HParamValue]]:
    default = setting.canonical({})
    yield default
    seen = {identity(default)}
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


def random_points(setting: SearchSetting) -> Iterator[np.ndarray]:
    """Independent uniform points [D], float64."""
    generator = np.random.default_rng(stream_seed("random", setting.seed))
    while True:
        yield generator.random(len(setting.searched))


def sobol_points(setting: SearchSetting) -> Iterator[np.ndarray]:
    """Points [D] float64 of the sequence of Sobol (1967), scrambled as by Matousek (1998).

    They fill the space evenly; point i follows from the seed and D alone, however many are drawn.
    """
    from scipy.stats import qmc

    seed = np.random.default_rng(stream_seed("sobol", setting.seed))
    sequence = qmc.Sobol(len(setting.searched), scramble=True, rng=seed)
    while True:
        yield from sequence.random(SOBOL_BLOCK)
