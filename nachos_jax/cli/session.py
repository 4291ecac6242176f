"""What surrounds long work: a log, and the hold on the run directory."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

from nachos_jax.core.errors import UsageError
from nachos_jax.records.hold import held, made, unwritable
from nachos_jax.runtime import compile_cache
from nachos_jax.runtime.stopping import StoppedError

_OWN = {".lock", "run.log"}
"""What a session writes by itself."""
FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextlib.contextmanager
def session(workdir: str, command: Sequence[str]) -> Generator[None]:
    """Holds the run directory and logs into WORKDIR/run.log and to the terminal.

    A launch that is refused before its first record leaves neither file nor folder where there was none.

    Args:
        workdir: the run directory, made if need be.
        command: words of the command line.

    Raises:
        UsageError: the directory cannot be written to, another launch holds it, or it cannot be read.
    """
    new = not os.path.lexists(workdir)
    folder = made(workdir)
    try:
        with held(folder), _logging(folder / "run.log", command):
            _prepare_jax()
            yield
    except (UsageError, StoppedError):
        if new and {path.name for path in folder.iterdir()} <= _OWN:
            shutil.rmtree(folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def worker_session(workdir: str, command: Sequence[str], process: int) -> Generator[None]:
    """What surrounds any other process of a launch: it logs into a file of its own, and process 0 holds the
    run directory for all.

    Args:
        workdir: the run directory, made if need be.
        command: words of the command line.
        process: number of this process.

    Raises:
        UsageError: the directory cannot be written to.
    """
    with _logging(made(workdir) / f"run.{process}.log", command):
        _prepare_jax()
        yield


@contextlib.contextmanager
def spoken() -> Generator[None]:
    """What surrounds a command without a run directory that may take long: messages go to the terminal."""
    logger, screen = logging.getLogger("nachos_jax"), logging.StreamHandler(sys.stderr)
    screen.setFormatter(logging.Formatter(FORMAT, datefmt="%Y-%m-%d %H:%M:%S"))
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(screen)
    try:
        yield
    finally:
        logger.removeHandler(screen)
        level, logger.propagate = before
        logger.setLevel(level)


def _prepare_jax() -> None:
    from nachos_jax.runtime import mesh  # late: it imports jax

    compile_cache.switch_on()
    mesh.one_device_a_core()
    mesh.find_devices()


@contextlib.contextmanager
def _logging(path: Path, command: Sequence[str]) -> Generator[None]:
    """Our own messages to a file and the terminal; how the command ended to the file alone."""
    logger = logging.getLogger("nachos_jax")
    try:
        file = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise unwritable(str(path), error) from error
    file.handleError = lambda record: None  # noqa: ARG005  a full disk is told by what has to be written
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
        usual = isinstance(error, (UsageError, StoppedError, KeyboardInterrupt))
        logger.error(
            "%s", (str(error) or "interrupted") if usual else "ended by an error", exc_info=not usual
        )
        raise
    finally:
        level, logger.propagate = before
        logger.setLevel(level)
        for handler in (file, screen):
            logger.removeHandler(handler)
            with contextlib.suppress(OSError):  # a full disk: what could be written is
                handler.close()
