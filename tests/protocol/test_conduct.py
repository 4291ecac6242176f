"""How conducting ends: whatever went wrong first is what is told, and everything is closed."""

from __future__ import annotations

from typing import Any

import pytest

from nachos_jax.core.errors import UsageError
from nachos_jax.engine.pool import LanePool
from nachos_jax.protocol.crew.crew import Alone
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.protocol.model import tested_masks
from nachos_jax.protocol.run.progress import Progress
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime import stopping
from nachos_jax.runtime.stopping import StoppedError
from nachos_jax.search.background import Background
from tests import masks, tiny


@pytest.fixture
def closed(monkeypatch) -> list[str]:
    """Names of what was closed, in order."""
    found: list[str] = []
    for one in (Background, Alone, Progress):
        close = one.close

        def noted(self, *values, close=close, name=one.__name__, **more):
            found.append(name)
            close(self, *values, **more)

        monkeypatch.setattr(one, "close", noted)
    return found


def full(*_):
    raise UsageError("No space left on device")


def stopped(*_):
    raise StoppedError("stopped by SIGTERM")


def run(folder) -> None:
    evaluate(tiny.run_config(), str(folder), cohort=tiny.cohort(), quiet=True)


def test_a_full_disk_does_not_hide_that_a_signal_stopped_the_run(monkeypatch, closed, tmp_path, caplog):
    monkeypatch.setattr(RunDirectory, "write_session", full)
    monkeypatch.setattr(Alone, "prepare", stopped)
    with pytest.raises(StoppedError, match="stopped by SIGTERM"):
        run(tmp_path)
    assert closed == ["Background", "Alone", "Progress"]
    assert "No space left on device" in caplog.text


def test_an_error_of_one_closing_leaves_none_of_the_others_out(monkeypatch, closed, tmp_path):
    shut = Background.close

    def fails(self):
        shut(self)
        raise RuntimeError("a proposal failed")

    monkeypatch.setattr(Background, "close", fails)
    monkeypatch.setattr(Alone, "prepare", full)
    with pytest.raises(RuntimeError, match="a proposal failed"):
        run(tmp_path)
    assert closed == ["Background", "Alone", "Progress"]


def test_a_signal_is_heard_between_the_parts_of_what_follows_a_search(monkeypatch, tmp_path):
    """A long test is not waited for: a scheduler would kill the process, and lanes in training with it."""
    saved = []

    def long_test(self, value):
        monkeypatch.setattr(stopping, "_asked", ["SIGTERM"])
        stopping.between()
        pytest.fail("the test went on")

    monkeypatch.setattr(RunDirectory, "commit_test", long_test)
    monkeypatch.setattr(LanePool, "save", lambda self, all_lanes=False: saved.append(all_lanes))
    with pytest.raises(StoppedError, match="stopped by SIGTERM: all lanes are saved"):
        run(tmp_path)
    assert saved[-1]
    stopping.between()  # nobody listens any more


def test_tests_of_masks_look_up_between_cases():
    cohort, looks = masks.cohort(), []
    store: Any = cohort.store
    with stopping.looking(lambda: looks.append(1)):
        tested_masks.against_truth(cohort, lambda row: store.truth(row)[0], range(3))
    assert len(looks) == 3
