"""The board: what the processes of a launch tell each other. Process 0 writes what is to be trained; whoever
has a free lane claims a fit, and says when its record is on disk.

The coordination service gives each fit to the first who claims it. Fits end after unforeseeable numbers of
epochs, so any share that was fixed before would leave hosts idle. No process reads another's clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from nachos_jax.cluster.messages import Messages
from nachos_jax.core.types import EpochLimit, Fit

LEADER = 0
"""Number of the process that leads."""


@dataclass(frozen=True)
class Launch:
    """What process 0 tells the others before they begin.

    Attributes:
        name: of this launch, unlike that of any other.
        command: "evaluate" or "deploy".
        config: digest of the configuration.
        cases: digest of case table and folds.
        versions: of the packages that can change a number.
    """

    name: str
    command: str
    config: str
    cases: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Beat:
    """What a process says of itself before every epoch, and at every look for work when it has none.

    Attributes:
        count: rises with every beat, so that a process that hangs is seen.
        host: name of its machine.
        lanes: lanes of its largest bucket.
        busy: lanes with a fit.
        fits: fits that it ended.
        epochs: epochs that it trained, summed over fits.
        seconds: time that this took.
    """

    count: int
    host: str
    lanes: int = 0
    busy: int = 0
    fits: int = 0
    epochs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Leave:
    """What a process says when it takes part no more.

    Attributes:
        why: "" when all is done.
        stopped: True when nothing is wrong with it, and the same command may bring it back.
    """

    why: str = ""
    stopped: bool = False


@dataclass(frozen=True)
class Party:
    """The processes of a launch, as one of them sees them.

    Attributes:
        board: what they tell each other.
        processes: how many they are.
        lost_after: seconds of silence after which a process counts as lost.
        stalled_after: seconds without an epoch after which a process counts as lost.
    """

    board: Board
    processes: int
    lost_after: float
    stalled_after: float


class Board:
    """The board as one process sees it.

    Args:
        messages: what it is written on.
        process: number of this process.
    """

    def __init__(self, messages: Messages, process: int):
        self._messages, self.process = messages, process
        self._published = 0  # numbers the fits, so that all see them in one order
        self.beaten: int | None = None
        """Count of this process's last beat; None before the first, and when no more are to come."""

    # --- the launch -------------------------------------------------------------------------------

    def announce(self, launch: Launch) -> None:
        """Process 0: the run may be joined."""
        self._messages.put("launch", json.dumps(asdict(launch)))

    def launch(self) -> Launch | None:
        """What process 0 has announced."""
        text = self._messages.get("launch")
        return Launch(**json.loads(text)) if text else None

    def begin(self) -> None:
        """This process begins; what an earlier one of the same number held goes back to all."""
        self.release(self.process)
        for folder in ("left", "lost", "ready"):
            self._messages.drop(f"{folder}/{self.process}")

    def ready(self) -> None:
        """This process has checked everything and may train."""
        # Process 0 may have given up an earlier process of this number after this one had begun.
        self._messages.drop(f"lost/{self.process}")
        self._messages.put(f"ready/{self.process}", "")

    def are_ready(self) -> set[int]:
        """The processes that may train."""
        return set(map(int, self._messages.within("ready")))

    def end(self, how: str) -> None:
        """Process 0: the launch ends; "" when all is done, else why."""
        self._messages.put("end", how)

    def ended(self) -> str | None:
        """How the launch ended, or None while it goes on."""
        return self._messages.get("end")

    def leave(self, why: str = "", stopped: bool = False) -> None:
        """This process takes part no more, and why if not because all is done; see Leave."""
        self._messages.put(f"left/{self.process}", json.dumps(asdict(Leave(why, stopped))))

    def left(self) -> dict[int, Leave]:
        """The processes that took their leave, with their reasons."""
        found = self._messages.within("left")
        return {int(process): Leave(**json.loads(text)) for process, text in found.items()}

    # --- who is there -----------------------------------------------------------------------------

    def beat(self, beat: Beat) -> None:
        """This process goes on."""
        self.beaten = beat.count
        self._messages.put(f"beat/{self.process}", json.dumps(asdict(beat)))

    def beats(self) -> dict[int, Beat]:
        """What each process said last."""
        found = self._messages.within("beat")
        return {int(process): Beat(**json.loads(text)) for process, text in found.items()}

    def rest(self) -> None:
        """This process ends no more epochs, so nobody is to miss its beats."""
        self.beaten = None

    def pulse(self, count: int) -> None:
        """This process is there, also in the middle of an epoch."""
        self._messages.put(f"pulse/{self.process}", str(count))

    def pulses(self) -> dict[int, int]:
        """The last pulse of each process."""
        return {int(process): int(count) for process, count in self._messages.within("pulse").items()}

    def declare_lost(self, process: int) -> None:
        """Process 0: no longer counts on a process, unless it begins again."""
        self._messages.put(f"lost/{process}", "")
        self._messages.drop(f"ready/{process}")

    def is_lost(self) -> bool:
        """True when process 0 does not count on this process any more."""
        return self._messages.get(f"lost/{self.process}") is not None

    def are_lost(self) -> set[int]:
        """The processes that process 0 does not count on any more."""
        return set(map(int, self._messages.within("lost")))

    # --- fits -------------------------------------------------------------------------------------

    def publish(self, fits: Iterable[Fit]) -> None:
        """Process 0: these fits are to be trained, in this order."""
        for fit in fits:
            self._published += 1
            self._messages.put(f"open/{fit.id}", json.dumps([self._published, _plain(fit)]))

    def open(self) -> list[Fit]:
        """The fits that nobody has claimed, in order."""
        claimed = self._messages.within("claim")
        found = [json.loads(text) for k, text in self._messages.within("open").items() if k not in claimed]
        return [_fit(value) for _, value in sorted(found, key=lambda pair: pair[0])]

    def claim(self, fit: Fit) -> bool:
        """Claims a fit; True when it is this process that shall train it."""
        if not self._messages.claim(f"claim/{fit.id}", str(self.process)):
            return False
        if self._messages.get(f"open/{fit.id}") is None:  # it was done between our reading and our claim
            self._messages.drop(f"claim/{fit.id}")
            return False
        return True

    def claims(self) -> dict[str, int]:
        """Who has claimed what: process by fit id."""
        return {fit: int(process) for fit, process in self._messages.within("claim").items()}

    def release(self, process: int) -> list[str]:
        """Frees the fits that a process had claimed; returns their ids."""
        freed = [fit for fit, holder in self.claims().items() if holder == process]
        for fit in freed:
            self.free(fit)
        return freed

    def free(self, fit: str) -> None:
        """Lets anybody claim a fit again."""
        self._messages.drop(f"claim/{fit}")

    def done(self, fit: str) -> None:
        """The record of this fit is on disk."""
        self._messages.put(f"done/{fit}", str(self.process))

    def are_done(self) -> list[str]:
        """The fits whose records are on disk and that process 0 has not yet put away."""
        return sorted(self._messages.within("done"))

    def put_away(self, fit: str) -> None:
        """Process 0: has read the record of this fit."""
        for folder in ("open", "claim", "done"):  # in this order: see `claim`
            self._messages.drop(f"{folder}/{fit}")

    # --- agreement --------------------------------------------------------------------------------

    def agreed(self, question: str, answer: Callable[[], str]) -> str:
        """The same answer in all processes: that of the first which had one."""
        name = f"agreed/{question}"
        known = self._messages.get(name)
        if known is None:
            mine = answer()
            if self._messages.claim(name, mine):
                return mine
            known = self._messages.get(name)
        assert known is not None
        return known


def _plain(fit: Fit) -> dict[str, Any]:
    return {**asdict(fit), "hparams": dict(fit.hparams)}


def _fit(value: dict[str, Any]) -> Fit:
    left_out, limit = tuple(value["left_out"]), EpochLimit(**value["limit"])
    asked = None if value["asked"] is None else tuple(value["asked"])
    parts = {"left_out": left_out, "limit": limit, "asked": asked, "beside": tuple(value["beside"])}
    whole: dict[str, Any] = {**value, **parts}
    return Fit(**whole)
