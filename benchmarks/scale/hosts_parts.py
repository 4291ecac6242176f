"""What stands for disk, coordination service, proposals and devices of a simulated launch."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.scale.hosts_clock import Clock
from benchmarks.scale.hosts_fits import Courses
from benchmarks.scale.hosts_ledger import Ledger
from nachos_jax.engine import buckets
from nachos_jax.engine.bucket_lanes import FitResult
from nachos_jax.engine.pool import Spent
from nachos_jax.protocol.plan.pool_model import Job, Lanes, ModelPool
from nachos_jax.search.drawn_search import DrawnSearch, random, sobol


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

    path, command = Path("simulated"), "evaluate"
    """Where nothing lies."""

    def run(self) -> None:
        """Nothing was written of it."""

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

    def fit_ids(self) -> set[str]:
        """Of the fits on record."""
        return set(self.records)

    def commit_outcome(self, _outcome: Any) -> None:
        """Nobody asks for it."""


class Notes:
    """What a process notes of its session: nothing. Arguments as of `protocol.crew.ledger.Ledger`."""

    doing = ""

    def __init__(self, _store: Any, _pool: Any, name: str):
        self.name = name

    def open(self) -> None:
        """Begins no thread, which virtual time would not know."""

    def now(self, _doing: str) -> contextlib.AbstractContextManager[None]:
        """What is done now."""
        return contextlib.nullcontext()

    def standing(self, **_figures: Any) -> None:
        """Where the run stands."""

    def close(self, _seconds: float) -> None:
        """Writes nothing."""


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
        self._shared = DrawnSearch(setting, "sobol", sobol)
        own = replace(setting, seed=setting.seed + 1 + setting.study)
        self._own = DrawnSearch(own, self.ORIGIN, random)

    def ask(self, count: int, history: Any) -> list[Any]:
        """See Searcher."""
        return (self._shared if len(history) < self._initial else self._own).ask(count, history)


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


class Pool:
    """The lane pool of a simulated host: the rules that `nachos plan` plays, and waiting for training.

    Args:
        run: the checked configuration.
        devices: of the host.
        clock: virtual time.
        ledger: is told what lanes do.
        courses: how long fits last.
    """

    def __init__(self, run: Any, devices: Devices, clock: Clock, ledger: Ledger, courses: Courses):
        self._table, self._devices, self._clock = run.table, devices, clock
        self._ledger, self._courses = ledger, courses
        self._model = ModelPool(Lanes(devices.count, devices.lanes))
        self._total = devices.count * devices.lanes
        self._records: dict[Any, Any] = {}
        self.spent, self.devices = Spent(), []

    @property
    def busy(self) -> int:
        """See LanePool."""
        return self._model.busy

    @property
    def waiting(self) -> int:
        """See LanePool."""
        return self._model.waiting

    @property
    def lanes(self) -> int:
        """See LanePool."""
        return self._total if self.spent.compilations else 0

    def knows(self, fit: Any) -> bool:
        """See LanePool."""
        return self._model.knows(buckets.bucket_of(fit, self._table))

    def room(self, fit: Any) -> int:
        """See LanePool."""
        return self._model.room(buckets.bucket_of(fit, self._table))

    def submit(self, fits: Iterable[Any], _look: Any = None) -> None:
        """See LanePool; fits of a new bucket wait for its program."""
        for fit in fits:
            bucket, record = buckets.bucket_of(fit, self._table), self._courses.record(fit)
            if not self._model.knows(bucket):
                self._compile()
            self._records[fit.id] = record
            self._model.submit([(fit.id, Job(record.epochs, bucket=bucket))])

    def step(self) -> list[FitResult]:
        """See LanePool."""
        busy = self._model.next().busy
        self._ledger.busy += busy
        self._clock.sleep(self._devices.epoch_seconds)
        self._ledger.busy -= busy
        ended = self._model.step()
        self.spent.fits += len(ended)
        return [FitResult(self._records.pop(name), {}) for name in ended]

    def look_again(self) -> None:
        """No checkpoint is there."""

    def save(self, all_lanes: bool = False) -> None:
        """Nor is one written."""

    def close(self) -> None:
        """Nothing is written in the background."""

    def _compile(self) -> None:
        self._ledger.starting += self._total
        self._clock.sleep(self._devices.compile_seconds)
        self._ledger.starting -= self._total
        self.spent.compilations += 1
