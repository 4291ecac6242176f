"""What reads the output may leave: `nachos ... | head`."""

from __future__ import annotations

import subprocess
import sys


def test_a_reader_that_has_read_enough_is_no_error():
    words = [sys.executable, "-m", "nachos_jax", "--help"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()  # before the program has begun to write
        assert child.stderr.read() == b""
    assert child.returncode == 141
