"""Processes that help: they take orders on standard input and end when it does, and so with their starter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any


def start(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], errors: IO[Any] | int | None = None
) -> subprocess.Popen[str]:
    """Starts `python -m module arguments`, a fresh interpreter: JAX has threads, which a fork breaks.

    Args:
        module: that runs as a script.
        arguments: of its command line.
        environment: variables beside those of this process.
        errors: file for its standard error, or subprocess.DEVNULL; None shares that of this process.
    """
    # Not from the working directory, where files of the user may be called like modules.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        start_new_session=True,  # Ctrl-C is for who has started it
    )


def pipe(stream: IO[str] | None) -> IO[str]:
    """The stream of a process that was started with pipes."""
    assert stream is not None
    return stream
