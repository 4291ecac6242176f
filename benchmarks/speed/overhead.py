"""Time not spent training: one whole run of `nachos evaluate`, its seconds told apart.

    python -m benchmarks.speed.overhead [--data FILE.npz] [--folds 5] [--trials 8] [--epochs 10]

It is the run of protocol.py in a fresh process with an empty compilation cache. Inside, functions are wrapped
by timers; time in one of them within another counts for the inner one alone. What the process takes beside
the command itself (the interpreter, imports before it, its end) is start-up. Proposals are made in a thread
while lanes train: they have a row of their own, which is no part of the wall time, unless training waits for
them.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.shared import measure
from benchmarks.speed import protocol

OTHER, STARTUP = "everything else", "start-up and imports"
TRAINING, BESIDE = "training", "proposals, beside training"


class Timers:
    """Seconds by what they were spent on; only the main thread's, except where said.

    Attributes:
        seconds: total of each name, without what was spent on inner ones.
    """

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner: list[float] = []

    def wrap(self, holder: Any, attribute: str, name: str) -> None:
        """Times every call of a function or method, wherever it is called by this name."""
        setattr(holder, attribute, self.timed(getattr(holder, attribute), name))

    def timed(self, function: Callable, name: str) -> Callable:
        """The function, timed."""

        @functools.wraps(function)
        def call(*args: Any, **more: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*args, **more)
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **more)
            finally:
                total = time.perf_counter() - start
                self.seconds[name] += total - self._inner.pop()
                if self._inner:
                    self._inner[-1] += total

        return call

    def beside(self, function: Callable) -> Callable:
        """The function, timed in whatever thread it runs."""

        @functools.wraps(function)
        def call(*args: Any, **more: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **more)
            finally:
                self.seconds[BESIDE] += time.perf_counter() - start

        return call


def install(timers: Timers) -> None:
    """Wraps the functions whose time is told apart."""
    from nachos_jax.data import sources
    from nachos_jax.engine import tuning
    from nachos_jax.engine.pool import LanePool
    from nachos_jax.protocol import evaluate as evaluation
    from nachos_jax.protocol.design.study import Study
    from nachos_jax.records.store import RunDirectory
    from nachos_jax.report.page import page
    from nachos_jax.search.background import Background

    timers.wrap(LanePool, "step", TRAINING)
    timers.wrap(LanePool, "submit", "compilation")
    timers.wrap(LanePool, "__init__", "cases to the devices")
    for method in ("save", "close"):
        timers.wrap(LanePool, method, "checkpoints")
    for method in vars(RunDirectory):
        if method.startswith(("commit_", "write_")):
            timers.wrap(RunDirectory, method, "commits")
    timers.wrap(page, "write", "report")
    timers.wrap(sources, "load", "reading the cases")
    timers.wrap(evaluation, "open_run", "opening the run")
    timers.wrap(evaluation, "begin", "opening the run")
    timers.wrap(Study, "score", "scores of trials")
    timers.wrap(time, "sleep", "waiting for proposals")
    timers.wrap(tuning, "choose", "timing of lowerings")
    submit: Any = Background.submit

    def noted(self: Any, study: Any, function: Callable) -> None:
        submit(self, study, timers.beside(function))

    Background.submit = noted


def inside(words: list[str], told: Path) -> None:
    """Runs a command of `nachos` under timers and writes what they say; the fresh process of `main`."""
    timers = Timers()
    # The command imports JAX and all else as it needs them; done here, that has a row of its own.
    timers.timed(install, STARTUP)(timers)
    from nachos_jax.cli.main import main as nachos

    start = time.perf_counter()
    code = nachos(["nachos", *words])
    seconds = time.perf_counter() - start
    told.write_text(json.dumps({"command": seconds, "seconds": timers.seconds}))
    sys.exit(code)


def split(wall: float, command: float, seconds: dict[str, float]) -> dict[str, float]:
    """Seconds by name, which add up to the wall time but for what ran beside.

    Args:
        wall: of the whole process.
        command: of the command in it.
        seconds: of the timers.
    """
    parts = {name: value for name, value in seconds.items() if name not in (STARTUP, BESIDE)}
    other = command - sum(parts.values())
    return {**parts, OTHER: other, STARTUP: wall - command}


def main() -> None:
    """Runs the process, prints and stores the table."""
    flags = measure.parser(__doc__)
    protocol.add_flags(flags)
    flags.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    given, words = flags.parse_known_args()
    if given.inside:
        inside(words, given.inside)
    if words:
        flags.error(f"unknown: {' '.join(words)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        name = protocol.prepare(given, folder)
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        told = folder / "told.json"
        command = protocol.words(given, folder, str(folder / "run"))
        finished = measure.run([*measure.script("speed.overhead"), f"--inside={told}", *command], environment)
        found = json.loads(told.read_text())
        spent = json.loads((folder / "run/summary.json").read_text())["spent"]
    parts = split(finished.seconds, found["command"], found["seconds"])
    lines = [
        (part, f"{value:.2f} s", f"{100 * value / finished.seconds:.1f} %")
        for part, value in sorted(parts.items(), key=lambda item: -item[1])
    ]
    lines.append(("all", f"{finished.seconds:.2f} s", "100 %"))
    beside = found["seconds"].get(BESIDE, 0.0)
    lines.append((BESIDE, f"{beside:.2f} s", "-"))
    lost = 1 - parts.get(TRAINING, 0.0) / finished.seconds
    notes = [f"{100 * lost:.1f} % of the wall time is not training ({spent['fits_trained']} fits)."]
    measure.start_jax()
    value = {"wall": finished.seconds, "seconds": parts, "beside": beside, "spent": spent, "notes": notes}
    size = f"{given.folds} folds, {given.trials} trials, {given.epochs} epochs"
    table = measure.Table(("what", "time", "of the wall time"), tuple(lines))
    measure.store(given.out, f"overhead_{name}", f"Where the time goes: {name}, {size}", table, value)


if __name__ == "__main__":
    main()
