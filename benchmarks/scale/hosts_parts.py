"""What stands for disk, coordination service, proposals and devices of a simulated launch."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from benchmarks.scale.hosts_clock import Clock
from benchmarks.scale.hosts_fits import Courses
from benchmarks.scale.hosts_ledger import Ledger
from nachos_jax.engine.bucket_lanes import BucketLanes, FitResult
from nachos_jax.engine.pool import LanePool, Spent
from nachos_jax.search.random_search import DrawnSearch, random_points
from nachos_jax.search.sobol import sobol_points


class Store:
    """The records of a run, as far as conductor, leader and workers ask for them.

    Args:
        studies: by outer fold.
    """

    def __init__(self, studies: Mapping[int | None, Any]):
        self._studies = studies
        self.records: dict[str, Any] = {}
        self.asked: Counter[int | None] = Counter()
        self.missing: dict[int | None, set[str]] = {outer: set() for outer in studies}
        """Search fits of trials on record that have no record yet, by study."""

    def fits(self) -> Iterator[Any]:
        """No record is there when a run begins."""
        return iter(())

    def trials(self, _study: int | None) -> list[Any]:
        """No trial either."""
        return []

    def outcome(self, _study: int | None) -> None:
        """Nor an outcome."""

    def fit(self, fit: str) -> Any:
        """The record of a fit, or None."""
        return self.records.get(fit)

    def commit_fit(self, record: Any, _payload: Mapping[str, bytes]) -> Any:
        """Keeps a record."""
        for missing in self.missing.values():
            missing.discard(record.fit)
        return self.records.setdefault(record.fit, record)

    def commit_trial(self, trial: Any) -> None:
        """Notes which fits a trial needs."""
        self.asked[trial.study] += 1
        wanted = {fit.id for fit in self._studies[trial.study].search_fits(trial).values()}
        self.missing[trial.study] |= wanted - self.records.keys()

    def commit_outcome(self, _outcome: Any) -> None:
        """Nobody asks for it."""

    def write_session(self, _name: str, _value: Mapping[str, Any]) -> None:
        """Nobody asks for it."""


@dataclass(frozen=True)
class Costs:
    """Of the coordination service: seconds from call to answer, and seconds that it is busy."""

    message: float
    service: float
    text: float


class Service:
    """The coordination service: one call after the other, all in process 0 (see cluster/messages.py)."""

    def __init__(self, clock: Clock, costs: Costs):
        self._clock, self._costs, self._free_at = clock, costs, 0.0
        self._folders: dict[str, dict[str, str]] = defaultdict(dict)
        self._seen: dict[int, int] = {}
        self._news = self.published = self.texts = 0
        self.calls: Counter[str] = Counter()

    @property
    def unclaimed(self) -> int:
        """Fits on the board that nobody has claimed."""
        return max(0, len(self._folders["open"]) - len(self._folders["claim"]))

    def put(self, name: str, text: str) -> None:
        """See Messages."""
        self._serve("put")
        folder, _, key = name.rpartition("/")
        self._folders[folder][key] = text
        if folder == "open" or key == "end":
            self.published += folder == "open"
            self._news += 1
            self._clock.stir()

    def claim(self, name: str, text: str) -> bool:
        """See Messages."""
        self._serve("claim")
        folder, _, key = name.rpartition("/")
        if key in self._folders[folder]:
            self.calls["claim refused"] += 1
            return False
        self._folders[folder][key] = text
        return True

    def get(self, name: str) -> str | None:
        """See Messages."""
        self._serve("get")
        if name == "end":
            self._seen[threading.get_ident()] = self._news
        folder, _, key = name.rpartition("/")
        return self._folders[folder].get(key)

    def within(self, folder: str) -> dict[str, str]:
        """See Messages."""
        self._serve("within", len(self._folders[folder]))
        return dict(self._folders[folder])

    def drop(self, name: str) -> None:
        """See Messages."""
        self._serve("drop")
        folder, _, key = name.rpartition("/")
        self._folders[folder].pop(key, None)

    def rest(self, every: float) -> None:
        """What a worker without work does between two looks; looks that would find nothing are left out."""
        if self._seen.get(threading.get_ident()) == self._news:
            self._clock.look_again(every)
        else:
            self._clock.sleep(every)

    def _serve(self, kind: str, texts: int = 0) -> None:
        self.calls[kind] += 1
        self.texts += texts
        work = self._costs.service + texts * self._costs.text
        if work or self._costs.message:
            self._free_at = max(self._clock.now, self._free_at) + work
            self._clock.sleep(self._free_at - self._clock.now + self._costs.message)


class Proposing:
    """Proposals in the background, one study after the other (see search/background.py).

    Args:
        clock: virtual time.
        seconds: that a proposal takes which looks at scores.
    """

    def __init__(self, clock: Clock, seconds: float):
        self._clock, self._seconds, self._free_at = clock, seconds, 0.0
        self._proposals: dict[int | None, list[Any]] = {}
        self.asked: dict[int | None, tuple[float, int]] = {}
        """When each ask will be done, and how many trials it gives."""

    def submit(self, study: int | None, function: Callable[[], list[Any]]) -> None:
        """See Background."""
        proposals = function()
        learned = sum(proposal.origin == Learning.ORIGIN for proposal in proposals)
        self._free_at = max(self._clock.now, self._free_at) + learned * self._seconds
        self._proposals[study] = proposals
        self.asked[study] = (self._free_at, len(proposals))

    @property
    def busy(self) -> bool:
        """See Background."""
        return bool(self.asked)

    def ready(self) -> list[tuple[int | None, list[Any]]]:
        """See Background."""
        done = [study for study, (time, _) in self.asked.items() if time <= self._clock.now]
        for study in done:
            del self.asked[study]
        return [(study, self._proposals.pop(study)) for study in done]

    def close(self) -> None:
        """See Background."""


class Learning:
    """Stands for Ax: the first trials are those of all studies, the others are the study's own."""

    ORIGIN = "ax"

    def __init__(self, setting: Any):
        self._initial = setting.initial
        self._shared = DrawnSearch(setting, "sobol", sobol_points)
        own = replace(setting, seed=setting.seed + 1 + setting.study)
        self._own = DrawnSearch(own, self.ORIGIN, random_points)

    def ask(self, count: int, history: Any) -> list[Any]:
        """See Searcher."""
        return (self._shared if len(history) < self._initial else self._own).ask(count, history)


@dataclass
class _Running:
    """A fit in a lane: the record that it will end with, and the epochs until then."""

    record: Any
    left: int


@dataclass(frozen=True)
class Devices:
    """The devices of a host.

    Attributes:
        count: how many.
        lanes: of each.
        epoch_seconds: of an epoch of all lanes.
        compile_seconds: of a program.
    """

    count: int
    lanes: int
    epoch_seconds: float
    compile_seconds: float


class Lanes(BucketLanes):
    """The lanes of a bucket on the devices of a host: refilled as the engine does, and trained by waiting."""

    def __init__(self, devices: Devices, clock: Clock, ledger: Ledger, courses: Courses):
        count = devices.count * devices.lanes
        self.program: Any = SimpleNamespace(lanes=count, mesh=SimpleNamespace(size=devices.count))
        self._devices, self._clock, self._ledger, self._courses = devices, clock, ledger, courses
        self._pending: deque[Any] = deque()
        self._progress: list[Any] = [None] * count
        self._state = self._checkpoint = self._saved = None
        self._resumable = {}

    def epoch(self) -> list[FitResult]:
        """See BucketLanes."""
        while self._pending and self.busy < self.program.lanes:
            record = self._courses.record(self._pending.popleft())
            self._progress[self._free_lane()] = _Running(record, record.epochs)
        busy = self.busy
        self._ledger.busy += busy
        self._clock.sleep(self._devices.epoch_seconds)
        self._ledger.busy -= busy
        ended = []
        for i, running in enumerate(self._progress):
            if running is not None:
                running.left -= 1
                if not running.left:
                    ended.append(FitResult(running.record, {}))
                    self._progress[i] = None
        return ended


class Pool(LanePool):
    """The lane pool of a simulated host: its own rules, over lanes that train by waiting."""

    def __init__(self, run: Any, devices: Devices, clock: Clock, ledger: Ledger, courses: Courses):
        self._run, self._checkpoints = run, None
        self._buckets, self._turn, self._since_save = {}, 0, defaultdict(int)
        self.spent = Spent()
        self._parts = devices, clock, ledger, courses

    @property
    def devices(self) -> list[str]:
        """See LanePool."""
        return []

    def _open(self, bucket: Any, example: Any, most: int = 0) -> BucketLanes:  # noqa: ARG002
        devices, clock, ledger, _ = self._parts
        lanes = devices.count * devices.lanes
        ledger.starting += lanes
        clock.sleep(devices.compile_seconds)
        ledger.starting -= lanes
        self.spent.compilations += 1
        return Lanes(*self._parts)
