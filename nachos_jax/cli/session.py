"""What surrounds long work: run.log, and a lock so that two processes never write one run directory."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from nachos_jax.core import compile_cache
from nachos_jax.core.errors import UsageError

FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextlib.contextmanager
def session(workdir: str, command: Sequence[str]) -> Iterator[None]:
    """Holds the run directory and logs into WORKDIR/run.log and to the terminal.

    Args:
        workdir: the run directory, made if need be.
        command: words of the command line.

    Raises:
        UsageError: the directory cannot be written to, another process holds it, or it cannot be read.
    """
    folder = Path(workdir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115  closed below
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise _unwritable(workdir, error) from error
    with handle:
        _hold(handle, folder)
        with _logging(folder, command):
            from nachos_jax.core import mesh  # late: it imports jax

            compile_cache.switch_on()
            mesh.one_device_a_core()
            yield


def _hold(handle: IO[str], folder: Path) -> None:
    import fcntl

    try:
        # The kernel lets go of this lock when its holder dies, so a killed run never blocks the next.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.seek(0)
        holder = handle.read().strip() or "another process"
        raise UsageError(
            f"--workdir={folder} is in use by {holder}: wait for it, or use another --workdir."
        ) from error
    except OSError as error:
        raise UsageError(
            f"--workdir={folder} cannot be locked ({error.strerror}): use a folder on another disk."
        ) from error
    handle.seek(0)
    handle.truncate()
    handle.write(f"process {os.getpid()} on {os.uname().nodename}")
    handle.flush()


def _unwritable(workdir: str, error: Exception) -> UsageError:
    why = error.strerror if isinstance(error, OSError) else error
    return UsageError(f"--workdir={workdir!r} cannot be written ({why}): name a folder of yours.")


@contextlib.contextmanager
def _logging(folder: Path, command: Sequence[str]) -> Iterator[None]:
    """Our own messages to run.log and the terminal; how the command ended to run.log alone."""
    logger = logging.getLogger("nachos_jax")
    try:
        file = logging.FileHandler(folder / "run.log", encoding="utf-8")
    except OSError as error:
        raise _unwritable(str(folder / "run.log"), error) from error
    screen = logging.StreamHandler(sys.stderr)
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False  # libraries install root handlers that would say everything twice
    for handler in (file, screen):
        handler.setFormatter(logging.Formatter(FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
    logger.addHandler(file)
    logger.info("command: %s", shlex.join(command))
    logger.addHandler(screen)
    try:
        yield
    except BaseException as error:
        logger.removeHandler(screen)  # the command line shows it
        usual = isinstance(error, (UsageError, KeyboardInterrupt))
        logger.error(
            "%s", (str(error) or "interrupted") if usual else "ended by an error", exc_info=not usual
        )
        raise
    finally:
        level, logger.propagate = before
        logger.setLevel(level)
        for handler in (file, screen):
            logger.removeHandler(handler)
            handler.close()
