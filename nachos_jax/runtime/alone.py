"""One process at a time does what several want done; the kernel frees the lock of one that is killed."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Generator
from pathlib import Path

log = logging.getLogger("nachos_jax")


@contextlib.contextmanager
def alone(path: Path, what: str) -> Generator[bool]:
    """Waits until no other process holds the lock, and takes it away when done.

    Args:
        path: the lock, a file in a folder that can be written to.
        what: is done alone, for the line of the log that tells of waiting.

    Yields:
        Whether it is held: some network disks have no locks, and all do the work then.

    Raises:
        OSError: the file cannot be made.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        taken = False
        try:
            held = _locked(file, what)
            taken = True
            # Who held it before may have taken the file away; then it keeps nobody out.
            if not held or _is(file, path):
                yield held
                return
        finally:
            # Who is interrupted while waiting leaves the file to its holder.
            if taken and _is(file, path):
                path.unlink(missing_ok=True)
            os.close(file)


def _locked(file: int, what: str) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("another process is %s: waiting for it", what)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _is(file: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except OSError:
        return False
    ours = os.fstat(file)
    return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)
