"""The hold on a run directory: two launches never write into the same one.

The kernel gives the lock on WORKDIR/.lock to one process and takes it back when that process dies, also over
NFS. Some network disks lock each host for itself only. So the holder also writes who it is and a number that
rises, and a newcomer from another host watches that number for a while before it believes that the lock was
left by the dead. Nobody reads another host's clock; the time shown is for people.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from nachos_jax.core.errors import UsageError
from nachos_jax.records import own
from nachos_jax.runtime import kernel
from nachos_jax.runtime.periodic import every

log = logging.getLogger("nachos_jax")

BEAT = 3.0
"""Seconds between two numbers."""

WATCH = 3 * BEAT
"""Seconds that a newcomer from another host watches the number."""


def made(workdir: str | os.PathLike) -> Path:
    """The run directory, made if need be.

    Raises:
        UsageError: it cannot be made, or holds the files of somebody else.
    """
    try:
        Path(workdir).mkdir(parents=True, exist_ok=True)
        own.refuse_others(Path(workdir))
    except UsageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise unwritable(str(workdir), error) from error
    return Path(workdir)


@contextlib.contextmanager
def held(folder: Path) -> Generator[None]:
    """Holds a run directory.

    Args:
        folder: the run directory, which exists.

    Raises:
        UsageError: another process holds it, or it cannot be written to or locked.
    """
    try:
        file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unwritable(str(folder), error) from error
    try:
        _lock(file, folder)
        _refuse_the_living(file, folder)
        with _beating(file):
            yield
    finally:
        os.close(file)


def unwritable(workdir: str, error: Exception) -> UsageError:
    """What to say of a run directory that cannot be written to."""
    why = error.strerror if isinstance(error, OSError) else error
    return UsageError(f"--workdir={workdir!r} cannot be written ({why}): name a folder of yours.")


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _in_use(folder, _read(file)) from error
    except OSError as error:
        raise UsageError(
            f"--workdir={folder} cannot be locked ({error.strerror}): use a folder on another disk."
        ) from error


def _refuse_the_living(file: int, folder: Path) -> None:
    """Refuses when a process on another host goes on writing its number."""
    holder = _read(file)
    if not holder or all(holder.get(key) == value for key, value in _here().items()):
        return  # it ended in order, or the kernel of this host knows that it is dead
    until = time.monotonic() + WATCH
    while time.monotonic() < until:
        time.sleep(BEAT / 3)
        now = _read(file)
        if not now:
            return
        if now.get("number") != holder.get("number"):
            raise _in_use(folder, now)
    log.warning("%s was held by %s, which is gone", folder, _words(holder))


@contextlib.contextmanager
def _beating(file: int) -> Generator[None]:
    """Writes who holds the directory, and a number that rises, until the context ends."""
    holder = {"process": os.getpid(), **_here(), "since": time.strftime("%Y-%m-%d %H:%M:%S %z")}

    def write(number: int) -> None:
        _write(file, {**holder, "number": number})

    write(0)  # before anything is done in the directory; the thread may come later
    try:
        with every(BEAT, write, "hold"):
            yield
    finally:
        _write(file, None)


def _here() -> dict[str, str]:
    """What tells this machine from others, and from one of the same name in another place."""
    return {"host": os.uname().nodename, "boot": kernel.boot()}


def _write(file: int, holder: dict[str, Any] | None) -> None:
    """Replaces the text; None = nobody holds the directory any more."""
    text = b"" if holder is None else json.dumps(holder).encode()
    with contextlib.suppress(OSError):  # a full disk will be told by what has to be written
        os.pwrite(file, text, 0)
        os.ftruncate(file, len(text))


def _read(file: int) -> dict[str, Any]:
    """Who holds the directory; {} when nobody says so."""
    try:
        value = json.loads(os.pread(file, 4096, 0))
    except ValueError:  # empty, or read while it was written
        return {}
    return value if isinstance(value, dict) else {}


def _in_use(folder: Path, holder: dict[str, Any]) -> UsageError:
    return UsageError(
        f"--workdir={folder} is in use by {_words(holder)}: wait for it, or use another --workdir."
    )


def _words(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('process')} on {holder.get('host')} since {holder.get('since')}"
