"""How long fits take on many lanes: the order of the lane pool's work, played through without training.

It is list scheduling (Graham 1966, "Bounds for certain multiprocessing anomalies") with barriers, since a
study waits for the scores of a round before the next, or with a lag for those of an earlier one.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nachos_jax.protocol.plan.pool_model import Job, Lanes, ModelPool, Name

Chain = Sequence[Sequence[Name]]
"""Stages of fits. One is submitted when all fits of those before have ended, but for a lag of so many stages;
the last one, which follows a search, waits for all."""


@dataclass(frozen=True)
class Schedule:
    """What came of it."""

    time: int  # until the last fit has ended, in the unit of `Job.cost`
    work: int  # device time of all fits, each alone on a device
    epochs: int  # epochs trained, summed over fits
    lane_epochs: int  # lanes x epochs run, busy or not
    devices: int  # how many

    @property
    def efficiency(self) -> float:
        """Work over the time of all devices: 1 when no lane ever waits."""
        return self.work / (self.time * self.devices) if self.time else 1.0

    @property
    def occupancy(self) -> float:
        """Busy lane-epochs over lane-epochs, as sessions tell it."""
        return self.epochs / self.lane_epochs if self.lane_epochs else 1.0


def simulate(jobs: Mapping[Any, Job], chains: Sequence[Chain], lanes: Lanes, lag: int = 0) -> Schedule:
    """Plays through the order in which lanes take fits; commits, compilation and proposals take no time here.

    A fit that several chains hold is trained once.

    Raises:
        KeyError: a chain names a fit that is no job.
    """
    order, pool = _Order(chains, lag), ModelPool(lanes)
    pool.submit((name, jobs[name]) for name in order.begin())
    while pool.busy or pool.waiting:
        freed = [name for ended in pool.step(leap=True) for name in order.end(ended)]
        pool.submit((name, jobs[name]) for name in freed)
    trained = [jobs[name] for name in order.asked]
    return Schedule(
        time=pool.time,
        work=sum(job.epochs * job.cost for job in trained),
        epochs=sum(job.epochs for job in trained),
        lane_epochs=pool.steps * lanes.total,
        devices=lanes.devices,
    )


def longest_chain(jobs: Mapping[Any, Job], chains: Sequence[Chain], lag: int = 0) -> int:
    """Time if every fit had a device as soon as it is asked for: no number of devices takes less."""
    order, numbers, time = _Order(chains, lag), itertools.count(), 0
    running: list[tuple[int, int, Name]] = []
    asked = order.begin()
    while asked or running:
        for name in asked:
            heapq.heappush(running, (time + jobs[name].epochs * jobs[name].cost, next(numbers), name))
        time, _, ended = heapq.heappop(running)
        asked = order.end(ended)
    return time


class _Order:
    """Which fits are asked for when others have ended."""

    def __init__(self, chains: Sequence[Chain], lag: int):
        self._chains, self._lag = chains, lag
        self._left: list[list[int]] = [[] for _ in chains]  # fits of each open stage that have not ended
        self._waiting: dict[Name, list[tuple[int, int]]] = {}
        self._ended: set[Name] = set()
        self.asked: set[Name] = set()

    def begin(self) -> list[Name]:
        """The first stages' fits."""
        return [name for chain in range(len(self._chains)) for name in self._next(chain)]

    def end(self, name: Name) -> list[Name]:
        """The fits that this one's end sets free."""
        self._ended.add(name)
        freed = []
        for chain, stage in self._waiting.pop(name, []):
            self._left[chain][stage] -= 1
            freed += self._next(chain)
        return freed

    def _next(self, chain: int) -> list[Name]:
        """Opens the stages whose turn has come; returns fits not asked for before."""
        new: list[Name] = []
        while self._due(chain):
            stage, left = len(self._left[chain]), self._left[chain]
            missing = [n for n in dict.fromkeys(self._chains[chain][stage]) if n not in self._ended]
            left.append(len(missing))
            for name in missing:
                self._waiting.setdefault(name, []).append((chain, stage))
            new += [name for name in missing if name not in self.asked]
            self.asked.update(missing)
        return new

    def _due(self, chain: int) -> bool:
        left = self._left[chain]
        through = next((stage for stage, number in enumerate(left) if number), len(left))
        stages = len(self._chains[chain])
        lag = self._lag if len(left) < stages - 1 else 0
        return len(left) < stages and through >= len(left) - lag
