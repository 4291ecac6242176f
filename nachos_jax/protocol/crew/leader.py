"""Process 0 of a launch: publishes fits, trains its share, gathers records, sees who is lost."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence

from nachos_jax.cluster.board import LEADER, Beat, Board, Party
from nachos_jax.cluster.pulse import PULSE, Silence
from nachos_jax.core.errors import UsageError
from nachos_jax.core.types import Fit
from nachos_jax.engine.pool import LanePool
from nachos_jax.protocol.crew.crew import REST, put_down, stop_if_asked, train
from nachos_jax.protocol.crew.ledger import COMPILING, TRAINING, Ledger
from nachos_jax.records.schema import FitRecord
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime import stopping

log = logging.getLogger("nachos_jax")

POLL = 0.2
"""Seconds between looks at the board when there is nothing to train."""

FAREWELL = 60.0
"""Seconds that process 0 waits for the others to end their epoch and save their lanes."""

VISIBLE = 180.0
"""Seconds after which a record that another process wrote must be seen; network disks may lag behind."""


class Leader:
    """The lanes of all processes of a launch, as process 0 sees them.

    Args:
        store: the run directory.
        pool: this process's own lanes.
        party: the processes of the launch.
        name: of this session.
    """

    def __init__(self, store: RunDirectory, pool: LanePool, party: Party, name: str):
        self._store, self._pool, self._board = store, pool, party.board
        self.ledger = Ledger(store, pool, name)
        self._party, self._others = party, set(range(1, party.processes))
        self._queue: deque[Fit] = deque()  # not yet on the board
        self._out: dict[str, Fit] = {}  # on the board, and without a record that was seen here
        self._awaited: dict[str, float] = {}  # records that were told of and not yet seen, since when
        self._pulses, self._epochs = Silence(), Silence()  # who falls silent, and who hangs
        self._beats = 0

    @property
    def working(self) -> bool:
        """See Crew."""
        return bool(self._queue or self._out)

    @property
    def lanes(self) -> tuple[int, int]:
        """See Crew."""
        beats = [beat for process, beat in self._board.beats().items() if process in self._others]
        busy = self._pool.busy + sum(beat.busy for beat in beats)
        return busy, self._pool.lanes + sum(beat.lanes for beat in beats)

    @property
    def pace(self) -> tuple[int, float]:
        """See Crew."""
        own = self._pool.spent
        spent = [(own.epochs, own.train_seconds)]
        spent += [(beat.epochs, beat.seconds) for n, beat in self._board.beats().items() if n != LEADER]
        rate = sum(epochs / seconds for epochs, seconds in spent if seconds)
        return sum(epochs for epochs, _ in spent), rate

    def prepare(self) -> None:
        """Waits until every process is ready, but for those that a signal has stopped: they may come back.

        Raises:
            UsageError: one of them cannot take part; nothing has been trained.
            StoppedError: a signal asked for it.
        """
        self.ledger.open()
        while not self._others <= self._board.are_ready():
            stop_if_asked(self._pool)  # first: what ends this process may have ended others already
            self._beat()  # or those who are ready believe that this process hangs
            for process, leave in self._board.left().items():
                if process in self._others and not leave.stopped:
                    raise UsageError(f"process {process} cannot take part: {leave.why}")
                if process in self._others:
                    self._give_up(process, f"has left ({leave.why})")
            self._pulses.hear(self._board.pulses())
            for process in sorted(self._others):
                if self._pulses.seconds(process) > self._party.lost_after:
                    raise UsageError(
                        f"process {process} ended before it was ready: see its own output, then run the same "
                        "command again."
                    )
            time.sleep(POLL)
        self._epochs = Silence()
        log.info("%d processes are ready", 1 + len(self._others))

    def submit(self, fits: Sequence[Fit]) -> None:
        """See Crew."""
        self._queue.extend(fits)

    def step(self) -> list[FitRecord]:
        """See Crew.

        Raises:
            StoppedError: a signal asked for it; the lanes are saved.
            UsageError: a record that another process wrote cannot be seen here.
        """
        self._publish()
        self._beat()
        with self.ledger.now(COMPILING):
            take(self._board, self._pool, self._store, self._beat)
        if self._pool.busy or self._pool.waiting:
            with self.ledger.now(TRAINING):
                records = train(self._store, self._pool)
        else:
            time.sleep(POLL)
            records = []
        for record in records:
            self._board.done(record.fit)
        gathered = self._gather()
        self._watch()
        stop_if_asked(self._pool)
        return gathered

    def rest(self) -> None:
        """See Crew.

        Raises:
            StoppedError: a signal asked for it; the lanes are saved.
        """
        time.sleep(REST)
        self.look()
        self._watch()

    def look(self) -> None:
        """See Crew.

        Raises:
            StoppedError: a signal asked for it; the lanes are saved.
        """
        self._beat()
        stop_if_asked(self._pool)

    def close(self, seconds: float, failed: bool = False) -> None:
        """See Crew. Where all has been trained the others leave now, whatever is still to do here."""
        try:
            put_down(self._store, self._pool, self.ledger, seconds, failed)
            if not failed:
                self._board.end("")
        finally:
            self._board.rest()

    def _beat(self) -> None:
        self._beats += 1
        beat(self._board, self._pool, self._beats)

    def _publish(self) -> None:
        """Keeps as many unclaimed fits on the board as may be claimed before the next look at it."""
        _, lanes = self.lanes
        unclaimed = len(self._out) - len(self._board.claims())
        missing = missing_on_board(lanes, unclaimed)
        fits = [self._queue.popleft() for _ in range(min(len(self._queue), missing))]
        self._out.update({fit.id: fit for fit in fits})
        self._board.publish(fits)

    def _gather(self) -> list[FitRecord]:
        """The records that have come to disk since the last look; takes their fits off the board.

        Raises:
            UsageError: a record was told of long ago, and cannot be seen here.
        """
        found = []
        for fit in self._board.are_done():
            record = self._store.fit(fit)
            if record is not None:
                self._awaited.pop(fit, None)
                if self._out.pop(fit, None) is not None:
                    found.append(record)
                self._board.put_away(fit)
            elif time.monotonic() - self._awaited.setdefault(fit, time.monotonic()) > VISIBLE:
                raise UsageError(
                    f"fit {fit} was finished by another process, but its record cannot be seen in "
                    f"{self._store.path}: --workdir must lie on a disk that all hosts share."
                )
        return found

    def _watch(self) -> None:
        """Frees the fits of processes that have left, have fallen silent or hang, for others to train."""
        claims = self._board.claims()  # before who is ready: a process claims only then
        left = self._board.left()
        for process in self._board.are_ready() - self._others:  # it was lost, and was started again
            self._others.add(process)
            self._pulses.restart(process)
            self._epochs.restart(process)
            log.info("process %d is back", process)
        for fit, holder in claims.items():
            if holder != LEADER and holder not in self._others:
                self._board.free(fit)  # it was claimed from an old list, after its holder's fits were freed
        self._pulses.hear(self._board.pulses())
        self._epochs.hear({process: beat.count for process, beat in self._board.beats().items()})
        for process in sorted(self._others):
            if process in left:
                why = f"has left ({left[process].why})"
            elif self._pulses.seconds(process) > self._party.lost_after:
                why = f"was not heard of for {self._party.lost_after:.0f} seconds"
            elif self._epochs.seconds(process) > self._party.stalled_after:
                why = f"has not ended an epoch for {self._party.stalled_after:.0f} seconds"
            else:
                continue
            self._give_up(process, why)

    def _give_up(self, process: int, why: str) -> None:
        self._others.discard(process)
        self._board.declare_lost(process)
        freed = self._board.release(process)
        self._pool.look_again()
        log.warning("process %d %s: its %d fits go to others", process, why, len(freed))


def missing_on_board(lanes: int, unclaimed: int) -> int:
    """Fits to publish so that two for each lane of the launch wait to be claimed.

    More would only make the board longer, which everybody reads. Lanes are known once a program is compiled,
    so eight are reckoned with at least.

    Args:
        lanes: of all processes, as far as they are known.
        unclaimed: fits that wait on the board already.
    """
    return max(0, 2 * max(lanes, 8) - unclaimed)


def take(board: Board, pool: LanePool, store: RunDirectory, tell: Callable[[], object]) -> None:
    """Claims fits for the free lanes of a pool, those of compiled buckets first.

    Args:
        board: where they are published.
        pool: this process's own lanes.
        store: where records of fits may already be.
        tell: sends a beat. Each fit may bring a bucket that has to be compiled, and all of them together may
            take longer than a process may be silent.
    """
    waiting = board.open()
    for fit in sorted(waiting, key=lambda fit: not pool.knows(fit)):
        if not pool.room(fit):
            continue
        # Compiling took too long, or a signal came: what is claimed now would only be freed again.
        if board.is_lost() or stopping.asked():
            return
        if board.claim(fit):
            if store.fit(fit.id) is None:
                pool.submit([fit])
                tell()
            else:  # its first holder was lost after the record was written
                board.done(fit.id)


def beat(board: Board, pool: LanePool, count: int) -> None:
    """Tells the others how this process is getting on."""
    spent = pool.spent
    lanes = pool.lanes, pool.busy
    board.beat(Beat(count, os.uname().nodename, *lanes, spent.fits, spent.epochs, spent.train_seconds))


def dismiss(party: Party, how: str) -> None:
    """Tells all processes how the launch ended, and waits a while for them to leave."""
    board = party.board
    board.end(how)
    until = time.monotonic() + FAREWELL
    others, pulses = set(range(1, party.processes)) - board.are_lost(), Silence()
    while others and time.monotonic() < until:
        pulses.hear(board.pulses())
        others = {process for process in others - set(board.left()) if pulses.seconds(process) < 5 * PULSE}
        time.sleep(POLL / 4)
    time.sleep(POLL)  # those who have just left close their connections
