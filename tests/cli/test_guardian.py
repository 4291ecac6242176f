"""The guardian ends like its child: schedulers read its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

CHILD = """
import os
from nachos_jax.cli import guardian
guardian.guard({lost_touch!r})
{deed}
"""


@pytest.mark.parametrize(
    ("deed", "lost_touch", "code"),
    [
        ("os._exit(75)", None, 75),  # process 0 that hung
        ("os._exit(75)", "lost touch", 75),
        ("os._exit(2)", None, 2),
        ("os.abort()", "lost touch", 75),
        ("os.abort()", None, 2),  # memory or threads that ran out
        # Stopped as a whole, and given up when it wakes.
        (
            "os.system(f'(sleep 0.5; kill -CONT {os.getpid()}) &'); os.kill(os.getpid(), 19); os.abort()",
            None,
            75,
        ),
        ("os.kill(os.getpid(), 9)", "lost touch", 137),
    ],
)
def test_exit_codes_come_through(deed, lost_touch, code):
    script = CHILD.format(deed=deed, lost_touch=lost_touch)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr


def test_ctrl_c_reaches_the_child_once():
    """The terminal tells all of its foreground processes, the guardian too."""
    deed = """
import signal, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
print("ready", flush=True)
time.sleep(1.5)
os._exit(len(got))
"""
    parent, terminal = os.openpty()
    script = "import os; os.setsid(); os.ttyname(0); os.close(os.open(os.ttyname(0), os.O_RDWR));"
    with subprocess.Popen(
        [sys.executable, "-c", script + CHILD.format(deed=deed, lost_touch=None)],
        stdin=terminal,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.write(parent, b"\x03")
        assert child.wait(20) == 1
    for end in (parent, terminal):
        os.close(end)


def test_a_signal_before_the_guardian_listens_is_passed_on():
    """A Ctrl-C just after the start would end the guardian with a stack trace, and leave its child alone."""
    hasty = """
import os, signal, time
fork = os.fork
def hurried():
    child = fork()
    if child:
        os.kill(os.getpid(), signal.SIGTERM)
    return child
os.fork = hurried
"""
    script = hasty + CHILD.format(deed="time.sleep(20)", lost_touch=None)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "ended by SIGTERM" in done.stderr
