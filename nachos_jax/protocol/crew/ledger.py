"""What a process of a launch spends, written down while it goes on, so that a kill hides none of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import Any

from nachos_jax.engine.pool import LanePool
from nachos_jax.protocol.run import environment
from nachos_jax.protocol.run.progress import COMPILING, ENDED
from nachos_jax.records.store import RunDirectory
from nachos_jax.runtime.periodic import every

NOTE = 10.0
"""Seconds between two notes."""

TRAINING, WAITING = "training", "waiting"


class Ledger:
    """The session of a process.

    Args:
        store: the run directory.
        pool: the lanes of this process.
        name: of the session; the part before "-p" is that of its launch.
    """

    def __init__(self, store: RunDirectory, pool: LanePool, name: str):
        self._store, self._pool, self.name = store, pool, name
        self._start = time.monotonic()
        self._doing, self._since = WAITING, self._start
        launch = {"started": name[:15], "launch": name.partition("-p")[0]}
        self._fixed = {**launch, "devices": list(pool.devices), "versions": environment.versions()}
        self._standing: dict[str, Any] = {}
        self._figures = self._look()
        self._thread = contextlib.ExitStack()

    @property
    def doing(self) -> str:
        """What the process does now, and for how long if that hides all else."""
        seconds = time.monotonic() - self._since
        return f"{self._doing} for {seconds:.0f} s" if self._doing == COMPILING else self._doing

    def open(self) -> None:
        """Begins to write notes."""
        self._thread.enter_context(every(NOTE, lambda _: self._note(), "what was spent"))

    @contextlib.contextmanager
    def now(self, doing: str) -> Generator[None]:
        """What is done in this context; afterwards the figures of the pool are read."""
        before, self._doing, self._since = self._doing, doing, time.monotonic()
        try:
            yield
        finally:
            self._doing, self._since = before, time.monotonic()
            self._figures = self._look()

    def standing(self, **figures: Any) -> None:
        """Adds where the whole run stands."""
        self._standing = figures

    def close(self, seconds: float) -> None:
        """Writes the last note.

        Raises:
            UsageError: it cannot be written.
        """
        self._thread.close()
        self._doing, self._figures = ENDED, self._look()
        self._note(seconds)

    def _note(self, seconds: float | None = None) -> None:
        spent = time.monotonic() - self._start if seconds is None else seconds
        told = {"seconds": round(spent, 3), "doing": self.doing, **self._standing}
        self._store.write_session(self.name, {**self._fixed, **self._figures, **told})

    def _look(self) -> dict[str, Any]:
        """The pool's figures, read by the thread that trains."""
        spent = self._pool.spent
        return {
            "fits": spent.fits,
            "epochs": spent.epochs,
            "busy_lane_epochs": spent.epochs,
            "lane_epochs": spent.lane_epochs,
            "compilations": spent.compilations,
            "compile_seconds": round(spent.compile_seconds, 3),
            "tuning_seconds": round(spent.tuning_seconds, 3),
            "train_seconds": round(spent.train_seconds, 3),
            "lanes": self._pool.lanes,
            "busy": self._pool.busy,
        }
