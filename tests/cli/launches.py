"""Launches of real processes for tests: the study, its processes, what they leave, and small disks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from launch.local import free_port
from nachos_jax.cli import reporting
from tests import painting
from tests.cli import pageless
from tests.cli.conftest import CONFIG, arrays, said
from tests.forked import Command

ROOT = Path(__file__).resolve().parents[2]
LONGER = """
import os
from nachos_jax import default_config
from study import get_config as short

if "NACHOS_TESTS_PAGELESS" in os.environ:
    from nachos_jax.cli import reporting
    from tests.cli import pageless
    reporting.writer = pageless.writer

def get_config():
    config = short()
    config.training.epochs, config.training.early_stopping, config.search.trials = 12, False, 4
    return config
"""
FULLY = os.environ.get("NACHOS_TESTS_COMPILE") == "fully"
PATIENCE = 280.0
DEVICES = 2
"""Of each process."""
IMPATIENT = ("--lost_after=10",)
"""The least silence after which a process may count as lost."""


def without_page(process: int) -> dict[str, str]:
    """Variables of a launch that nobody wants a page of: no process makes itself ready to write it."""
    return {"NACHOS_TESTS_PAGELESS": "1"}


def prepare(folder: Path) -> Path:
    """Writes the study and its config; returns the folder, where all processes work."""
    np.savez(folder / "cases.npz", **arrays())
    (folder / "study.py").write_text(CONFIG, encoding="utf-8")
    (folder / "longer.py").write_text(LONGER, encoding="utf-8")
    return folder


def alone(folder: Path, workdir: Path) -> dict[str, bytes]:
    """What the command gives in this process, which has its imports and programs already."""
    with pytest.MonkeyPatch.context() as patch, painting.unpainted():
        if not FULLY:
            patch.setattr(reporting, "writer", pageless.writer)
            # Programs for the same devices are found in JAX's cache.
            devices = jax.local_devices()[:DEVICES]
            patch.setattr(jax, "local_devices", lambda: devices)
        patch.syspath_prepend(str(folder))
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        code, _, told = said("evaluate", f"--config={folder / 'longer.py'}", f"--workdir={workdir}")
    assert code == 0, told
    return result(workdir)


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
        environment: more variables of each process, by number.
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
        self.folder, self.workdir = folder, workdir
        self.processes: list[Any] = []
        address = f"{host}:{free_port()}"
        self.logs = [folder / f"{workdir.name}.{time.monotonic_ns()}.{k}.log" for k in range(processes)]
        for k in range(processes):
            words = ["evaluate", f"--config={folder / 'longer.py'}", f"--workdir={workdir}", *flags]
            if processes > 1:
                words += [f"--coordinator_address={address}", f"--num_processes={processes}"]
                words += [f"--process_id={k}"]
            variables = {
                **os.environ,
                "JAX_PLATFORMS": "cpu",
                "JAX_NUM_CPU_DEVICES": str(DEVICES),
                "XDG_CACHE_HOME": str(folder / "cache"),
                "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
                **environment(k),
            }
            self.processes.append(self._begun(words, variables, self.logs[k], wrap(k)))

    def _begun(self, words: list[str], variables: dict[str, str], log: Path, before: list[str]) -> Any:
        command = [*before, sys.executable, "-m", "nachos_jax", *words]
        with open(log, "w", encoding="utf-8") as file:
            return subprocess.Popen(command, cwd=self.folder, env=variables, stdout=file, stderr=file)

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


class ForkedLaunch(Launch):
    """A launch whose processes begin as forks of one that has their imports already."""

    def _begun(self, words: list[str], variables: dict[str, str], log: Path, before: list[str]) -> Any:
        assert not before
        return Command(words, str(self.folder), str(log), variables, DEVICES)


def epochs_spent(workdir: Path) -> int:
    """Epochs that the processes of a run have trained."""
    sessions = workdir.glob("records/evaluate/sessions/*.json")
    return sum(json.loads(path.read_text()).get("epochs", 0) for path in sessions)


def epochs_recorded(workdir: Path) -> int:
    """Epochs of the fits that a run has ended."""
    fits = workdir.glob("records/evaluate/fits/*.json")
    return sum(json.loads(path.read_text())["epochs"] for path in fits)


def system(*words: str) -> bool:
    """Runs a command of the system; False when it fails or there is none."""
    return (
        bool(shutil.which(words[0]))
        and not subprocess.run(words, capture_output=True, check=False).returncode
    )


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Generator[Path]:
    """A file system of so many bytes."""
    folder.mkdir()
    if not system("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        pytest.skip("a file system cannot be mounted here: it needs the rights of root")
    try:
        yield folder
    finally:
        assert system("umount", "-l", str(folder))
