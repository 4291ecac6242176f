"""How long fits take on many lanes: the order of the lane pool's work, played through without training.

The model follows engine/pool.py: buckets take turns, an epoch each, those that fill their lanes first; a lane
whose fit has ended takes the next fit of its bucket. It is list scheduling (Graham 1966, "Bounds for certain
multiprocessing anomalies") with barriers, since a study waits for the scores of a round before the next.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Name = Hashable
Chain = Sequence[Sequence[Name]]
"""Stages of fits: a stage is submitted when all fits of the stage before have ended."""


@dataclass(frozen=True)
class Job:
    """A fit, as far as its time goes.

    Attributes:
        epochs: at least 1.
        cost: what an epoch of it takes a device that does nothing else, in any unit; at least 1.
        bucket: fits of one bucket share lanes.
    """

    epochs: int
    cost: int = 1
    bucket: Hashable = ""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.cost < 1:
            raise ValueError(f"{self}: epochs and cost must be at least 1.")


@dataclass(frozen=True)
class Lanes:
    """Where the fits run: the lanes of one process, or of several that are seen as one.

    Attributes:
        devices: how many.
        lanes: lanes a device.
        in_step: lanes of a device that are computed together, and wait for the slowest of them: all with the
            packing "vmap", 1 with "map"; `lanes` is a multiple of it.
    """

    devices: int
    lanes: int
    in_step: int = 1

    def __post_init__(self) -> None:
        if min(self.devices, self.lanes, self.in_step) < 1 or self.lanes % self.in_step:
            raise ValueError(f"{self}: must be positive, and `lanes` a multiple of `in_step`.")

    @property
    def total(self) -> int:
        """Lanes of all devices."""
        return self.devices * self.lanes


@dataclass(frozen=True)
class Schedule:
    """What came of it.

    Attributes:
        time: until the last fit has ended, in the unit of `Job.cost`.
        work: device time of all fits, each alone on a device.
        epochs: epochs trained, summed over fits.
        lane_epochs: lanes x epochs run, busy or not.
        devices: how many.
    """

    time: int
    work: int
    epochs: int
    lane_epochs: int
    devices: int

    @property
    def efficiency(self) -> float:
        """Work over the time of all devices: 1 when no lane ever waits."""
        return self.work / (self.time * self.devices) if self.time else 1.0

    @property
    def occupancy(self) -> float:
        """Busy lane-epochs over lane-epochs, as sessions tell it."""
        return self.epochs / self.lane_epochs if self.lane_epochs else 1.0


def simulate(jobs: Mapping[Any, Job], chains: Sequence[Chain], lanes: Lanes) -> Schedule:
    """Plays through the order in which lanes take fits.

    Args:
        jobs: the fits by name.
        chains: in which order they are asked for; a fit that several chains hold is trained once.
        lanes: where.

    Returns:
        Times and counts; commits, compilation and proposals take no time here.

    Raises:
        KeyError: a chain names a fit that is no job.
    """
    order, pool = _Order(chains), _Pool(lanes)
    pool.submit((name, jobs[name]) for name in order.begin())
    while pool.working:
        freed = [name for ended in pool.step() for name in order.end(ended)]
        pool.submit((name, jobs[name]) for name in freed)
    trained = [jobs[name] for name in order.asked]
    return Schedule(
        time=pool.time,
        work=sum(job.epochs * job.cost for job in trained),
        epochs=sum(job.epochs for job in trained),
        lane_epochs=pool.steps * lanes.total,
        devices=lanes.devices,
    )


def longest_chain(jobs: Mapping[Any, Job], chains: Sequence[Chain]) -> int:
    """Time if every fit had a device as soon as it is asked for: no number of devices takes less."""
    order, numbers, time = _Order(chains), itertools.count(), 0
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

    def __init__(self, chains: Sequence[Chain]):
        self._stages = [deque(chain) for chain in chains]
        self._open = [0] * len(chains)  # fits of the stage at hand that have not ended
        self._waiting: dict[Name, list[int]] = {}
        self._ended: set[Name] = set()
        self.asked: set[Name] = set()

    def begin(self) -> list[Name]:
        """The first stages' fits."""
        return [name for chain in range(len(self._stages)) for name in self._next(chain)]

    def end(self, name: Name) -> list[Name]:
        """The fits that this one's end sets free."""
        self._ended.add(name)
        freed = []
        for chain in self._waiting.pop(name, []):
            self._open[chain] -= 1
            if not self._open[chain]:
                freed += self._next(chain)
        return freed

    def _next(self, chain: int) -> list[Name]:
        """Opens the next stage that has something left to train; returns fits not asked for before."""
        new: list[Name] = []
        while self._stages[chain] and not self._open[chain]:
            missing = [n for n in dict.fromkeys(self._stages[chain].popleft()) if n not in self._ended]
            self._open[chain] = len(missing)
            for name in missing:
                self._waiting.setdefault(name, []).append(chain)
            new += [name for name in missing if name not in self.asked]
            self.asked.update(missing)
        return new


class _Pool:
    """Buckets that take turns on the same devices."""

    def __init__(self, lanes: Lanes):
        self._lanes = lanes
        self._buckets: dict[Hashable, _Bucket] = {}
        self._turn = self.time = self.steps = 0

    @property
    def working(self) -> bool:
        """True while a fit has not ended."""
        return any(bucket.work for bucket in self._buckets.values())

    def submit(self, fits: Iterable[tuple[Name, Job]]) -> None:
        """Queues fits."""
        for name, job in fits:
            if job.bucket not in self._buckets:
                self._buckets[job.bucket] = _Bucket(self._lanes)
            self._buckets[job.bucket].waiting.append((name, job))

    def step(self) -> list[Name]:
        """One epoch of the next bucket, after all turns at which no fit ends; returns what ended."""
        buckets = list(self._buckets.values())
        turns = [(self._turn + offset) % len(buckets) for offset in range(len(buckets))]
        work = [turn for turn in turns if buckets[turn].work]
        due = [turn for turn in work if buckets[turn].full] or work
        for turn in due:
            buckets[turn].refill()
        quiet = min(buckets[turn].until_an_end for turn in due) - 1
        for turn in due:
            self._run(buckets[turn], quiet)
        self._run(buckets[due[0]], 1)
        self._turn = due[0] + 1
        return buckets[due[0]].ended()

    def _run(self, bucket: _Bucket, epochs: int) -> None:
        bucket.done += epochs
        self.steps += epochs
        self.time += epochs * bucket.epoch_time


class _Bucket:
    """Lanes of one bucket."""

    def __init__(self, lanes: Lanes):
        self._lanes = lanes
        self._costs = np.zeros((lanes.devices, lanes.lanes), np.int64)  # 0 = free
        self._ends: list[tuple[int, int, Name, tuple[int, int]]] = []
        self._taken = 0
        self.waiting: deque[tuple[Name, Job]] = deque()
        self.done = self.epoch_time = 0

    @property
    def work(self) -> bool:
        """True while a fit runs or waits."""
        return bool(self._ends or self.waiting)

    @property
    def full(self) -> bool:
        """True when there are fits for all lanes."""
        return len(self._ends) + len(self.waiting) >= self._lanes.total

    @property
    def until_an_end(self) -> int:
        """Epochs until the next fit ends."""
        return self._ends[0][0] - self.done

    def refill(self) -> None:
        """Gives free lanes the next fits, on the device with the fewest busy lanes first."""
        while self.waiting and len(self._ends) < self._lanes.total:
            name, job = self.waiting.popleft()
            device = int((self._costs > 0).sum(axis=1).argmin())
            place = device, int(self._costs[device].argmin())
            self._costs[place] = job.cost
            heapq.heappush(self._ends, (self.done + job.epochs, self._taken, name, place))
            self._taken += 1
        together = self._costs.reshape(self._lanes.devices, -1, self._lanes.in_step).max(axis=2)
        self.epoch_time = self._lanes.in_step * int(together.sum(axis=1).max())

    def ended(self) -> list[Name]:
        """Frees the lanes of fits that have ended; returns these fits in the order in which they began."""
        names = []
        while self._ends and self._ends[0][0] == self.done:
            _, _, name, place = heapq.heappop(self._ends)
            self._costs[place] = 0
            names.append(name)
        return names
