"""Any other process of a launch: joins the run that process 0 announces, and trains what it claims."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from nachos_jax.cluster.board import LEADER, Board, Launch, Party
from nachos_jax.cluster.pulse import Silence
from nachos_jax.config.run_config import RunConfig
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import digest
from nachos_jax.data.table import Cohort
from nachos_jax.engine.pool import LanePool
from nachos_jax.protocol.crew import crews
from nachos_jax.protocol.crew.crew import put_down, stop_if_asked, train
from nachos_jax.protocol.crew.leader import POLL, VISIBLE, beat, take
from nachos_jax.protocol.crew.ledger import COMPILING, TRAINING, Ledger
from nachos_jax.protocol.run import begun, environment
from nachos_jax.protocol.run.opening import Run, open_run
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime import stopping
from nachos_jax.runtime.stopping import StoppedError

log = logging.getLogger("nachos_jax")

_Found = TypeVar("_Found")


def work(config: RunConfig, workdir: str, party: Party, cohort: Cohort | None = None) -> None:
    """Takes part in a launch until process 0 ends it.

    Args:
        config: the checked configuration; the same in all processes.
        workdir: the run directory, on a disk that all hosts share.
        party: the processes of the launch.
        cohort: the cases, or None to load what the config names.

    Raises:
        UsageError: this process sees another configuration, other cases or another run directory than
            process 0, or the run failed.
        StoppedError: the launch ended early, and the same command goes on where it did.
    """
    start, board = time.monotonic(), party.board
    board.begin()
    launch = _wait(board.launch, board)
    if launch is None:  # nothing was left to do
        return
    config = begun.settled(config, RunDirectory(workdir, launch.command))
    _compare(launch, config)
    run = _join(launch, config, workdir, cohort, board)
    name = f"{launch.name}-p{board.process}"
    pool = crews.open_pool(run, name, board.agreed)
    ledger = Ledger(run.store, pool, name)
    board.ready()
    with contextlib.ExitStack() as closers:
        closers.push(lambda kind, *_: put_down(run.store, pool, ledger, time.monotonic() - start, bool(kind)))
        ledger.open()
        with stopping.deferred():
            take_part(run, pool, party, ledger)


def take_part(run: Run, pool: LanePool, party: Party, ledger: Ledger) -> None:
    """Claims and trains fits, epoch after epoch, until process 0 ends the launch.

    Args:
        run: the opened run.
        pool: this process's lanes.
        party: the processes of the launch.
        ledger: of this process.

    Raises:
        StoppedError: the launch ended early, process 0 has given this process up or hangs, or a signal asked
            for it; the same command goes on from here.
    """
    board, leader_epochs = party.board, Silence()
    counts, lost = itertools.count(1), frozenset()

    def tell() -> None:
        beat(board, pool, next(counts))

    while (how := board.ended()) is None:
        tell()
        _check_leader(party, leader_epochs)
        lost_now = frozenset(board.are_lost())
        if lost_now - lost:
            pool.look_again()
        lost = lost_now
        with ledger.now(COMPILING):
            take(board, pool, run.store, tell)
        if pool.busy or pool.waiting:
            with ledger.now(TRAINING):
                records = train(run.store, pool)
            for record in records:
                board.done(record.fit)
        else:
            time.sleep(POLL)
        stop_if_asked(pool)
    if how:
        pool.save(all_lanes=True)
        raise StoppedError(f"process 0 ended the launch: {how}")
    log.info("process %d has trained %d fits", board.process, pool.spent.fits)


def _check_leader(party: Party, leader_epochs: Silence) -> None:
    """Sees whether process 0 still counts on this process, and still ends epochs.

    Raises:
        StoppedError: it does not.
    """
    board = party.board
    if board.is_lost():
        raise StoppedError(
            f"process {board.process} was given up by process 0, which did not hear of it for too long; its "
            "fits went to others."
        )
    beats = board.beats()
    leader_epochs.hear({process: beat.count for process, beat in beats.items() if process == LEADER})
    if leader_epochs.seconds(LEADER) > party.stalled_after:
        raise StoppedError(
            f"process 0 has not ended an epoch for {party.stalled_after:.0f} seconds: end it, and run the "
            "same command again. What is finished is on disk."
        )


def _compare(launch: Launch, config: RunConfig) -> None:
    """Sees whether this process was given what process 0 was given.

    Raises:
        UsageError: another config, or other versions of packages.
    """
    if digest(dict(config.raw)) != launch.config:
        raise UsageError(
            "this process was started with another config than process 0: start all by one command."
        )
    mine = environment.versions()
    other = [f"{k} {mine.get(k)} (process 0: {v})" for k, v in launch.versions.items() if mine.get(k) != v]
    if other:
        raise UsageError(f"this process runs other versions than process 0: {', '.join(other)}.")


def _join(launch: Launch, config: RunConfig, workdir: str, cohort: Cohort | None, board: Board) -> Run:
    """Opens the run that process 0 has opened.

    Raises:
        UsageError: this process sees another run directory, or other cases or folds.
    """
    store = RunDirectory(workdir, launch.command)
    _wait(
        lambda: store.session(f"{launch.name}-p0"),
        board,
        VISIBLE,
        f"{workdir} is not the run directory that process 0 writes into: it must lie on a disk that all "
        "hosts share, under the same name.",
    )
    run = open_run(config, workdir, launch.command, cohort)
    if run.cases != launch.cases:
        raise UsageError(
            f"process {board.process} finds other cases or folds (hash {run.cases}) than process 0 "
            f"({launch.cases}): give all hosts the same data."
        )
    return run


def _wait(
    look: Callable[[], _Found | None], board: Board, seconds: float = float("inf"), otherwise: str = ""
) -> _Found | None:
    """What `look` finds, as soon as it finds something; None when process 0 has ended with all done.

    Raises:
        StoppedError: process 0 has ended the launch early.
        UsageError: nothing was found in so many seconds; `otherwise` is what it says.
    """
    until = time.monotonic() + seconds
    while (found := look()) is None:
        how = board.ended()
        if how:
            raise StoppedError(f"process 0 ended the launch: {how}")
        if how is not None:
            return None
        if time.monotonic() > until:
            raise UsageError(otherwise)
        time.sleep(POLL)
    return found
