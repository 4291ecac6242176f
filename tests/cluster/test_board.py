"""The board: each fit is claimed once, and nothing is lost when a process is."""

from __future__ import annotations

import threading

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nachos_jax.cluster.board import Beat, Board, Launch, Leave
from nachos_jax.cluster.messages import MemoryMessages
from nachos_jax.cluster.pulse import Silence
from nachos_jax.core.types import EpochLimit, Fit


def fit(number: int) -> Fit:
    return Fit({"learning_rate": 0.1 * number, "nesterov": True}, (0, 2), 7, EpochLimit(5, 2, 0.01), "cases")


def test_a_fit_comes_back_as_it_was():
    board = Board(MemoryMessages(), 0)
    board.publish([fit(2), fit(1)])
    assert board.open() == [fit(2), fit(1)]
    assert [f.id for f in board.open()] == [fit(2).id, fit(1).id]


def test_of_many_that_claim_at_once_one_gets_it():
    messages = MemoryMessages()
    Board(messages, 0).publish(map(fit, range(50)))
    won: list[str] = []

    def grab(process: int) -> None:
        board = Board(messages, process)
        won.extend(f.id for f in map(fit, range(50)) if board.claim(f))

    threads = [threading.Thread(target=grab, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(fit(k).id for k in range(50))


def test_what_was_put_away_cannot_be_claimed_from_an_old_list():
    messages = MemoryMessages()
    leader, worker = Board(messages, 0), Board(messages, 1)
    leader.publish([fit(1)])
    seen = worker.open()
    assert leader.claim(fit(1))
    leader.done(fit(1).id)
    leader.put_away(fit(1).id)
    assert not worker.claim(seen[0])
    assert leader.claims() == {}


def test_all_answer_as_the_first_did():
    messages = MemoryMessages()
    boards = [Board(messages, k) for k in range(3)]
    assert [board.agreed("which?", lambda k=k: str(k)) for k, board in enumerate(boards)] == ["0", "0", "0"]


def test_facts_of_the_launch_and_of_its_processes():
    messages = MemoryMessages()
    leader, worker = Board(messages, 0), Board(messages, 1)
    assert worker.launch() is None
    launch = Launch("now", "evaluate", "c", "d", {"jax": "1"})
    leader.announce(launch)
    assert worker.launch() == launch
    worker.ready()
    assert leader.are_ready() == {1}
    worker.beat(Beat(3, "host", 4, 2, 1))
    assert leader.beats() == {1: Beat(3, "host", 4, 2, 1)}
    worker.pulse(9)
    assert leader.pulses() == {1: 9}
    assert not worker.is_lost()
    leader.declare_lost(1)
    assert worker.is_lost()
    assert worker.are_lost() == {1}
    assert worker.ended() is None
    leader.end("")
    assert worker.ended() == ""
    worker.leave("full disk")
    assert leader.left() == {1: Leave("full disk")}
    worker.leave("stopped by SIGTERM", stopped=True)
    assert leader.left() == {1: Leave("stopped by SIGTERM", stopped=True)}


def test_a_process_given_up_while_it_began_again_is_taken_back():
    messages = MemoryMessages()
    leader, worker = Board(messages, 0), Board(messages, 1)
    worker.begin()
    leader.declare_lost(1)  # the process of this number before it
    worker.ready()
    assert not worker.is_lost()
    assert leader.are_lost() == set()
    assert leader.are_ready() == {1}


def test_silence_is_measured_by_the_listeners_clock():
    now = [100.0]
    silence = Silence(lambda: now[0])
    now[0] = 103.0
    assert silence.seconds(1) == 3.0
    silence.hear({1: 5})
    now[0] = 110.0
    silence.hear({1: 5})
    assert silence.seconds(1) == 7.0
    silence.hear({1: 4})  # any change counts: a process that began anew
    assert silence.seconds(1) == 0.0


class Handing(RuleBasedStateMachine):
    """Random publishing, claiming, finishing and dying: each fit is done once, and none is forgotten."""

    def __init__(self):
        super().__init__()
        messages = MemoryMessages()
        self.boards = [Board(messages, k) for k in range(4)]
        self.published: set[str] = set()
        self.held: dict[int, set[str]] = {k: set() for k in range(4)}
        self.gathered: list[str] = []
        self.records: set[str] = set()

    @rule(numbers=st.sets(st.integers(0, 30), max_size=5))
    def publish(self, numbers):
        new = [fit(n) for n in sorted(numbers) if fit(n).id not in self.published]
        self.boards[0].publish(new)
        self.published |= {f.id for f in new}

    @rule(process=st.integers(0, 3), most=st.integers(1, 4))
    def claim(self, process, most):
        for one in self.boards[process].open()[:most]:
            if self.boards[process].claim(one):
                if one.id in self.records:  # as `take` does: its first holder is lost
                    self.boards[process].done(one.id)
                else:
                    self.held[process].add(one.id)

    @precondition(lambda self: any(self.held.values()))
    @rule(process=st.integers(0, 3))
    def finish(self, process):
        if self.held[process]:
            one = self.held[process].pop()
            self.records.add(one)
            self.boards[process].done(one)

    @rule(process=st.integers(1, 3))
    def die(self, process):
        freed = set(self.boards[0].release(process))
        assert self.held[process] <= freed
        self.held[process] = set()

    @rule()
    def gather(self):
        for one in self.boards[0].are_done():
            self.gathered.append(one)
            self.boards[0].put_away(one)

    @invariant()
    def nothing_is_lost_or_done_twice(self):
        board = self.boards[0]
        left = {f.id for f in board.open()} | set(board.claims()) | set(board.are_done())
        assert left | set(self.gathered) == self.published
        assert not left & set(self.gathered)
        holders = [one for held in self.held.values() for one in held]
        assert len(holders) == len(set(holders))


Handing.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestHanding = Handing.TestCase
