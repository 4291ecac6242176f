"""Joining a launch: what is told when it does not come about."""

from __future__ import annotations

import os
import signal
import threading

import jax
import pytest

from nachos_jax.cluster import service
from nachos_jax.cluster.place import Place
from nachos_jax.cluster.service import ServiceMessages
from nachos_jax.core.errors import UsageError
from nachos_jax.runtime.stopping import StoppedError

PLACE = Place(1, 2, "node1:1234")


@pytest.fixture(autouse=True)
def settings():
    """The settings of JAX as they were before."""
    names = ("jax_enable_recoverability", "jax_enable_preemption_service")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def join(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Meets this error while it joins."""

    class State:
        def initialize(self, **_):
            raise error

    monkeypatch.setattr("jax._src.distributed.State", State)
    ServiceMessages(PLACE, 100)


def test_a_signal_meanwhile_is_no_failure_to_join(monkeypatch):
    def signalled(_: object) -> None:
        raise StoppedError("stopped by SIGTERM")

    monkeypatch.setattr(service, "_interruptible", signalled)
    with pytest.raises(StoppedError, match="^stopped by SIGTERM$"):
        ServiceMessages(PLACE, 100)


def test_joining_does_not_keep_a_signal_from_being_heard():
    awake = threading.Event()

    def heard(*_: object) -> None:
        raise StoppedError("stopped by SIGUSR1")

    before = signal.signal(signal.SIGUSR1, heard)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    try:
        with pytest.raises(StoppedError, match="SIGUSR1"):
            service._interruptible(lambda: (awake.wait(60), None)[1])
    finally:
        awake.set()
        signal.signal(signal.SIGUSR1, before)


def test_a_failure_to_join_says_where_and_what_to_see_to(monkeypatch):
    with pytest.raises(UsageError, match=r"could not join 2 processes at node1:1234 .*no route") as caught:
        join(monkeypatch, RuntimeError("no route\nand a trace"))
    assert not isinstance(caught.value, StoppedError)
