"""Signals: at once outside of training, between epochs within it."""

from __future__ import annotations

import os
import signal

import pytest

from nachos_jax.runtime import stopping


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(stopping, "_asked", [])
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGUSR1)}
    stopping.listen()
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_is_noted_within_and_raised_outside(name):
    assert stopping.asked() is None
    with stopping.deferred():
        os.kill(os.getpid(), getattr(signal, name))
        assert stopping.asked() == name
    with pytest.raises(stopping.StoppedError, match=f"stopped by {name}"):
        os.kill(os.getpid(), getattr(signal, name))
