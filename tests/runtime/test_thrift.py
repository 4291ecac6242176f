"""How a process ends that is not taken apart."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BEGIN = """
import atexit, sys, threading, time
from nachos_jax.runtime import thrift
ended_with = thrift.leave_at_once()
class Kept:
    def __del__(self):
        print("taken apart")
kept = Kept()
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("code", [0, 2, 75])
def test_the_exit_code_is_the_one_that_was_told_and_what_was_printed_is_out(code: int):
    found = ended(f"print('said'); ended_with({code}); sys.exit({code})")
    assert (found.returncode, found.stdout, found.stderr) == (code, "said\n", "")


def test_an_error_is_shown_and_ends_with_one():
    found = ended("print('said'); raise KeyError('gone')")
    assert (found.returncode, found.stdout) == (1, "said\n")
    assert found.stderr.endswith("KeyError: 'gone'\n")


def test_what_is_registered_later_is_done_and_threads_are_waited_for():
    late = "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()"
    found = ended(f"atexit.register(print, 'registered'); {late}; ended_with(0)")
    assert (found.returncode, found.stdout) == (0, "thread\nregistered\n")


def test_it_does_not_matter_that_nobody_can_read_what_is_left():
    code = BEGIN + "sys.stdout.write('x'); sys.stderr.close(); ended_with(3)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        assert subprocess.run([sys.executable, "-c", code], stdout=full, env=environment).returncode == 3
