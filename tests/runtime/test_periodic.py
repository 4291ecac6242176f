"""The thread that calls: at once, again and again, and never after the end."""

from __future__ import annotations

import logging
import threading

import pytest

from nachos_jax.runtime.periodic import every
from nachos_jax.runtime.stopping import StoppedError

PATIENCE = 60
"""Seconds after which a test gives up."""


def named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_it_counts_on_from_zero_until_the_end():
    seen, enough = [], threading.Event()

    def call(count: int) -> None:
        seen.append(count)
        if count == 3:
            enough.set()

    with every(0.01, call, "counting"):
        assert enough.wait(PATIENCE)
    assert seen == list(range(len(seen)))
    assert len(seen) >= 4
    assert named("counting") == []


def test_the_first_call_is_at_once_and_the_end_waits_for_no_other():
    seen, called = [], threading.Event()
    with every(1e6, lambda count: (seen.append(count), called.set()), "rare"):
        assert called.wait(PATIENCE)
    assert seen == [0]


def test_an_error_of_the_context_ends_the_thread():
    with pytest.raises(KeyError), every(0.01, lambda _: None, "failing"):
        raise KeyError
    assert named("failing") == []


def test_a_call_that_fails_is_told_once_and_made_again(caplog: pytest.LogCaptureFixture):
    """Two failures, a call that works, and a failure again: that one is news."""
    seen, enough = [], threading.Event()

    def call(count: int) -> None:
        seen.append(count)
        if count == 4:
            enough.set()
        elif count != 2:
            raise StoppedError("process 0 has gone")

    with caplog.at_level(logging.WARNING, "nachos_jax"), every(0.01, call, "pulse"):
        assert enough.wait(PATIENCE)
    assert seen[:5] == [0, 1, 2, 3, 4]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["pulse failed, and is tried again every 0.01 seconds: process 0 has gone"] * 2


def test_a_call_that_fails_when_the_context_has_ended_is_not_told(caplog: pytest.LogCaptureFixture):
    called, over = threading.Event(), threading.Event()

    def call(_: int) -> None:
        called.set()
        assert over.wait(PATIENCE)
        raise StoppedError("the connection is closed")

    class Thread(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            over.set()
            super().join(timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "Thread", Thread)
        with every(0.01, call, "cut off"):
            assert called.wait(PATIENCE)
    assert over.is_set()
    assert not caplog.records
