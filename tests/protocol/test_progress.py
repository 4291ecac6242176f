"""What people are told while a run goes on: from the first epoch on, and while a program is compiled."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nachos_jax.engine.pool import Spent
from nachos_jax.protocol.crew import ledger as ledgers
from nachos_jax.protocol.crew.ledger import Ledger
from nachos_jax.protocol.run import progress, status
from nachos_jax.protocol.run.progress import COMPILING, Progress, Status, left
from nachos_jax.records.store import RunDirectory


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_line_comes_with_the_first_epoch_and_then_one_a_while(caplog, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.05)
    caplog.set_level(logging.INFO, "nachos_jax")
    shown = Progress("evaluate")
    shown.show(Status(0, 40, 4, 4))
    assert lines(caplog) == []
    shown.show(Status(0, 40, 4, 4, None, epochs=4, rate=2.0, left=1200))
    assert lines(caplog) == ["evaluate: 0/40 fits, 4 epochs, lanes 4/4, 2 epochs/s, best -, 10 min left"]
    shown.show(Status(1, 40, 4, 4, 0.5, epochs=8, rate=2.0, left=100))
    assert len(caplog.records) == 1
    shown.watch(lambda: f"{COMPILING} for 35 s")
    until = time.monotonic() + 5
    while len(caplog.records) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    shown.close()
    told = f"1/40 fits, 8 epochs, lanes 4/4, 2 epochs/s, {COMPILING} for 35 s, best 0.500, 50 s left"
    assert lines(caplog)[1] == f"evaluate: {told}"


def test_quiet_says_nothing(caplog, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.01)
    caplog.set_level(logging.INFO, "nachos_jax")
    shown = Progress("evaluate", quiet=True)
    shown.watch(lambda: "")
    shown.show(Status(epochs=1))
    time.sleep(0.05)
    shown.close()
    assert caplog.records == []


def test_time_left_is_unknown_without_a_rate():
    assert [left(10, 0.0), left(10, 1.0), left(600, 1.0)] == ["time left unknown", "10 s left", "10 min left"]


def test_a_session_is_on_disk_while_it_goes_on_and_status_tells_it(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(ledgers, "NOTE", 0.01)
    pool = SimpleNamespace(spent=Spent(), lanes=4, busy=3, devices=["cpu cpu"])
    store = RunDirectory(tmp_path)
    ledger = Ledger(store, pool, "20260101T000000-0a0b0c0d-p0")  # pyrefly: ignore[bad-argument-type]
    ledger.open()

    def told(found: str) -> str:
        until = time.monotonic() + 5
        while found not in (text := status._now(store)) and time.monotonic() < until:
            time.sleep(0.01)
        return text

    with ledger.now(COMPILING):
        assert f"0/? fits, 0 epochs, lanes 3/4, time left unknown, {COMPILING} for 0 s (as told 0 s ago)" == (
            told(COMPILING).replace(" 1 s", " 0 s")
        )
    ledger.standing(fits_ended=2, fits_planned=40, epochs_left=50)
    with ledger.now(ledgers.TRAINING):
        pool.spent.epochs, pool.spent.train_seconds = 10, 2.0
    assert told("10 epochs").startswith("2/40 fits, 10 epochs, lanes 3/4, 5 epochs/s, 10 s left, waiting")
    session = json.loads(next(store.folder.glob("sessions/*.json")).read_text())
    assert session["seconds"] > 0
    assert session["versions"]["python"]
    ledger.close(9.0)
    assert status._now(store) == "", "it has ended in order"
    assert store.sessions()[0]["seconds"] == 9.0
