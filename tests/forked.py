"""Processes that are forked from a server which has imported what takes seconds, and has started no JAX."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from typing import Any

PRELOADED = (
    "nachos_jax.cli.commands",
    "nachos_jax.cluster.service",
    "nachos_jax.protocol.crew.worker",
    "nachos_jax.protocol.evaluate",
    "orbax.checkpoint",
    "tests.tiny",
)
"""All that any test wants: the first process that begins decides."""


def context() -> Any:
    """What makes such processes, each of which is at work at once."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(list(PRELOADED))
    return made


class Command:
    """A `nachos` command in such a process, with the face of a `subprocess.Popen`.

    Args:
        words: of the command.
        folder: where it works; modules are looked for there, too.
        log: the file for all that it prints.
        environment: its variables.
        devices: of the CPU.
    """

    def __init__(self, words: list[str], folder: str, log: str, environment: dict[str, str], devices: int):
        told = words, folder, log, environment, devices
        self._process = context().Process(target=_command, args=told)
        self._process.start()
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("nachos", timeout or 0.0)
        return self._process.exitcode


def _command(words: list[str], folder: str, log: str, environment: dict[str, str], devices: int) -> None:
    """What the process does, as `python -m nachos_jax` does it."""
    import jax

    from nachos_jax.cli.main import run

    os.chdir(folder)
    sys.path.insert(0, folder)
    os.environ |= environment
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(handle, number)
    jax.config.update("jax_num_cpu_devices", devices)
    sys.argv = ["nachos", *words]
    run()
