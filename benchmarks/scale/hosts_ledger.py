"""What lanes do from moment to moment in a simulated launch, and why those without a fit have none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

BUSY, STARTUP = "busy", "start-up"
OWN, LEADER, PROPOSALS = "own epoch", "process 0's epoch", "proposals"
ROUND, TAIL = "round", "tail"
IDLE = {
    STARTUP: "their host compiles",
    OWN: "fits are there, and their host looks for them when its epoch has ended",
    LEADER: "process 0 has yet to hand out fits, or to see results, when its epoch has ended",
    PROPOSALS: "trials are being proposed",
    ROUND: "the next trials are proposed when the running ones of the round have scores",
    TAIL: "all trials are known, and fewer fits than lanes are left",
}
"""Why a lane has no fit, in the order in which reasons are looked for."""


class Ledger:
    """Adds up lane-seconds.

    At each moment, lanes that are free are given reasons in the order of IDLE, each to as many lanes as it
    keeps from a fit: one that waits for a round of 18 fits explains at most 18 idle lanes.

    Args:
        lanes: of all hosts.
        wanting: tells at any moment (reason, fits that it holds back), in the order of IDLE.
    """

    def __init__(self, lanes: int, wanting: Callable[[], Iterable[tuple[str, int]]]):
        self.lanes, self._wanting = lanes, wanting
        self.busy = self.starting = 0
        self.over = False
        self.seconds = dict.fromkeys((BUSY, *IDLE), 0.0)

    def passing(self, seconds: float) -> None:
        """So many seconds pass without a change; they do not count when all is over."""
        if self.over:
            return
        self.seconds[BUSY] += self.busy * seconds
        self.seconds[STARTUP] += self.starting * seconds
        free = self.lanes - self.busy - self.starting
        if not free:
            return
        for reason, fits in self._wanting():
            explained = min(free, max(0, fits))
            self.seconds[reason] += explained * seconds
            free -= explained
        self.seconds[TAIL] += free * seconds
