"""The thread that calls: at once, again and again, and never after the end."""

from __future__ import annotations

import threading

import pytest

from nachos_jax.core.periodic import every
from nachos_jax.core.stopping import StoppedError

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


def test_who_is_told_to_stop_ends_the_thread_without_a_word(recwarn: pytest.WarningsRecorder):
    seen = []

    def call(count: int) -> None:
        seen.append(count)
        raise StoppedError("process 0 has gone")

    with every(0.01, call, "stopped"):
        for thread in named("stopped"):
            thread.join(PATIENCE)
    assert seen == [0]
    assert not [warning for warning in recwarn if "Thread" in str(warning.category)]
