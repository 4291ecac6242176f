"""Folders of temporary files, which may hold patients' pixels: they go with the process that has made them.

A process that is killed cannot delete its folder, so the next one does. Who is alive holds a lock on a file
in its folder, which the kernel takes back from the dead, in other containers with the same disk too. Some
shared disks lock each host for itself only, so what another kernel has left is left alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from nachos_jax.runtime import kernel

PREFIX = "nachos_jax_"
LOCK = ".alive"
YOUNG = 60.0
"""Seconds that a folder is left alone after its file was made: its lock may be about to be taken."""


@contextlib.contextmanager
def folder() -> Generator[Path]:
    """A new folder, deleted at the end; first those that killed processes have left are."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _dead(left / LOCK):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, open(Path(name) / LOCK, "wb") as lock:
        lock.write(kernel.boot().encode())
        lock.flush()
        with contextlib.suppress(OSError):  # a disk without locks: what is left there stays
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def _dead(lock: Path) -> bool:
    """Whether nobody holds the lock of a folder of this user, who has had time to take it."""
    try:
        told = lock.stat()
        if told.st_uid != os.getuid() or time.time() - told.st_mtime < YOUNG:
            return False
        with open(lock, "r+b") as file:  # NFS locks what is open for writing
            if not kernel.boot() or file.read() != kernel.boot().encode():
                return False
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # it is held, or gone, or somebody else's
        return False
    return True
