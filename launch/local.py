"""N processes of one launch on this machine: for trying, for tests, and for one process an accelerator.

    python launch/local.py --num_processes=2 -- evaluate --config=configs/smoke.py --workdir=runs/two

What stands after `--` is a `nachos` command. Every line of output begins with the number of its process.
Signals are passed on to all. Process 0 speaks for the launch, so the exit code is its own: the fits of any
other that failed went to the rest.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import IO

PATIENCE = 90.0
"""Seconds that the others have to end after process 0 has."""


def main() -> int:
    """Runs the launch; returns its exit code."""
    given, command = flags()
    address = f"127.0.0.1:{given.port or free_port()}"
    launched = [start(given, k, address, command) for k in range(given.num_processes)]
    for name in ("SIGTERM", "SIGINT", "SIGUSR1"):
        signal.signal(getattr(signal, name), lambda number, _: pass_on(launched, number))
    threads = [threading.Thread(target=relay, args=(k, one.stdout)) for k, one in enumerate(launched)]
    for thread in threads:
        thread.start()
    launched[0].wait()
    for k, other in enumerate(launched[1:], start=1):
        try:
            other.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            print(f"[{k}] does not end; killed", file=sys.stderr)
            other.kill()
            other.wait()
    for thread in threads:
        thread.join()
    for k, other in enumerate(launched[1:], start=1):
        if other.returncode:
            print(f"[{k}] ended with exit code {_code(other)}", file=sys.stderr)
    return _code(launched[0])


def _code(ended: subprocess.Popen[str]) -> int:
    """The exit code as a shell gives it; a process that a signal has ended has 128 and its number."""
    return ended.returncode if ended.returncode >= 0 else 128 - ended.returncode


def flags() -> tuple[argparse.Namespace, list[str]]:
    """Our flags, and the command after `--`."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    add = parser.add_argument
    add("--num_processes", type=int, required=True)
    add("--fake_devices", type=int, default=0, help="CPU devices that each process pretends to have")
    add("--accelerators", type=int, default=0, help="accelerators that each process gets, in order")
    add("--port", type=int, default=0, help="of process 0; a free one when left out")
    words = sys.argv[1:]
    place = words.index("--") if "--" in words else len(words)
    given, command = parser.parse_args(words[:place]), words[place + 1 :]
    if given.num_processes < 1 or not command:
        parser.error("give --num_processes=N, at least 1, and a nachos command after --")
    return given, command


def start(given: argparse.Namespace, process: int, address: str, command: list[str]) -> subprocess.Popen[str]:
    """Starts a process of the launch."""
    words = [sys.executable, "-m", "nachos_jax", *command]
    if given.num_processes > 1:
        words += [f"--coordinator_address={address}", f"--num_processes={given.num_processes}"]
        words += [f"--process_id={process}"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if given.fake_devices:
        environment |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(given.fake_devices)}
    if given.accelerators:
        first = process * given.accelerators
        words += [f"--local_device_ids={','.join(map(str, range(first, first + given.accelerators)))}"]
    return subprocess.Popen(
        words,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a terminal's Ctrl-C reaches them through us alone
    )


def relay(process: int, lines: IO[str] | None) -> None:
    """Prints the output of a process, line by line."""
    if lines is None:
        return
    with lines:
        for line in lines:
            print(f"[{process}] {line}", end="", flush=True)


def pass_on(launched: list[subprocess.Popen[str]], number: int) -> None:
    """Sends a signal to all processes that run."""
    for one in launched:
        if one.poll() is None:
            one.send_signal(number)


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
