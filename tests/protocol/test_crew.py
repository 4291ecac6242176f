"""Several processes of a launch, played by threads: the same records as one process, whoever is lost."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from nachos_jax.cluster import pulse
from nachos_jax.cluster.board import Board, Party
from nachos_jax.cluster.messages import MemoryMessages
from nachos_jax.core.errors import UsageError
from nachos_jax.engine.pool import LanePool
from nachos_jax.protocol.crew import leader, worker
from nachos_jax.protocol.crew.worker import work
from nachos_jax.protocol.evaluate import evaluate
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime import mesh
from nachos_jax.runtime.stopping import StoppedError
from tests import tiny

# Orbax keeps account of its saves by process, so threads that play processes must not save.
CHANGES = {
    "training__epochs": 5,
    "training__patience": 5,
    "search__trials": 4,
    "engine__lanes": 1,
    "engine__checkpoint_epochs": 0,
}
RUN = tiny.run_config(**CHANGES)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(leader, "POLL", 0.01)
    monkeypatch.setattr(worker, "POLL", 0.01)
    monkeypatch.setattr(pulse, "PULSE", 0.05)
    monkeypatch.setattr(leader, "PULSE", 0.05)
    real = mesh.lane_mesh

    def own_devices(devices=None):
        """Each process of a launch has devices of its own."""
        process = int(threading.current_thread().name.partition("process ")[2] or 0)
        return real(devices or jax.devices()[2 * process : 2 * process + 2])

    monkeypatch.setattr(mesh, "lane_mesh", own_devices)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("alone")
    evaluate(RUN, str(folder), cohort=tiny.cohort(), quiet=True)
    return records(folder)


def records(folder: Path) -> dict[str, bytes]:
    """All records but the sessions, which tell times, and run.json, which tells the command."""
    root = folder / "records"
    files = [path for path in root.rglob("*") if path.is_file() and "sessions" not in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in files if path.name != "run.json"}


class Launch:
    """A launch of threads in one run directory.

    Args:
        folder: the run directory.
        processes: how many.
        lost_after: see Party.
        stalled_after: see Party.
    """

    def __init__(self, folder: Path, processes: int, lost_after: float = 60, stalled_after: float = 60):
        self.folder, self.messages = folder, MemoryMessages()
        self.party = Party(Board(self.messages, 0), processes, lost_after, stalled_after)
        self.errors: dict[int, BaseException] = {}
        self.threads: list[threading.Thread] = []

    def worker(self, process: int, run=RUN, cohort=None, folder: Path | None = None) -> None:
        """Starts a worker."""
        board = Board(self.messages, process)
        party = Party(board, self.party.processes, self.party.lost_after, self.party.stalled_after)

        def body() -> None:
            try:
                with pulse.beating(party):
                    work(run, str(folder or self.folder), party, cohort or tiny.cohort())
                board.leave()
            except (UsageError, StoppedError) as error:
                self.errors[process] = error
                board.leave(str(error), isinstance(error, StoppedError))
            except BaseException as error:  # dies without a word
                self.errors[process] = error

        self.threads.append(threading.Thread(target=body, name=f"process {process}"))
        self.threads[-1].start()

    def lead(self) -> None:
        """Is process 0 until the run has ended, then waits for the others."""
        how = "an error"
        try:
            evaluate(RUN, str(self.folder), cohort=tiny.cohort(), quiet=True, party=self.party)
            how = ""
        finally:
            leader.dismiss(self.party, how)
            for thread in self.threads:
                thread.join(30)

    def fits(self) -> list[int]:
        """Fits that each process trained."""
        return [session.get("fits", 0) for session in RunDirectory(self.folder).sessions()]


@pytest.mark.thorough
def test_several_processes_give_the_records_of_one(tmp_path, alone):
    launch = Launch(tmp_path, 3)
    launch.worker(1)
    launch.worker(2)
    launch.lead()
    assert not launch.errors
    assert records(tmp_path) == alone
    assert sum(count > 0 for count in launch.fits()) >= 2, launch.fits()
    assert len(launch.fits()) == 3


def test_a_process_that_falls_silent_loses_its_fits_to_the_others(tmp_path, alone, monkeypatch):
    launch = Launch(tmp_path, 3, lost_after=1.0)
    doomed(monkeypatch, launch, raised_at_the_third(SystemExit()))
    launch.worker(2)
    launch.lead()
    assert isinstance(launch.errors.pop(1), SystemExit)
    assert not launch.errors
    assert records(tmp_path) == alone


@pytest.mark.thorough
def test_a_process_that_died_and_was_started_again_takes_part_again(tmp_path, alone, monkeypatch):
    launch = Launch(tmp_path, 2)
    doomed(monkeypatch, launch, raised_at_the_third(SystemExit()))
    again = threading.Thread(target=lambda: (wait_for(lambda: launch.errors.pop(1, None)), launch.worker(1)))
    again.start()
    launch.lead()
    again.join()
    assert not launch.errors
    assert records(tmp_path) == alone
    assert len(launch.fits()) == 2


@pytest.mark.thorough
def test_a_process_that_left_may_come_back(tmp_path, alone, monkeypatch):
    launch = Launch(tmp_path, 2)
    doomed(monkeypatch, launch, raised_at_the_third(StoppedError("stopped by a test")))
    given_up = lambda: launch.errors.get(1) and launch.party.board.are_lost()  # noqa: E731
    again = threading.Thread(target=lambda: (wait_for(given_up), launch.errors.clear(), launch.worker(1)))
    again.start()
    launch.lead()
    again.join()
    assert not launch.errors
    assert launch.party.board.are_lost() == set()
    assert records(tmp_path) == alone


def doomed(monkeypatch, launch: Launch, deed: Callable[[LanePool], object]) -> None:
    """Starts worker 1, which does something before each of its epochs."""
    real = worker.train
    threads: set[int] = set()

    def train(store, pool):
        if threading.get_ident() in threads:
            deed(pool)
        return real(store, pool)

    monkeypatch.setattr(worker, "train", train)
    launch.worker(1)
    threads.add(launch.threads[-1].ident)  # pyrefly: ignore[bad-argument-type]


def raised_at_the_third(error: BaseException) -> Callable[[LanePool], None]:
    """What a doomed worker does: nothing before two epochs, then this."""
    epochs = itertools.count(1)

    def deed(_: LanePool) -> None:
        if next(epochs) == 3:
            raise error

    return deed


@pytest.mark.thorough
def test_a_process_that_hangs_is_given_up_and_does_no_harm_when_it_wakes(tmp_path, alone, monkeypatch):
    launch = Launch(tmp_path, 2, stalled_after=1.0)
    wake = threading.Event()
    doomed(monkeypatch, launch, lambda _: wake.wait(60))
    threading.Thread(target=lambda: (wait_for(launch.party.board.are_lost), wake.set())).start()
    launch.lead()
    assert isinstance(launch.errors[1], StoppedError)
    assert launch.party.board.are_lost() == {1}
    assert records(tmp_path) == alone


@pytest.mark.parametrize("what", ["config", "cases", "folder"])
def test_a_process_that_sees_something_else_stops_the_launch_before_training(tmp_path, monkeypatch, what):
    monkeypatch.setattr(worker, "VISIBLE", 0.2)
    launch = Launch(tmp_path / "run", 2)
    if what == "config":
        launch.worker(1, run=tiny.run_config(**{**CHANGES, "search__trials": 9}))
    elif what == "cases":
        launch.worker(1, cohort=tiny.cohort("uint16"))
    else:
        launch.worker(1, folder=tmp_path / "elsewhere")
    message = {"config": "another config", "cases": "other cases", "folder": "hosts share"}[what]
    with pytest.raises(UsageError, match=f"process 1 cannot take part: .*{message}"):
        launch.lead()
    assert not list((tmp_path / "run/records/evaluate").glob("fits/*"))


def test_the_others_end_when_process_0_hangs(tmp_path, monkeypatch):
    launch = Launch(tmp_path, 2, stalled_after=1.0)
    launch.worker(1)
    over = threading.Event()

    def hang(_):
        over.wait(60)
        raise UsageError("it wakes")

    monkeypatch.setattr(leader.Leader, "step", hang)
    ending = threading.Thread(target=lambda: (wait_for(lambda: launch.errors), over.set()))
    ending.start()
    with pytest.raises(UsageError, match="it wakes"):
        launch.lead()
    ending.join()
    assert "process 0 has not ended an epoch for 1 seconds" in str(launch.errors[1])


@pytest.mark.thorough
def test_a_worker_that_is_stopped_and_cannot_say_what_it_spent_is_still_stopped(tmp_path, alone, monkeypatch):
    write = RunDirectory.write_session

    def full(self, name, value):
        if name.endswith("-p1"):
            raise UsageError("No space left on device")
        write(self, name, value)

    def stopped(*_):
        raise StoppedError("stopped by a test")

    monkeypatch.setattr(RunDirectory, "write_session", full)
    monkeypatch.setattr(worker, "take_part", stopped)
    launch = Launch(tmp_path, 2)
    launch.worker(1)
    launch.lead()
    assert str(launch.errors[1]) == "stopped by a test"
    assert records(tmp_path) == alone


def test_the_others_end_with_process_0_and_say_why(tmp_path):
    launch = Launch(tmp_path, 2)
    launch.worker(1)
    launch.party.board.end("the disk is full")
    launch.threads[0].join(30)
    assert "the disk is full" in str(launch.errors[1])


def wait_for(found: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not found() and time.monotonic() < until:
        time.sleep(0.02)
