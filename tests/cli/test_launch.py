"""Real processes of one launch, and what happens to them: killed, stopped, cut off, out of disk."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from launch.local import free_port
from tests.cli.conftest import CONFIG, arrays

ROOT = Path(__file__).resolve().parents[2]
LONGER = """
from nachos_jax import default_config
from study import get_config as short

def get_config():
    config = short()
    config.training.epochs, config.training.early_stopping, config.search.trials = 12, False, 4
    config.engine.packing, config.engine.convolution = "map", "custom"
    return config
"""
PATIENCE = 280.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Study, its config, and a cache of compiled programs that all processes share."""
    place = tmp_path_factory.mktemp("launch")
    np.savez(place / "cases.npz", **arrays())  # type: ignore[arg-type]
    (place / "study.py").write_text(CONFIG, encoding="utf-8")
    (place / "longer.py").write_text(LONGER, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def calm(folder) -> dict[str, bytes]:
    """What a run of one process gives that nobody disturbs."""
    processes = Launch(folder, folder / "calm", 1)
    assert processes.wait() == [0], processes.output()
    return result(folder / "calm")


def result(workdir: Path) -> dict[str, bytes]:
    """Predictions, folds, and all records but the sessions and the command."""
    root = workdir / "records"
    files = [path for path in root.rglob("*") if path.is_file() and "sessions" not in path.parts]
    files = [path for path in files if path.name != "run.json" and not path.name.startswith(".tmp-")]
    named = {str(path.relative_to(workdir)): path.read_bytes() for path in files}
    return named | {name: (workdir / name).read_bytes() for name in ("predictions.csv", "folds.csv")}


class Launch:
    """The processes of one launch.

    Args:
        folder: where study and cache lie.
        workdir: the run directory.
        processes: how many.
        wrap: words before the command of each process, by number.
        flags: more flags.
        host: address of process 0.
    """

    def __init__(
        self,
        folder: Path,
        workdir: Path,
        processes: int,
        wrap: Callable[[int], list[str]] = lambda _: [],
        flags: tuple[str, ...] = (),
        environment: Callable[[int], dict[str, str]] = lambda _: {},
        host: str = "127.0.0.1",
    ):
        self.folder, self.workdir, self.processes = folder, workdir, []
        address = f"{host}:{free_port()}"
        self.logs = [folder / f"{workdir.name}.{time.monotonic_ns()}.{k}.log" for k in range(processes)]
        for k in range(processes):
            words = [*wrap(k), sys.executable, "-m", "nachos_jax", "evaluate"]
            words += [f"--config={folder / 'longer.py'}", f"--workdir={workdir}", *flags]
            if processes > 1:
                words += [f"--coordinator_address={address}", f"--num_processes={processes}"]
                words += [f"--process_id={k}"]
            variables = {
                **os.environ,
                "JAX_PLATFORMS": "cpu",
                "JAX_NUM_CPU_DEVICES": "2",
                "XDG_CACHE_HOME": str(folder / "cache"),
                "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
                **environment(k),
            }
            with open(self.logs[k], "w", encoding="utf-8") as log:
                self.processes.append(
                    subprocess.Popen(words, cwd=folder, env=variables, stdout=log, stderr=log)
                )

    def wait(self, seconds: float = PATIENCE) -> list[int]:
        """Waits for all; returns their exit codes."""
        until = time.monotonic() + seconds
        try:
            return [one.wait(max(0.1, until - time.monotonic())) for one in self.processes]
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"not done in {seconds} seconds:\n{self.output()}")

    def kill(self) -> None:
        """kill -9 to all that run."""
        for one in self.processes:
            with contextlib.suppress(ProcessLookupError):
                one.kill()
        for one in self.processes:
            one.wait()

    def output(self) -> str:
        """What all have printed."""
        return "\n".join(f"--- {k}\n{log.read_text()}" for k, log in enumerate(self.logs))

    def until_fits(self, count: int) -> None:
        """Waits until so many fits are on disk."""
        until = time.monotonic() + PATIENCE
        while len(list(self.workdir.glob("records/evaluate/fits/*.json"))) < count:
            assert time.monotonic() < until, self.output()
            assert any(one.poll() is None for one in self.processes), self.output()
            time.sleep(0.05)

    def worker(self, process: int) -> int:
        """Process id of the one that trains, below its guardian."""
        guardian = self.processes[process].pid
        children = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
        return int(children[0])


@pytest.mark.parametrize("processes", [2, 4])
def test_launched_processes_give_the_records_of_one(folder, calm, processes):
    launch = Launch(folder, folder / f"many{processes}", processes)
    assert launch.wait() == [0] * processes, launch.output()
    assert result(launch.workdir) == calm
    sessions = list(launch.workdir.glob("records/evaluate/sessions/*.json"))
    assert len(sessions) == processes


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
    launch = Launch(folder, folder / "worker", 3, flags=("--lost_after=10",))
    launch.until_fits(2)
    launch.processes[1].kill()
    assert launch.wait() == [0, -9, 0], launch.output()
    assert result(launch.workdir) == calm


def test_without_process_0_the_others_end_with_a_message_and_the_same_command_goes_on(folder, calm):
    launch = Launch(folder, folder / "leader", 3, flags=("--lost_after=10",))
    launch.until_fits(2)
    launch.processes[0].kill()
    assert launch.wait(60) == [-9, 75, 75], launch.output()
    for log in launch.logs[1:]:
        assert "lost touch with process 0" in log.read_text()
        assert "the same command goes on" in log.read_text()
    again = Launch(folder, launch.workdir, 2)
    assert again.wait() == [0, 0], again.output()
    assert result(launch.workdir) == calm


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_to_all_saves_the_lanes_and_the_same_command_goes_on(folder, calm, name):
    launch = Launch(folder, folder / name, 2)
    launch.until_fits(1)
    for one in launch.processes:
        one.send_signal(getattr(signal, name))
    assert launch.wait(60) == [75, 75], launch.output()
    assert f"stopped by {name}" in launch.logs[0].read_text()
    done = sum(_spent(launch.workdir))
    again = Launch(folder, launch.workdir, 2)
    assert again.wait() == [0, 0], again.output()
    assert result(launch.workdir) == calm
    finished = sum(record for record in _epochs(launch.workdir))
    assert sum(_spent(launch.workdir)) == finished, f"epochs were trained twice: {done} before the signal"


def test_a_hung_worker_is_given_up_and_ends_when_it_wakes(folder, calm):
    launch = Launch(folder, folder / "hung", 2, flags=("--lost_after=10",))
    launch.until_fits(2)
    hung = launch.worker(1)
    os.kill(hung, signal.SIGSTOP)
    assert launch.processes[0].wait(PATIENCE) == 0, launch.output()
    os.kill(hung, signal.SIGCONT)
    assert launch.processes[1].wait(60) == 75, launch.output()
    assert result(launch.workdir) == calm


def test_when_process_0_is_stopped_as_a_whole_all_end_and_the_same_command_goes_on(folder, calm):
    launch = Launch(folder, folder / "asleep", 3, flags=("--lost_after=10",))
    launch.until_fits(2)
    hung = launch.worker(0)
    os.kill(hung, signal.SIGSTOP)
    assert [one.wait(90) for one in launch.processes[1:]] == [75, 75], launch.output()
    assert "lost touch with process 0" in launch.logs[1].read_text()
    os.kill(hung, signal.SIGCONT)
    assert launch.processes[0].wait(PATIENCE) == 75, launch.output()
    again = Launch(folder, launch.workdir, 2)
    assert again.wait() == [0, 0], again.output()
    assert result(launch.workdir) == calm


def test_a_second_launch_into_the_same_directory_is_refused(folder):
    first = Launch(folder, folder / "twice", 1)
    first.until_fits(1)
    second = Launch(folder, folder / "twice", 2)
    assert second.wait(60) == [2, 75], second.output()
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


# --- disks and networks: these need the rights of root, as continuous integration has them ------------------


def system(*words: str) -> bool:
    """Runs a command of the system; False when it fails or there is none."""
    return (
        bool(shutil.which(words[0]))
        and not subprocess.run(words, capture_output=True, check=False).returncode
    )


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of so many bytes."""
    folder.mkdir()
    if not system("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        pytest.skip("a file system cannot be mounted here: it needs the rights of root")
    try:
        yield folder
    finally:
        assert system("umount", "-l", str(folder))


def test_a_full_disk_ends_the_run_and_loses_nothing(folder, calm):
    with small_disk(folder / "small", "4m") as disk:
        filler = disk / "filler"
        launch = Launch(folder, disk / "run", 2, flags=("--lost_after=10",))
        launch.until_fits(2)
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
        codes = launch.wait(60)
        assert codes[0] == 2, launch.output()
        assert codes[1] in (2, 75), launch.output()
        assert "No space left on device" in launch.logs[0].read_text() + launch.logs[1].read_text()
        filler.unlink()
        again = Launch(folder, disk / "run", 2)
        assert again.wait() == [0, 0], again.output()
        assert result(disk / "run") == calm


def test_a_run_directory_that_cannot_be_written_is_refused_at_once(folder):
    with small_disk(folder / "fixed", "4m") as disk:
        (disk / "run").mkdir()
        assert system("mount", "-o", "remount,ro", str(disk))
        launch = Launch(folder, disk / "run", 2)
        assert launch.wait(60) == [2, 2], launch.output()
        for log in launch.logs:
            assert "cannot be written (Read-only file system)" in log.read_text()


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[list[str], list[str]]]:
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
        launch = Launch(folder, folder / "cut", 2, lambda k: hosts[k], ("--lost_after=10",), host="10.77.0.1")
        launch.until_fits(2)
        assert system(*hosts[1], "ip", "link", "set", "nb", "down")
        assert launch.processes[0].wait(PATIENCE) == 0, launch.output()
        assert launch.processes[1].wait(60) == 75, launch.output()
        assert "lost touch with process 0" in launch.logs[1].read_text()
        assert result(launch.workdir) == calm


def _spent(workdir: Path) -> list[int]:
    sessions = workdir.glob("records/evaluate/sessions/*.json")
    return [json.loads(path.read_text()).get("epochs", 0) for path in sessions]


def _epochs(workdir: Path) -> list[int]:
    return [json.loads(path.read_text())["epochs"] for path in workdir.glob("records/evaluate/fits/*.json")]
