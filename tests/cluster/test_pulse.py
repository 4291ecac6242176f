"""Process 0 ends itself when it hangs, and only then."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import pytest

from nachos_jax.cluster import pulse
from nachos_jax.cluster.board import Beat, Board, Party
from nachos_jax.cluster.messages import MemoryMessages
from nachos_jax.cluster.pulse import MARGIN, PULSE, Standstill

STALLED_AFTER = 100.0


class Process:
    """A process of a launch whose pulse is called by hand, on a clock of its own.

    Args:
        monkeypatch: takes the place of the thread.
        number: of the process.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int):
        self.now, self.ended = 0.0, []
        self.board = Board(MemoryMessages(), number)
        monkeypatch.setattr(pulse, "every", lambda _seconds, call, _name: call)
        party = Party(self.board, 2, math.inf, STALLED_AFTER)
        self._tick: Any = pulse.beating(party, self.ended.append, lambda: self.now)

    def live(self, seconds: float, before: Callable[[], object] = lambda: None) -> None:
        """Lets pulses go on for so long, and does something before each."""
        for count in range(round(seconds / PULSE)):
            before()
            self.now += PULSE
            self._tick(count)


def test_process_0_that_ends_no_epoch_ends_itself_and_says_why(monkeypatch, caplog):
    process = Process(monkeypatch, 0)
    process.board.beat(Beat(1, "host"))
    process.live(STALLED_AFTER + MARGIN)
    assert not process.ended
    assert process.board.pulses()[0] > 0
    with caplog.at_level(logging.ERROR, "nachos_jax"):
        process.live(2 * PULSE)
    assert process.ended[0] == 75
    assert "process 0 has not ended an epoch for 160 seconds" in caplog.text
    assert "raise --stalled_after" in caplog.text


def test_process_0_that_goes_on_does_not_end(monkeypatch):
    process = Process(monkeypatch, 0)
    counts = iter(range(10_000))
    process.live(10 * STALLED_AFTER, lambda: process.board.beat(Beat(next(counts) // 10, "host")))
    assert not process.ended


@pytest.mark.parametrize("when", ["before its first epoch", "after its last"])
def test_reading_cases_and_writing_reports_may_take_long(monkeypatch, when):
    process = Process(monkeypatch, 0)
    if when == "after its last":
        process.board.beat(Beat(1, "host"))
        process.live(STALLED_AFTER)
        process.board.rest()
    process.live(10 * STALLED_AFTER)
    assert not process.ended


def test_others_are_ended_by_process_0_and_not_by_themselves(monkeypatch):
    process = Process(monkeypatch, 1)
    process.board.beat(Beat(1, "host"))
    process.live(10 * STALLED_AFTER)
    assert not process.ended


def test_time_in_which_the_process_was_stopped_as_a_whole_does_not_count():
    now = [0.0]
    standstill = Standstill(lambda: now[0])
    assert standstill.seconds(7) == 0
    now[0] += 3
    assert standstill.seconds(7) == 3
    now[0] += 1e6  # SIGSTOP, and SIGCONT days later
    assert standstill.seconds(7) <= 3 + 5 * PULSE
    assert standstill.seconds(8) == 0
