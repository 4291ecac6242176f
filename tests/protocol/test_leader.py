"""Process 0 and its board, look by look: who is waited for, whose claims count, and who hears of whom."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nachos_jax.cluster.board import Board, Party
from nachos_jax.cluster.messages import MemoryMessages
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import EpochLimit, Fit
from nachos_jax.engine.pool import Spent
from nachos_jax.protocol.crew import leader
from nachos_jax.protocol.crew.crew import Alone
from nachos_jax.protocol.crew.leader import Leader, take
from nachos_jax.runtime import stopping
from nachos_jax.runtime.stopping import StoppedError


def fit(number: int) -> Fit:
    return Fit({"learning_rate": 0.1 * number}, (0, 1), 7, EpochLimit(5), "cases")


class Pool:
    """Lanes that note what they are told, and never train."""

    busy = waiting = lanes = 0
    devices = ("cpu",)
    begins_anew = ""

    def __init__(self, room: int = 0, events: list[str] | None = None):
        self.spent, self._room = Spent(), room
        self.events: list[str] = [] if events is None else events

    def room(self, _fit: Fit) -> int:
        return self._room

    def knows(self, _fit: Fit) -> bool:
        return True

    def submit(self, _fits: list[Fit]) -> None:
        self.events.append("compiled")

    def save(self, all_lanes: bool = False) -> None:
        self.events.append(f"saved {all_lanes}")

    def look_again(self) -> None:
        self.events.append("looked")

    def close(self) -> None:
        self.events.append("closed")


class Disk:
    """A run directory without records; a full one cannot write a session."""

    path, command = Path("run"), "evaluate"

    def __init__(self, full: bool = False):
        self._full, self.sessions = full, []

    def fit(self, _fit: str) -> None:
        return None

    def fit_ids(self) -> set[str]:
        return set()

    def run(self) -> None:
        return None

    def write_session(self, name: str, _value: Any) -> None:
        if self._full:
            raise UsageError("No space left on device")
        self.sessions.append(name)


class Lead:
    """A leader and the boards of its launch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, processes: int = 2):
        messages = MemoryMessages()
        self.boards = [Board(messages, process) for process in range(processes)]
        self.pool = Pool()
        self._looks: list[Callable[[], object]] = []
        party = Party(self.boards[0], processes, math.inf, math.inf)
        self.leader = Leader(Disk(), self.pool, party, "launch-p0")  # pyrefly: ignore[bad-argument-type]
        monkeypatch.setattr(leader, "time", SimpleNamespace(sleep=self._sleep, monotonic=lambda: 0.0))

    def _sleep(self, _seconds: float) -> None:
        if self._looks:
            self._looks.pop(0)()

    def prepare(self, *looks: Callable[[], object]) -> None:
        """Prepares; after each look at the board one of these things happens."""
        self._looks = [*looks, lambda: pytest.fail("it waits on")]
        self.leader.prepare()
        self._looks = []


# --- claims ------------------------------------------------------------------------------------------------


def test_a_claim_that_comes_after_its_holder_was_given_up_is_freed(monkeypatch):
    lead = Lead(monkeypatch, 3)
    leading, late, other = lead.boards
    late.ready()
    other.ready()
    lead.leader.submit([fit(1), fit(2), fit(3)])
    lead.leader.step()
    seen = late.open()
    late.leave("stopped by SIGTERM")
    lead.leader.step()
    assert late.is_lost()
    assert late.claim(seen[0])
    assert other.claim(fit(2))
    assert leading.claim(fit(3))
    lead.leader.step()
    assert leading.claims() == {fit(2).id: 2, fit(3).id: 0}
    late.begin()
    late.ready()
    assert late.claim(fit(1)), "it is back, and its claims count again"
    lead.leader.step()
    assert leading.claims()[fit(1).id] == 1


def test_a_process_that_was_given_up_while_it_compiled_claims_no_more():
    messages, events = MemoryMessages(), []
    leading, board = Board(messages, 0), Board(messages, 1)
    leading.publish([fit(1), fit(2), fit(3)])
    pool: Any = Pool(1, events)
    pool.submit = lambda _: leading.declare_lost(1)
    take(board, pool, Disk(), lambda: None)  # pyrefly: ignore[bad-argument-type]
    assert leading.claims() == {fit(1).id: 1}


def test_each_bucket_that_may_have_been_compiled_is_followed_by_a_beat():
    events: list[str] = []
    board = Board(MemoryMessages(), 0)
    board.publish([fit(1), fit(2), fit(3)])
    take(board, Pool(1, events), Disk(), lambda: events.append("beat"))  # pyrefly: ignore[bad-argument-type]
    assert events == ["compiled", "beat"] * 3


def test_after_a_signal_nothing_more_is_claimed(monkeypatch):
    monkeypatch.setattr(stopping, "_asked", [])
    board, pool = Board(MemoryMessages(), 0), Pool(1, events := [])
    board.publish([fit(1), fit(2), fit(3)])
    tell = lambda: stopping._asked.append("SIGTERM")  # while the first was compiled  # noqa: E731
    take(board, pool, Disk(), tell)  # pyrefly: ignore[bad-argument-type]
    assert events == ["compiled"]


# --- the start ---------------------------------------------------------------------------------------------


def test_those_who_are_ready_hear_of_process_0_while_it_waits_for_others(monkeypatch):
    lead = Lead(monkeypatch)
    counts = []

    def look() -> None:
        counts.append(lead.boards[1].beats()[0].count)

    lead.prepare(look, look, lambda: (look(), lead.boards[1].ready()))
    assert counts == [1, 2, 3]


def test_a_signal_to_all_is_no_error_of_those_who_left_first(monkeypatch):
    lead = Lead(monkeypatch)
    monkeypatch.setattr(stopping, "_asked", ["SIGTERM"])
    lead.boards[1].leave("killed by its scheduler")
    with pytest.raises(StoppedError, match="stopped by SIGTERM"):
        lead.prepare()


def test_a_worker_that_was_stopped_before_it_was_ready_is_not_waited_for_and_may_come_back(monkeypatch):
    lead = Lead(monkeypatch, 3)
    _, stopped, other = lead.boards
    lead.prepare(lambda: stopped.leave("stopped by SIGTERM", stopped=True), other.ready)
    lead.leader.step()
    assert stopped.is_lost()
    stopped.begin()
    stopped.ready()
    lead.leader.step()
    assert lead.boards[0].are_lost() == set()
    assert lead.boards[0].are_ready() == {1, 2}


def test_a_worker_that_cannot_take_part_ends_the_launch(monkeypatch):
    lead = Lead(monkeypatch)
    lead.boards[1].leave("it finds other cases")
    with pytest.raises(UsageError, match="process 1 cannot take part: it finds other cases"):
        lead.prepare()


# --- the end -----------------------------------------------------------------------------------------------


def test_process_0_is_not_missed_after_its_last_epoch(monkeypatch):
    lead = Lead(monkeypatch)
    lead.leader.step()
    before = lead.boards[0].beaten
    lead.leader.close(1.0)
    assert (before, lead.boards[0].beaten) == (1, None)


def test_process_0_gives_signs_of_life_in_the_middle_of_what_no_epoch_divides(monkeypatch):
    lead = Lead(monkeypatch)
    lead.leader.step()
    lead.leader.look()
    assert lead.boards[1].beats()[0].count == 2
    monkeypatch.setattr(stopping, "_asked", ["SIGTERM"])
    with pytest.raises(StoppedError, match="all lanes are saved"):
        lead.leader.look()
    assert lead.pool.events[-1] == "saved True"
    lead.pool.begins_anew = "fits"
    with pytest.raises(StoppedError, match="stopped by SIGTERM: what is finished is kept, fits on their way"):
        lead.leader.look()


@pytest.mark.parametrize(("failed", "how"), [(False, ""), (True, None)])
def test_the_others_leave_when_all_is_trained_and_not_after_the_report(monkeypatch, failed, how):
    lead = Lead(monkeypatch)
    lead.leader.step()
    lead.leader.close(1.0, failed)
    assert lead.boards[1].ended() == how


@pytest.mark.parametrize("kind", ["alone", "leads"])
def test_what_was_spent_is_told_as_an_error_only_if_there_is_no_other(kind, caplog):
    def crew(disk: Disk, pool: Pool) -> Any:
        party = Party(Board(MemoryMessages(), 0), 2, math.inf, math.inf)
        return Alone(disk, pool, "s") if kind == "alone" else Leader(disk, pool, party, "s")  # pyrefly: ignore[bad-argument-type]

    with pytest.raises(UsageError, match="No space left"):
        crew(Disk(full=True), Pool()).close(1.0)
    assert not caplog.records
    crew(Disk(full=True), Pool()).close(1.0, failed=True)
    assert "No space left on device" in caplog.text
    disk, pool = Disk(), Pool()
    crew(disk, pool).close(1.0, failed=True)
    assert (disk.sessions, pool.events) == (["s"], ["closed"])


def test_lanes_that_cannot_be_closed_still_leave_what_they_spent():
    disk, pool = Disk(), Pool()

    def fails() -> None:
        raise RuntimeError("the last checkpoint")

    pool.close = fails
    with pytest.raises(RuntimeError, match="the last checkpoint"):
        Alone(disk, pool, "s").close(1.0)  # pyrefly: ignore[bad-argument-type]
    assert disk.sessions == ["s"]
