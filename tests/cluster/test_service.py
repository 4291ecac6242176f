"""Joining a launch: what is told when it does not come about."""

from __future__ import annotations

import jax
import pytest

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
    with pytest.raises(StoppedError, match="^stopped by SIGTERM$"):
        join(monkeypatch, StoppedError("stopped by SIGTERM"))


def test_a_failure_to_join_says_where_and_what_to_see_to(monkeypatch):
    with pytest.raises(UsageError, match=r"could not join 2 processes at node1:1234 .*no route") as caught:
        join(monkeypatch, RuntimeError("no route\nand a trace"))
    assert not isinstance(caught.value, StoppedError)
