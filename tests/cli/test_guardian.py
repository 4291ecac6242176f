"""The guardian ends like its child: schedulers read its exit code."""

from __future__ import annotations

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
        ("os.abort()", None, 134),
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
