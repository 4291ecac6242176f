"""kill -9, hundreds of times, at any moment: afterwards the same bytes as a run that was left alone.

    python -m benchmarks.soak.soak --kills 1000 [--processes 3] [--seed 0]

A tiny study is estimated and deployed by the command line with several processes. At random moments, and at
moments when a file has just appeared among records, checkpoints or the exported model, one process or all of
them are killed. What is left is taken up by another number of processes, until the study is finished. Then
predictions, trials, folds, records and the exported model are compared, byte by byte, with those of one
process that nobody disturbed, and the next study begins in a fresh directory.

Processes start from a server that has imported everything, which saves seconds at each start. Ends with exit
code 1 at the first difference, unknown exit code or hang, and keeps the directory.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.shared import measure
from benchmarks.soak import soak_launch
from benchmarks.soak.soak_launch import Launch, SoakError

COMMANDS = ("evaluate", "deploy")
LONGEST_WAIT = 1.5
"""Of the time that a command takes undisturbed: the latest moment of a kill after a random time."""
FILES = {"records": 12, "checkpoints": 12, "deploy": 3}
"""A kill may come when one of so many new files appears, temporary ones included."""
TEXTS = ("predictions.csv", "trials.csv", "folds.csv")


@dataclass
class Tally:
    """What has happened so far.

    Attributes:
        kills: processes killed.
        launches: launches started.
        completed: studies finished and compared.
        fell: kills by command, moment and whom they hit.
        codes: exit codes of processes.
    """

    kills: int = 0
    launches: int = 0
    completed: int = 0
    fell: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)


class Soak:
    """Studies that are killed and taken up again.

    Args:
        folder: where study, caches and run directories lie.
        given: the flags.
    """

    def __init__(self, folder: Path, given: argparse.Namespace):
        self._folder, self._given, self._draw = folder, given, random.Random(given.seed)
        self._seconds: dict[str, float] = {}
        self.tally = Tally()

    def calm(self) -> dict[str, bytes]:
        """The result of one process that is left alone; compiles and measures on the way.

        Raises:
            SoakError: it failed.
        """
        for name in ("first", "calm"):  # the second one finds its programs in the cache
            for command in COMMANDS:
                began = time.monotonic()
                launch = Launch(self._folder, command, name, 1)
                codes = launch.wait()
                self._seconds[command] = time.monotonic() - began
                if codes != [0]:
                    raise SoakError(f"{command} ended with {codes} undisturbed:\n{launch.output()}")
        return result(self._folder / "calm")

    def study(self, number: int, wanted: dict[str, bytes]) -> None:
        """Takes one study to its end, killing on the way, and compares.

        Raises:
            SoakError: a difference, a strange exit code or a hang.
        """
        name, processes = f"run{number:04d}", self._given.processes
        for command in COMMANDS:
            while not self._launch(command, name, processes):
                processes = self._draw.randint(1, self._given.processes + 1)
        found = result(self._folder / name)
        different = differences(found, wanted)
        if different:
            raise SoakError(f"{self._folder / name} differs: {'; '.join(different)}")
        self.tally.completed += 1
        shutil.rmtree(self._folder / name)

    def _launch(self, command: str, name: str, processes: int) -> bool:
        """One launch; True when it has finished the command."""
        launch = Launch(self._folder, command, name, processes)
        self.tally.launches += 1
        killed = 0
        while self.tally.kills < self._given.kills and launch.running:
            moment = self._await_moment(launch, soak_launch.HURRY if killed else soak_launch.PATIENCE)
            if not moment or not launch.running:
                break
            killed += self._kill(launch, moment)
            if self._draw.random() < 0.5:  # the others are left in peace from here
                break
        codes = launch.wait(hurry=killed > 0)
        self.tally.codes.update(map(str, codes))
        if launch.gave_up:  # they wait for one that will not come; resuming is what people would do
            self.tally.kills += launch.gave_up
            self.tally.fell[f"{command}, waiting for the dead, all"] += launch.gave_up
        elif not launch.expected(codes, killed):
            raise SoakError(f"{command} with {processes} processes ended with {codes}:\n{launch.output()}")
        return codes[0] == 0

    def _await_moment(self, launch: Launch, longest: float) -> str:
        """Waits for a moment to kill at; returns its name, or "" when it does not come."""
        if self._draw.random() < 0.5:
            until = time.monotonic() + self._draw.uniform(0, LONGEST_WAIT * self._seconds[launch.command])
            while launch.running and time.monotonic() < until:
                time.sleep(0.005)
            return "any time" if launch.begun else "start"
        group = self._draw.choice([name for name in FILES if name != "deploy" or launch.command == "deploy"])
        count, known, seen = self._draw.randint(1, FILES[group]), launch.files(group), 0
        until = time.monotonic() + longest
        while launch.running and time.monotonic() < until:
            now = launch.files(group)
            seen += len(now - known)
            known |= now
            if seen >= count:
                return f"file in {group}"
            time.sleep(0.001)
        return ""

    def _kill(self, launch: Launch, moment: str) -> int:
        """Kills one process or all; returns how many."""
        everyone = launch.alive()
        chosen = everyone if self._draw.random() < 0.5 else [self._draw.choice(everyone)] if everyone else []
        for process in chosen:
            launch.kill(process, guardian=self._draw.random() < 0.5)
        whom = "all" if len(chosen) == launch.count else "process 0" if 0 in chosen else "another"
        self.tally.kills += len(chosen)
        self.tally.fell[f"{launch.command}, {moment}, {whom}"] += len(chosen)
        return len(chosen)


def result(workdir: Path) -> dict[str, bytes]:
    """What must not depend on kills: texts, records but the sessions, and the exported model, by name."""
    files = [workdir / name for name in TEXTS] + [path for path in (workdir / "deploy").rglob("*")]
    files += [path for path in (workdir / "records").rglob("*") if "sessions" not in path.parts]
    found = {}
    for path in files:
        if path.is_file() and not path.name.startswith(".tmp-"):
            found[str(path.relative_to(workdir))] = _without_command(path)
    return found


def _without_command(path: Path) -> bytes:
    """A file's bytes; those of run.json without the command line, which tells the number of processes."""
    if path.name != "run.json":
        return path.read_bytes()
    told = json.loads(path.read_text(encoding="utf-8"))
    return json.dumps({k: value for k, value in told.items() if k not in ("command", "digest")}).encode()


def differences(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    """What is missing, too much or other than wanted."""
    said = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    said += [f"{name} is too much" for name in sorted(found.keys() - wanted.keys())]
    both = sorted(found.keys() & wanted.keys())
    return said + [f"{name} has other bytes" for name in both if found[name] != wanted[name]]


def report(given: argparse.Namespace, tally: Tally, seconds: float, mismatch: str) -> None:
    """Stores what happened."""
    rows = [
        ("processes killed", f"{tally.kills}"),
        ("launches", f"{tally.launches}"),
        ("studies finished and compared", f"{tally.completed}"),
        ("differences", "1" if mismatch else "0"),
        *((f"killed: {where}", f"{count}") for where, count in sorted(tally.fell.items())),
        ("wall", f"{seconds / 60:.1f} min"),
    ]
    value: dict[str, Any] = {
        "kills": tally.kills,
        "launches": tally.launches,
        "completed": tally.completed,
        "fell": dict(tally.fell),
        "codes": dict(tally.codes),
        "mismatch": mismatch,
        "seconds": seconds,
    }
    then = f"{given.processes} processes at first, then 1 to {given.processes + 1}"
    title = f"Killed again and again (seed {given.seed}): {then}"
    table = measure.Table(("what", "count"), tuple(rows))
    measure.store(given.out, f"soak_seed{given.seed}", title, table, value, timed=False)


def main() -> None:
    """Kills until it has killed enough."""
    flags = measure.parser(__doc__)
    flags.add_argument("--kills", type=int, default=300, help="processes to kill")
    flags.add_argument("--processes", type=int, default=3, help="of the first launch of a study")
    flags.add_argument(
        "--seed", type=int, default=0, help="of the moments; what they hit also hangs on chance"
    )
    given = flags.parse_args()
    folder, began, mismatch = Path(tempfile.mkdtemp(prefix="soak-")), time.monotonic(), ""
    soak_launch.prepare(folder)
    soak = Soak(folder, given)
    try:
        wanted = soak.calm()
        while soak.tally.kills < given.kills:
            soak.study(soak.tally.completed, wanted)
            print(f"{soak.tally.kills} killed, {soak.tally.completed} compared", file=sys.stderr, flush=True)
    except SoakError as error:
        mismatch = str(error)
    report(given, soak.tally, time.monotonic() - began, mismatch.splitlines()[0] if mismatch else "")
    if mismatch:
        sys.exit(mismatch)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
