"""What surrounds long work: run.log, and a lock so that two processes never write one run directory."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from nachos_jax.core.errors import UsageError

FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextlib.contextmanager
def session(workdir: str) -> Iterator[None]:
    """Holds the run directory and logs into WORKDIR/run.log and to the terminal.

    Raises:
        UsageError: the directory cannot be written to, or another process holds it.
    """
    folder = Path(workdir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115  closed below
    except OSError as error:
        raise UsageError(f"--workdir={workdir} cannot be written ({error.strerror}): name a folder of yours.") from error
    with handle, _logging(folder / "run.log"):
        _hold(handle, folder)
        yield


def _hold(handle, folder: Path) -> None:
    import fcntl

    try:
        # The kernel lets go of this lock when its holder dies, so a killed run never blocks the next.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.seek(0)
        holder = handle.read().strip() or "another process"
        raise UsageError(f"{folder} is in use by {holder}: wait for it, or use another --workdir.") from error
    handle.seek(0)
    handle.truncate()
    handle.write(f"process {os.getpid()} on {os.uname().nodename}")
    handle.flush()


@contextlib.contextmanager
def _logging(path: Path) -> Iterator[None]:
    logger = logging.getLogger("nachos_jax")
    file = logging.FileHandler(path, encoding="utf-8")
    screen = logging.StreamHandler(sys.stderr)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.propagate = False  # libraries install root handlers that would say everything twice
    for handler in (file, screen):
        handler.setFormatter(logging.Formatter(FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
    logger.info("command: %s", " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))
    try:
        yield
    except UsageError as error:
        logger.removeHandler(screen)  # the command line shows it
        logger.error("%s", error)
        raise
    finally:
        logger.setLevel(level)
        logger.propagate = True
        for handler in (file, screen):
            logger.removeHandler(handler)
            handler.close()
