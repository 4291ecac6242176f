"""The launch matrix: numbers of processes, and all that can happen to them; `make soak` runs it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.cli.launches import (
    IMPATIENT,
    PATIENCE,
    ROOT,
    Launch,
    alone,
    epochs_recorded,
    epochs_spent,
    prepare,
    result,
    small_disk,
    system,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("launch"))


@pytest.fixture(scope="module")
def calm(folder: Path) -> dict[str, bytes]:
    return alone(folder, folder / "calm")


def test_four_processes_give_the_records_of_one(folder, calm):
    launch = Launch(folder, folder / "four", 4)
    assert launch.wait() == [0] * 4, launch.output()
    assert result(launch.workdir) == calm
    sessions = list(launch.workdir.glob("records/evaluate/sessions/*.json"))
    assert len(sessions) == 4


def test_kills_and_other_numbers_of_processes_change_nothing(folder, calm):
    draw, workdir = random.Random(), folder / "killed"
    for processes in (3, 2, 1):
        launch = Launch(folder, workdir, processes)
        launch.until_fits(len(list(workdir.glob("records/evaluate/fits/*.json"))) + 2)
        time.sleep(draw.uniform(0, 0.3))
        launch.kill()
    launch = Launch(folder, workdir, 4)
    assert launch.wait() == [0] * 4, launch.output()
    assert result(workdir) == calm


def test_a_killed_worker_is_replaced_by_the_others(folder, calm):
    launch = Launch(folder, folder / "worker", 3, flags=IMPATIENT)
    launch.until_fits(2)
    launch.processes[1].kill()
    assert launch.wait() == [0, -9, 0], launch.output()
    assert result(launch.workdir) == calm


def test_without_process_0_all_others_end_and_the_same_command_goes_on(folder, calm):
    launch = Launch(folder, folder / "leader", 3, flags=IMPATIENT)
    launch.until_fits(2)
    launch.processes[0].kill()
    assert launch.wait(60) == [-9, 75, 75], launch.output()
    for log in launch.logs[1:]:
        assert "lost touch with process 0" in log.read_text()
    again = Launch(folder, launch.workdir, 2)
    assert again.wait() == [0, 0], again.output()
    assert result(launch.workdir) == calm


def test_sigusr1_to_all_saves_the_lanes_and_the_same_command_goes_on(folder, calm):
    launch = Launch(folder, folder / "stopped", 2)
    launch.until_fits(1)
    for one in launch.processes:
        one.send_signal(signal.SIGUSR1)
    assert launch.wait(60) == [75, 75], launch.output()
    assert "stopped by SIGUSR1" in launch.logs[0].read_text()
    done = epochs_spent(launch.workdir)
    again = Launch(folder, launch.workdir, 2)
    assert again.wait() == [0, 0], again.output()
    assert result(launch.workdir) == calm
    finished = epochs_recorded(launch.workdir)
    assert epochs_spent(launch.workdir) == finished, f"epochs were trained twice: {done} before the signal"


def test_a_hung_worker_is_given_up_and_ends_when_it_wakes(folder, calm):
    launch = Launch(folder, folder / "hung", 2, flags=IMPATIENT)
    launch.until_fits(2)
    hung = launch.worker(1)
    os.kill(hung, signal.SIGSTOP)
    assert launch.processes[0].wait(PATIENCE) == 0, launch.output()
    os.kill(hung, signal.SIGCONT)
    assert launch.processes[1].wait(60) == 75, launch.output()
    assert result(launch.workdir) == calm


def test_when_process_0_is_stopped_as_a_whole_all_end_and_the_same_command_goes_on(folder, calm):
    launch = Launch(folder, folder / "asleep", 3, flags=IMPATIENT)
    launch.until_fits(2)
    hung = launch.worker(0)
    os.kill(hung, signal.SIGSTOP)
    assert [one.wait(90) for one in launch.processes[1:]] == [75, 75], launch.output()
    assert "lost touch with process 0" in launch.logs[1].read_text()
    os.kill(hung, signal.SIGCONT)
    # It ends as the others did, unless it could take over their fits before it noticed that they were gone.
    assert launch.processes[0].wait(PATIENCE) in (0, 75), launch.output()
    again = Launch(folder, launch.workdir, 2)
    assert again.wait() == [0, 0], again.output()
    assert result(launch.workdir) == calm


def test_a_second_launch_into_the_same_directory_is_refused(folder):
    first = Launch(folder, folder / "twice", 1)
    first.until_fits(1)
    os.kill(first.worker(0), signal.SIGSTOP)  # or a quick machine ends it before the second begins
    second = Launch(folder, folder / "twice", 2)
    assert second.wait(60) == [2, 75], second.output()
    os.kill(first.worker(0), signal.SIGCONT)
    told = second.logs[0].read_text()
    assert "is in use by process" in told
    assert " since 20" in told
    assert "is in use by process" in second.logs[1].read_text()
    assert first.wait() == [0], first.output()


def test_clocks_that_differ_by_years_do_not_matter(folder, calm, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nreal = time.time\ntime.time = lambda: real() + 3e8\n"
        "ns = time.time_ns\ntime.time_ns = lambda: ns() + 300_000_000_000_000_000\n"
    )
    ahead = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{folder}{os.pathsep}{ROOT}"}
    launch = Launch(folder, folder / "clocks", 2, environment=lambda k: ahead if k else {})
    assert launch.wait() == [0, 0], launch.output()
    assert result(launch.workdir) == calm


def test_a_run_directory_that_cannot_be_written_is_refused_at_once(folder):
    with small_disk(folder / "fixed", "4m") as disk:
        (disk / "run").mkdir()
        assert system("mount", "-o", "remount,ro", str(disk))
        launch = Launch(folder, disk / "run", 2)
        assert launch.wait(60) == [2, 2], launch.output()
        for log in launch.logs:
            assert "cannot be written (Read-only file system)" in log.read_text()


@contextlib.contextmanager
def two_hosts() -> Generator[tuple[list[str], list[str]]]:
    """Two network namespaces with a cable between them: the words that run a command in each."""
    names = [f"nachos{os.getpid()}{side}" for side in "ab"]
    steps = [["ip", "netns", "add", name] for name in names]
    steps += [["ip", "link", "add", "na", "netns", names[0], "type", "veth", "peer", "nb", "netns", names[1]]]
    for name, end, address in ((names[0], "na", "10.77.0.1/24"), (names[1], "nb", "10.77.0.2/24")):
        within = ["ip", "-n", name]
        steps += [[*within, "addr", "add", address, "dev", end], [*within, "link", "set", end, "up"]]
        steps += [[*within, "link", "set", "lo", "up"]]
    try:
        if not all(system(*step) for step in steps):
            pytest.skip("network namespaces cannot be made here: they need the rights of root and iproute2")
        yield (["ip", "netns", "exec", names[0]], ["ip", "netns", "exec", names[1]])
    finally:
        for name in names:
            system("ip", "netns", "del", name)


def test_a_cut_network_ends_the_worker_and_the_run_goes_on(folder, calm):
    with two_hosts() as hosts:
        launch = Launch(folder, folder / "cut", 2, lambda k: hosts[k], IMPATIENT, host="10.77.0.1")
        launch.until_fits(2)
        assert system(*hosts[1], "ip", "link", "set", "nb", "down")
        assert launch.processes[0].wait(PATIENCE) == 0, launch.output()
        assert launch.processes[1].wait(60) == 75, launch.output()
        assert "lost touch with process 0" in launch.logs[1].read_text()
        assert result(launch.workdir) == calm
