"""Who trains: the lanes of this process alone, or of all processes of a launch (protocol/crew/leader.py)."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit
from nachos_jax.engine import paused
from nachos_jax.engine.pool import LanePool
from nachos_jax.protocol.crew.ledger import COMPILING, TRAINING, Ledger
from nachos_jax.records import checkpoint
from nachos_jax.records.schema import FitRecord
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime import stopping
from nachos_jax.runtime.stopping import StoppedError

log = logging.getLogger("nachos_jax")

REST = 0.05
"""Seconds between looks at proposals that are being made."""


class Crew(Protocol):
    """Takes fits to train and gives their records, which are then on disk."""

    @property
    def working(self) -> bool:
        """True while fits are on their way."""
        ...

    @property
    def lanes(self) -> tuple[int, int]:
        """Lanes with a fit, and lanes."""
        ...

    @property
    def pace(self) -> tuple[int, float]:
        """Epochs trained since the start, summed over fits, and how many a second while training."""
        ...

    @property
    def ledger(self) -> Ledger:
        """What this process does and spends."""
        ...

    def prepare(self) -> None:
        """Waits until all who train are ready."""
        ...

    def submit(self, fits: Sequence[Fit]) -> None:
        """Queues fits."""
        ...

    def step(self) -> list[FitRecord]:
        """An epoch of this process's lanes; returns the records that came in meanwhile."""
        ...

    def rest(self) -> None:
        """Waits a moment when there is nothing to train yet."""
        ...

    def look(self) -> None:
        """Hears signals, and shows that this process goes on, in the middle of what no epoch divides."""
        ...

    def close(self, seconds: float, failed: bool = False) -> None:
        """Ends the training, also in the middle of fits.

        Args:
            seconds: spent in all.
            failed: an error is on its way, which must not be hidden by one of closing.
        """
        ...


class Alone:
    """The lanes of this process.

    Args:
        store: where records go.
        pool: the lanes.
        name: of this session.
    """

    def __init__(self, store: RunDirectory, pool: LanePool, name: str):
        self._store, self._pool = store, pool
        self.ledger = Ledger(store, pool, name)

    @property
    def working(self) -> bool:
        """See Crew."""
        return bool(self._pool.busy or self._pool.waiting)

    @property
    def lanes(self) -> tuple[int, int]:
        """See Crew."""
        return self._pool.busy, self._pool.lanes

    @property
    def pace(self) -> tuple[int, float]:
        """See Crew."""
        spent = self._pool.spent
        return spent.epochs, spent.epochs / spent.train_seconds if spent.train_seconds else 0.0

    def prepare(self) -> None:
        """See Crew."""
        self.ledger.open()

    def submit(self, fits: Sequence[Fit]) -> None:
        """See Crew.

        Raises:
            StoppedError: a signal asked for it before a compilation; the lanes are saved.
        """
        with self.ledger.now(COMPILING):
            self._pool.submit(fits, self.look)

    def step(self) -> list[FitRecord]:
        """See Crew.

        Raises:
            StoppedError: a signal asked for it; the lanes are saved.
        """
        with self.ledger.now(TRAINING):
            records = train(self._store, self._pool)
        stop_if_asked(self._pool)
        return records

    def rest(self) -> None:
        """See Crew.

        Raises:
            StoppedError: a signal asked for it; the lanes are saved.
        """
        time.sleep(REST)
        self.look()

    def look(self) -> None:
        """See Crew.

        Raises:
            StoppedError: a signal asked for it; the lanes are saved.
        """
        stop_if_asked(self._pool)

    def close(self, seconds: float, failed: bool = False) -> None:
        """See Crew."""
        put_down(self._store, self._pool, self.ledger, seconds, failed)


def train(store: RunDirectory, pool: LanePool) -> list[FitRecord]:
    """An epoch of a pool; commits what ended, and then saves the lanes that are due."""
    records = [store.commit_fit(result.record, result.payload) for result in pool.step()]
    pool.save()
    return records


def stop_if_asked(pool: LanePool) -> None:
    """Ends the process after a signal.

    Raises:
        StoppedError: a signal asked for it; the lanes are saved, if any are.
    """
    asked = stopping.asked()
    if asked is not None:
        pool.save(all_lanes=True)
        lost = pool.begins_anew
        earlier = " or go on from an earlier save" if "unsaved" in lost else ""
        kept = f"what is finished is kept, {lost} on their way begin anew{earlier}"
        kept = kept if lost else "all lanes are saved"
        raise StoppedError(f"stopped by {asked}: {kept}, and the same command goes on from here.")


def new_session() -> str:
    """A name for what begins now, unlike any other on any host; its first 15 characters tell the time."""
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(4)}"


def put_down(store: RunDirectory, pool: LanePool, ledger: Ledger, seconds: float, failed: bool) -> None:
    """Closes a pool, writes what it has spent, and removes saved lanes that are needed no more.

    Args:
        store: the run directory.
        pool: this process's lanes.
        ledger: of this process.
        seconds: spent in all.
        failed: an error is on its way. What was spent is no part of the truth, so that it cannot be written
            is then only told: the error on its way says more, and gives the exit code.

    Raises:
        UsageError: what was spent cannot be written, and nothing else has failed.
    """
    try:
        pool.close()
    except BaseException:
        failed = True
        raise
    finally:
        try:
            ledger.close(seconds)
        except UsageError as error:
            if not failed:
                raise
            log.warning("what this process has spent is not on record: %s", error)
    if not failed:
        checkpoint.prune(_launches(store, ledger.name), store.fit_ids())
        if _all_done(store):
            paused.clear(store.path / "checkpoints" / store.command)


def _all_done(store: RunDirectory) -> bool:
    """Whether no outer fold is left whose study could go on from paused lanes."""
    run = store.run()
    if store.command != "evaluate" or run is None:
        return True
    return len(store.tests()) >= run["folds"]["count"] * run["folds"]["repeats"]


def _launches(store: RunDirectory, session: str) -> Iterator[Path]:
    """Folders of checkpoints in which nobody else writes: process 0 takes those of other launches too."""
    launch, _, process = session.partition("-p")
    for folder in (store.path / "checkpoints" / store.command).glob("*"):
        if folder.name == session or (process == "0" and not folder.name.startswith(launch)):
            yield folder
