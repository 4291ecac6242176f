"""Signals: at once outside of training, between epochs within it."""

from __future__ import annotations

import json
import os
import signal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nachos_jax.data import cache, masks
from nachos_jax.protocol.model import columns
from nachos_jax.records import seal
from nachos_jax.records.store import RunDirectory
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


def _signal(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)


def _record(folder, monkeypatch):
    store = RunDirectory(folder, "evaluate")
    store.records.mkdir(parents=True)
    (store.records / "run.json").write_text("{}")
    monkeypatch.setattr(seal, "check", _signal)
    store.run()


def _pixels(folder, monkeypatch):
    np.save(folder / "pixels.npy", np.zeros(3))
    (folder / "facts.json").write_text(json.dumps({"sha256": "", "sizes": []}))
    monkeypatch.setattr(cache, "pixel_digest", _signal)
    cache._load(folder / "pixels.npy", folder / "facts.json")


def _pair(_folder, monkeypatch):
    monkeypatch.setattr(masks, "_checked", _signal)
    source: Any = SimpleNamespace(
        fault=None, open=lambda: int, columns=SimpleNamespace(names="ab"), where=str
    )
    masks._pairs(source, None)


def _column(folder, monkeypatch):
    monkeypatch.setattr(columns, "asked", lambda _: ("age",))
    monkeypatch.setattr(columns, "_tested", _signal)
    store = SimpleNamespace(
        tests=lambda: [SimpleNamespace(fit="f", outer_fold=0)],
        fit=lambda _: SimpleNamespace(status="done"),
        column_path=lambda _: folder / "none",
    )
    run: Any = SimpleNamespace(store=store, cohort=None)
    columns.test_folds(run)


@pytest.mark.parametrize("reads", [_record, _pixels, _pair, _column])
def test_who_takes_errors_for_damage_does_not_take_signals_for_it(reads, tmp_path, monkeypatch):
    with pytest.raises(stopping.StoppedError, match="stopped by SIGTERM"):
        reads(tmp_path, monkeypatch)
