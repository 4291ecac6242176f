"""Time not spent training: one whole run of `nachos evaluate`, its seconds told apart.

    python -m benchmarks.speed.overhead [--data FILE.npz] [--folds 5] [--trials 8] [--epochs 10]
    python -m benchmarks.speed.overhead --demo

It is the run of protocol.py, or of `make demo`, in a fresh process with an empty compilation cache. Inside,
functions are wrapped by timers; time in one of them within another counts for the inner one alone. Training
and prediction are one program: an epoch of full lanes is run again with and without prediction to tell its
share. What the process takes beside the command itself (the interpreter, imports before it, its end) is
start-up. Proposals are made in a thread while lanes train: they have a row of their own, which is no part of
the wall time, unless training waits for them.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from benchmarks.shared import measure
from benchmarks.speed import protocol
from nachos_jax.cli import guardian
from nachos_jax.runtime import thrift

OTHER, STARTUP = "everything else", "start-up and imports"
TRAINING, PREDICTION, BESIDE = "training", "predicting watched folds", "proposals, beside training"
PROBING = "measuring the share of prediction"
ROUNDS = 3
"""Epochs with and without prediction that tell its share."""


class Timers:
    """Seconds by what they were spent on; only the main thread's, except where said.

    Attributes:
        seconds: total of each name, without what was spent on inner ones.
        share: of prediction in an epoch; None before it was measured.
    """

    def __init__(self):
        self.share: float | None = None
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
    from nachos_jax.cli.reporting import Writer
    from nachos_jax.data import sources
    from nachos_jax.engine import tuning
    from nachos_jax.engine.pool import LanePool
    from nachos_jax.protocol import evaluate as evaluation
    from nachos_jax.protocol.study.searching import Searching
    from nachos_jax.records.store import RunDirectory
    from nachos_jax.search.background import Background

    _probe(timers)
    timers.wrap(LanePool, "step", TRAINING)
    timers.wrap(LanePool, "submit", "compilation")
    timers.wrap(LanePool, "__init__", "cases to the devices")
    for method in ("save", "close"):
        timers.wrap(LanePool, method, "checkpoints")
    for method in vars(RunDirectory):
        if method.startswith(("commit_", "write_")):
            timers.wrap(RunDirectory, method, "commits")
    timers.wrap(Writer, "write", "report")
    timers.wrap(sources, "load", "reading the cases")
    timers.wrap(evaluation, "open_run", "opening the run")
    timers.wrap(evaluation, "begin", "opening the run")
    for method in ("wanted", "outcome", "heard"):
        timers.wrap(Searching, method, "what to train next")
    timers.wrap(time, "sleep", "waiting for proposals")
    timers.wrap(tuning, "choose", "timing of lowerings")
    submit: Any = Background.submit

    def noted(self: Any, study: Any, function: Callable) -> None:
        submit(self, study, timers.beside(function))

    Background.submit = noted


def _probe(timers: Timers) -> None:
    """Measures the share of prediction once, after the first epoch whose lanes all had a fit."""
    from nachos_jax.engine.bucket_lanes import BucketLanes

    real: Any = BucketLanes.epoch
    measured = timers.timed(_share, PROBING)

    def epoch(self: Any) -> Any:
        ended = real(self)
        if timers.share is None and self.busy == self.program.lanes:
            timers.share = measured(self)
        return ended

    BucketLanes.epoch = epoch


def _share(lanes: Any) -> float:
    """The part of an epoch that the prediction of watched folds takes."""
    import jax
    import jax.numpy as jnp

    from nachos_jax.engine.program import place

    told = place([lanes._tell(i) for i in range(lanes.program.lanes)], lanes.program.mesh)
    blind = told._replace(n_held=told.n_held * 0)

    def call(given: Any) -> Callable[[], None]:
        def once() -> None:
            state = jax.tree.map(jnp.copy, lanes._state)  # the program takes what it is given
            jax.block_until_ready(lanes.program.epoch(state, given))

        return once

    seconds = measure.in_turn({"with": call(told), "without": call(blind)}, ROUNDS)
    return max(0.0, 1 - measure.median(seconds["without"]) / measure.median(seconds["with"]))


def inside(words: list[str], told: Path) -> None:
    """Runs a command of `nachos` under timers and writes what they say; the fresh process of `main`."""
    ended_with = thrift.leave_at_once()
    thrift.collect_seldom()
    guardian.guard(None)  # all as the command has it, before JAX is there
    from nachos_jax.cli import reporting
    from nachos_jax.cli.main import main as nachos

    timers, begin = Timers(), reporting.writer

    @contextlib.contextmanager
    def writer(first: bool = True) -> Generator[reporting.Writer]:
        with begin(first) as made:
            # The command imports JAX and all else now; done here, that has a row of its own.
            timers.timed(install, STARTUP)(timers)
            yield made

    reporting.writer = writer
    start = time.perf_counter()
    code = nachos(["nachos", *words])
    seconds = time.perf_counter() - start
    found = {"command": seconds, "seconds": timers.seconds, "share": timers.share}
    told.write_text(json.dumps(found))
    ended_with(code)
    sys.exit(code)


def split(wall: float, command: float, seconds: dict[str, float], share: float | None) -> dict[str, float]:
    """Seconds by name, which add up to the wall time but for what ran beside.

    Args:
        wall: of the whole process, without what measuring took.
        command: of the command in it, likewise.
        seconds: of the timers.
        share: of prediction in an epoch, if it could be measured.
    """
    parts = {name: value for name, value in seconds.items() if name not in (STARTUP, BESIDE, PROBING)}
    imports = seconds.get(STARTUP, 0.0)
    other = command - sum(parts.values()) - imports
    trained = parts.pop(TRAINING, 0.0)
    told = {PREDICTION: trained * share} if share is not None else {}
    return {
        **parts,
        TRAINING: trained * (1 - (share or 0.0)),
        **told,
        OTHER: other,
        STARTUP: wall - command + imports,
    }


def main() -> None:
    """Runs the process, prints and stores the table."""
    flags = measure.parser(__doc__)
    protocol.add_flags(flags)
    flags.add_argument("--demo", action="store_true", help="the run of make demo")
    flags.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    given, words = flags.parse_known_args()
    if given.inside:
        inside(words, given.inside)
    if words:
        flags.error(f"unknown: {' '.join(words)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        name = "demo" if given.demo else protocol.prepare(given, folder)
        stored_as = "demo" if given.demo else f"{name}_{protocol.size(given)}"
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        told = folder / "told.json"
        config = "configs/smoke.py" if given.demo else folder / "config.py"
        command = ["evaluate", f"--config={config}", f"--workdir={folder / 'run'}", *given.override]
        finished = measure.run([*measure.script("speed.overhead"), f"--inside={told}", *command], environment)
        found = json.loads(told.read_text())
        spent = json.loads((folder / "run/summary.json").read_text())["spent"]
    probing = found["seconds"].get(PROBING, 0.0)
    wall, command = finished.seconds - probing, found["command"] - probing
    parts = split(wall, command, found["seconds"], found["share"])
    lines = [
        (part, f"{value:.2f} s", f"{100 * value / wall:.1f} %")
        for part, value in sorted(parts.items(), key=lambda item: -item[1])
    ]
    lines.append(("all", f"{wall:.2f} s", "100 %"))
    beside = found["seconds"].get(BESIDE, 0.0)
    lines.append((BESIDE, f"{beside:.2f} s", "-"))
    lost = 1 - (parts[TRAINING] + parts.get(PREDICTION, 0.0)) / wall
    notes = [
        f"{100 * lost:.1f} % of the wall time is neither training nor prediction "
        f"({spent['fits_trained']} fits)."
    ]
    measure.start_jax()
    value = {"wall": wall, "seconds": parts, "beside": beside, "spent": spent, "notes": notes}
    size = "make demo" if given.demo else f"{given.folds} folds, {given.trials} trials, {given.epochs} epochs"
    table = measure.Table(("what", "time", "of the wall time"), tuple(lines))
    measure.store(
        given.out,
        f"overhead_{stored_as}{measure.suffix()}",
        f"Where the time goes: {name}, {size}",
        table,
        value,
    )


if __name__ == "__main__":
    main()
