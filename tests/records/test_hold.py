"""Who holds a run directory, on this host and on others."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.records import hold
from nachos_jax.records.hold import held


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(hold, "BEAT", 0.05)
    monkeypatch.setattr(hold, "WATCH", 0.5)


def left_by(folder: Path, **changes) -> None:
    holder = {"process": 7, "host": "gamma", "since": "2026-01-02 03:04:05 +0000", "number": 12, **changes}
    (folder / ".lock").write_text(json.dumps(holder))


def test_the_second_is_told_who_holds_it_and_since_when(tmp_path):
    with (
        held(tmp_path),
        pytest.raises(UsageError, match=f"in use by process {os.getpid()} on {os.uname().nodename} since 20"),
        held(tmp_path),
    ):
        pass
    with held(tmp_path):
        pass


def test_the_dead_of_this_host_are_believed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(hold, "WATCH", 1e9)
    left_by(tmp_path, **hold._here())
    with held(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()
    assert (tmp_path / ".lock").read_text() == ""


@pytest.mark.parametrize("changes", [{}, {"host": os.uname().nodename, "boot": "another"}])
def test_the_dead_of_another_host_are_watched_first(tmp_path, caplog, changes):
    left_by(tmp_path, **changes)
    with held(tmp_path):
        assert "was held by process 7 on " in caplog.text
        assert " since 2026-01-02 03:04:05 +0000, which is gone" in caplog.text


def test_the_living_of_another_host_are_respected_though_their_lock_is_not_seen_here(tmp_path):
    over = threading.Event()

    def live() -> None:
        number = 0
        while not over.wait(0.02):
            left_by(tmp_path, number=(number := number + 1))

    thread = threading.Thread(target=live)
    left_by(tmp_path)
    thread.start()
    try:
        with pytest.raises(UsageError, match="in use by process 7 on gamma"), held(tmp_path):
            pass
    finally:
        over.set()
        thread.join()


def test_a_torn_text_is_not_taken_for_a_holder(tmp_path):
    for text in ("{", "null", "[1]", "process 7"):
        (tmp_path / ".lock").write_text(text)
        with held(tmp_path):
            pass
