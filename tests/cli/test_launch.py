"""What only real processes show: equality, a killed leader, SIGTERM, a full disk; more is in tests/soak."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from tests.cli.launches import (
    FULLY,
    IMPATIENT,
    ForkedLaunch,
    Launch,
    alone,
    epochs_recorded,
    epochs_spent,
    prepare,
    result,
    small_disk,
    without_page,
)

QuickLaunch = Launch if FULLY else ForkedLaunch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("launch"))


@pytest.fixture(scope="module")
def calm(folder: Path) -> dict[str, bytes]:
    return alone(folder, folder / "calm")


def test_without_process_0_the_other_ends_with_a_message_and_the_same_command_goes_on(folder, request):
    launch = QuickLaunch(folder, folder / "leader", 2, flags=IMPATIENT, environment=without_page)
    launch.until_fits(2)
    launch.processes[0].kill()
    calm = request.getfixturevalue("calm")  # while the other one waits for a word
    assert launch.wait(60) == [-9, 75], launch.output()
    assert "lost touch with process 0" in launch.logs[1].read_text()
    assert "the same command goes on" in launch.logs[1].read_text()
    assert alone(folder, launch.workdir) == calm


def test_launched_processes_give_the_records_of_one(folder, calm):
    launch = Launch(folder, folder / "two", 2, environment=(lambda _: {}) if FULLY else without_page)
    assert launch.wait() == [0, 0], launch.output()
    assert result(launch.workdir) == calm
    sessions = list(launch.workdir.glob("records/evaluate/sessions/*.json"))
    assert len(sessions) == 2


def test_sigterm_to_all_saves_the_lanes_and_the_same_command_goes_on(folder, calm):
    launch = QuickLaunch(folder, folder / "stopped", 2, environment=without_page)
    launch.until_fits(1)
    for one in launch.processes:
        one.send_signal(signal.SIGTERM)
    assert launch.wait(60) == [75, 75], launch.output()
    assert "stopped by SIGTERM" in launch.logs[0].read_text()
    done = epochs_spent(launch.workdir)
    assert alone(folder, launch.workdir) == calm
    finished = epochs_recorded(launch.workdir)
    assert epochs_spent(launch.workdir) == finished, f"epochs were trained twice: {done} before the signal"


@pytest.mark.thorough
def test_a_full_disk_ends_the_run_and_loses_nothing(folder, calm):
    with small_disk(folder / "small", "4m") as disk:
        filler = disk / "filler"
        launch = Launch(folder, disk / "run", 1)
        launch.until_fits(2)
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
        assert launch.wait(60) == [2], launch.output()
        assert "No space left on device" in launch.logs[0].read_text()
        filler.unlink()
        assert alone(folder, disk / "run") == calm
