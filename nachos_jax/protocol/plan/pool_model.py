"""The lane pool's rules, played through without training: of `nachos plan` and of simulated launches.

As in engine/pool.py, buckets take turns, an epoch each, those that fill their lanes first; a lane whose fit
has ended takes the next fit of its bucket.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

Name = Hashable
"""Of a fit."""


@dataclass(frozen=True)
class Job:
    """A fit, as far as its time goes."""

    epochs: int  # at least 1
    cost: int = 1  # what an epoch of it takes a device that does nothing else, in any unit; at least 1
    bucket: Hashable = ""  # fits of one bucket share lanes

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.cost < 1:
            raise ValueError(f"{self}: epochs and cost must be at least 1.")


@dataclass(frozen=True)
class Lanes:
    """Where the fits run: the lanes of one process, or of several that are seen as one."""

    devices: int  # how many
    lanes: int  # lanes a device, a multiple of `in_step`
    in_step: int = 1  # computed together, as long as the slowest: all with packing "vmap", 1 with "map"

    def __post_init__(self) -> None:
        if min(self.devices, self.lanes, self.in_step) < 1 or self.lanes % self.in_step:
            raise ValueError(f"{self}: must be positive, and `lanes` a multiple of `in_step`.")

    @property
    def total(self) -> int:
        """Lanes of all devices."""
        return self.devices * self.lanes


class ModelPool:
    """The lane pool's rules without its training: buckets take turns on the same devices."""

    def __init__(self, lanes: Lanes):
        self._lanes = lanes
        self._buckets: dict[Hashable, ModelBucket] = {}
        self._turn = self.time = self.steps = 0

    @property
    def busy(self) -> int:
        """Lanes with a fit, over all buckets."""
        return sum(bucket.busy for bucket in self._buckets.values())

    @property
    def waiting(self) -> int:
        """Fits without a lane."""
        return sum(len(bucket.waiting) for bucket in self._buckets.values())

    def knows(self, bucket: Hashable) -> bool:
        """True when a fit of the bucket was submitted."""
        return bucket in self._buckets

    def room(self, bucket: Hashable) -> int:
        """Lanes that fits of the bucket could take at once, as `LanePool.room` tells it."""
        if any(other.full for other in self._buckets.values()):
            return 0
        return self._buckets[bucket].room if bucket in self._buckets else 1

    def submit(self, fits: Iterable[tuple[Name, Job]]) -> None:
        """Queues fits."""
        for name, job in fits:
            if job.bucket not in self._buckets:
                self._buckets[job.bucket] = ModelBucket(self._lanes)
            self._buckets[job.bucket].waiting.append((name, job))

    def next(self) -> ModelBucket:
        """The bucket whose turn it is, its lanes filled: `step` trains it."""
        _, bucket = self._due()[0]
        bucket.refill()
        return bucket

    def step(self, leap: bool = False) -> list[Name]:
        """Trains the next bucket for an epoch; returns the fits that end.

        Args:
            leap: whether all turns at which no fit ends, and which therefore repeat, are taken before.
        """
        due = self._due()
        for _, bucket in due if leap else due[:1]:
            bucket.refill()
        if leap:
            quiet = min(bucket.until_an_end for _, bucket in due) - 1
            for _, bucket in due:
                self._train(bucket, quiet)
        turn, bucket = due[0]
        self._train(bucket, 1)
        self._turn = turn + 1
        return bucket.ended()

    def _due(self) -> list[tuple[int, ModelBucket]]:
        """Buckets that take turns as things are, the next one first: those that fill their lanes, or all."""
        buckets = list(self._buckets.values())
        turns = [(self._turn + offset) % len(buckets) for offset in range(len(buckets))]
        work = [(turn, buckets[turn]) for turn in turns if buckets[turn].work]
        return [(turn, bucket) for turn, bucket in work if bucket.full] or work

    def _train(self, bucket: ModelBucket, epochs: int) -> None:
        bucket.done += epochs
        self.steps += epochs
        self.time += epochs * bucket.epoch_time


class ModelBucket:
    """Lanes of one bucket."""

    def __init__(self, lanes: Lanes):
        self._lanes = lanes
        self._costs = np.zeros((lanes.devices, lanes.lanes), np.int64)  # 0 = free
        self._ends: list[tuple[int, int, Name, tuple[int, int]]] = []
        self._taken = 0
        self.waiting: deque[tuple[Name, Job]] = deque()
        self.done = self.epoch_time = 0

    @property
    def busy(self) -> int:
        """Lanes with a fit."""
        return len(self._ends)

    @property
    def work(self) -> int:
        """Fits that run or wait."""
        return len(self._ends) + len(self.waiting)

    @property
    def full(self) -> bool:
        """True when there are fits for all lanes."""
        return self.work >= self._lanes.total

    @property
    def room(self) -> int:
        """Lanes that are free and have no fit waiting for them."""
        return max(0, self._lanes.total - self.work)

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
