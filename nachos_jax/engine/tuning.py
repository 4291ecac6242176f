"""Which lowering and packing are fastest here: known, or timed once per (device kind, bucket) and remembered.

Timing compiles every candidate, so a run that would not win that time back takes the first of them.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from nachos_jax.core.types import digest
from nachos_jax.models.convolution import spatial_axes

log = logging.getLogger("nachos_jax")

MARGIN = 0.95
"""A later candidate must take less than this part of the first one's time: choices near a tie would change
from machine to machine, and with them the last digits of results."""

_ROUNDS, _SECONDS = 5, 2.0
_Steps = Callable[[], None]
_clock = time.perf_counter


@dataclass(frozen=True)
class Asker:
    """A run that wants to know."""

    name: str  # unlike that of any other run
    steps: float  # training steps, summed over lanes, that it is expected to take
    few: int  # those of a candidate's few steps

    def repays(self, others: int, compiling: float = 0.0, few_steps: float | None = None) -> bool:
        """Whether so many other candidates are worth compiling and timing.

        Args:
            others: their number.
            compiling: seconds that compiling the first one took.
            few_steps: seconds of its few steps; without them, whether it is worth asking.
        """
        step = LONGEST if few_steps is None else few_steps / self.few
        return others * (compiling + _SECONDS) <= SHARE * self.steps * step


@dataclass(frozen=True)
class Choice:
    """How the lanes of a bucket are computed."""

    packing: str  # see `nachos_jax.engine.program.vectorised`
    convolution: str  # see `nachos_jax.models.convolution`

    def __str__(self) -> str:
        return f"{self.convolution}/{self.packing}"


_TABLES = {
    "cpu": (Choice("map", "split"), Choice("map", "custom")),
    "tpu": (Choice("vmap", "lax"), Choice("map", "lax"), Choice("blocks", "lax")),
    "gpu": (Choice("vmap", "custom"), Choice("map", "lax"), Choice("vmap", "lax")),
}
"""Worth timing, the one expected to win first. What always loses is left out: on a CPU, XLA's own gradients
in a loop take 15 times as long, lanes in step twice. On an H100 small networks are fastest in step (0.07 ms
against 0.31 ms in turn), wide ones in turn (3.0 against 3.8 ms); see benchmarks/results."""

_SETTLED = frozenset({"cpu"})
"""Where nothing is timed: the first of each table has won, or was level, in all of benchmarks/results."""

SHARE = 0.03
"""Part of what a run is expected to take that timing may cost."""

LONGEST = 0.02
"""Seconds that a step of a lane hardly takes on an accelerator, for runs too short to look."""

_VOLUME_TABLES = {
    "cpu": (Choice("map", "split"), Choice("map", "fold")),
    "tpu": (Choice("map", "lax"), Choice("vmap", "lax")),
    "gpu": (Choice("map", "lax"), Choice("vmap", "lax"), Choice("map", "fold"), Choice("map", "custom")),
}
"""The same for volumes. Lanes in step make a grouped 3-D convolution, which not every card can do."""

_IN_CACHE = 16
"""Images whose activations a core of a processor finds again in its cache; see `benchmarks.speed.held`."""

Agree = Callable[[str, Callable[[], str]], str]
"""(question, what this process would answer) -> the answer of all processes."""

_remembered: dict[str, Choice] = {}


def alone(_: str, answer: Callable[[], str]) -> str:
    """The agreement of a process that is alone."""
    return answer()


def candidates(
    platform: str, packing: str, convolution: str, shape: Sequence[int] = ()
) -> tuple[Choice, ...]:
    """The choices to time, the one to take when nothing is clearly faster first; "auto" leaves a part free.

    An unknown platform is treated as a GPU.

    Args:
        platform: "cpu", "gpu" or "tpu".
        packing: as in the config.
        convolution: as in the config.
        shape: of a case, or of a patch of one: (H, W, C) or (D, H, W, C).
    """
    table = _table(platform, shape)
    wanted = [
        Choice(
            choice.packing if packing == "auto" else packing,
            choice.convolution if convolution == "auto" else convolution,
        )
        for choice in table
    ]
    settled = platform in _SETTLED and wanted[0] == table[0]
    return tuple(dict.fromkeys(wanted[:1] if settled else wanted))


def held_batch(platform: str, shape: Sequence[int], most: int) -> int:
    """Held cases that are predicted together.

    Args:
        platform: "cpu", "gpu" or "tpu".
        shape: of one case.
        most: that the task allows.
    """
    return min(most, _IN_CACHE) if platform == "cpu" and len(shape) > 1 else most


def _table(platform: str, shape: Sequence[int]) -> tuple[Choice, ...]:
    if spatial_axes(shape) == 3:
        return _VOLUME_TABLES.get(platform, _VOLUME_TABLES["gpu"])
    return _TABLES.get(platform, _TABLES["gpu"])


def choose(
    key: Mapping[str, Any],
    choices: Sequence[Choice],
    prepare: Callable[[Choice], _Steps],
    agree: Agree = alone,
    asker: Asker | None = None,
) -> Choice:
    """The fastest choice, from memory or by timing.

    Args:
        key: what the answer depends on, JSON values.
        choices: see `candidates`.
        prepare: compiles a choice, in a thread of its own; what it returns runs a few training steps to
            their end. A choice that raises, here or there, is out. What the functions hold on the devices
            is held for all choices at once.
        agree: makes several processes take the same choice, on which the last digits of results depend.
        asker: the run, if it may be too short to be worth the timing.

    Returns:
        The first choice, or one that is clearly faster. It is remembered in this process and, where JAX keeps
        its compiled programs, beside them: for all runs, or for this one if it was too short.

    Raises:
        Exception: that of the first choice, when all raise.
    """
    if len(choices) == 1:
        return choices[0]
    name = digest([key, [str(choice) for choice in choices]])
    own = digest([name, asker.name]) if asker else name
    if own not in _remembered:
        milliseconds: dict[str, float] = {}

        def mine() -> str:
            known = _read(own, key, choices) or _read(name, key, choices)
            return str(known or _fastest(choices, prepare, milliseconds, asker))

        answer = agree(name, mine)
        agreed = _remembered[own] = next(choice for choice in choices if str(choice) == answer)
        # Only now: the same command must go on with what all have taken.
        if milliseconds or agreed not in (_read(own, key, choices), _read(name, key, choices)):
            made = datetime.now(UTC).isoformat(timespec="seconds")
            told = {"key": dict(key), "choice": asdict(agreed), "milliseconds": milliseconds, "made": made}
            _write(name if milliseconds else own, told)
    return _remembered[own]


def _fastest(
    choices: Sequence[Choice],
    prepare: Callable[[Choice], _Steps],
    milliseconds: dict[str, float],
    asker: Asker | None,
) -> Choice:
    """The choice that wins the timing; fills in what each has taken. The first where timing does not pay."""
    if asker is not None and not _pays(choices, prepare, asker):
        log.info("%s is taken: this run is too short to win back what timing others would take", choices[0])
        return choices[0]
    seconds = _timed(choices, prepare)
    chosen = _winner(seconds)
    milliseconds |= {str(choice): round(1e3 * value, 3) for choice, value in seconds.items()}
    log.info("chosen: %s (a few steps took, in ms: %s)", chosen, milliseconds)
    return chosen


def _pays(choices: Sequence[Choice], prepare: Callable[[Choice], _Steps], asker: Asker) -> bool:
    """Whether the others are to be timed; they are if the first one does not work."""
    try:
        if not asker.repays(len(choices) - 1):
            return False
        began = _clock()
        steps = prepare(choices[0])
        compiling = _clock() - began
        steps()
        began = _clock()
        steps()
        return asker.repays(len(choices) - 1, compiling, _clock() - began)
    except Exception as error:
        log.info("%s may be out: %s", choices[0], (str(error) or repr(error)).splitlines()[0])
        traceback.clear_frames(error.__traceback__)
        return True


def _timed(choices: Sequence[Choice], prepare: Callable[[Choice], _Steps]) -> dict[Choice, float]:
    """Median seconds of each that works, in turn, so that a change of speed falls on all alike."""
    errors: dict[Choice, Exception] = {}

    def out(choice: Choice, error: Exception) -> None:
        log.info("%s is out: %s", choice, (str(error) or repr(error)).splitlines()[0])
        # Its arrays would take memory from the others for as long as the error is kept.
        traceback.clear_frames(error.__traceback__)
        errors[choice] = error

    ready = _prepared(choices, prepare, out)
    seconds: dict[Choice, list[float]] = {choice: [] for choice in ready}
    began = _clock()
    for number in range(1 + _ROUNDS):
        if number > 1 and _clock() - began >= _SECONDS:
            break
        for choice in list(ready):
            start = _clock()
            try:
                ready[choice]()
                seconds[choice].append(_clock() - start)
            except Exception as error:
                del ready[choice]
                out(choice, error)
        if number == 0:  # first runs pay for what later ones find done
            seconds, began = {choice: [] for choice in ready}, _clock()
    if not ready:
        raise errors[choices[0]]
    return {choice: statistics.median(seconds[choice]) for choice in ready}


def _prepared(
    choices: Sequence[Choice],
    prepare: Callable[[Choice], _Steps],
    out: Callable[[Choice, Exception], None],
) -> dict[Choice, _Steps]:
    """The choices that compile, as functions to time; two are compiled at a time."""
    ready: dict[Choice, _Steps] = {}
    pool = ThreadPoolExecutor(2)
    try:
        coming = [pool.submit(prepare, choice) for choice in choices]
        for choice, future in zip(choices, coming, strict=True):
            try:
                ready[choice] = future.result()
            except Exception as error:  # out of memory, or not supported here: the others are left
                out(choice, error)
    finally:
        # Whoever interrupts waits for the two at work, not for all.
        pool.shutdown(cancel_futures=True)
    return ready


def _winner(seconds: Mapping[Choice, float]) -> Choice:
    first, fastest = next(iter(seconds)), min(seconds, key=seconds.__getitem__)
    return fastest if seconds[fastest] < MARGIN * seconds[first] else first


def _file(name: str) -> Path | None:
    folder = jax.config.jax_compilation_cache_dir  # pyrefly: ignore[missing-attribute]
    return None if not folder or "://" in folder else Path(folder) / f"tuned-{name}.json"


def _read(name: str, key: Mapping[str, Any], choices: Sequence[Choice]) -> Choice | None:
    path = _file(name)
    try:
        value = json.loads(path.read_text(encoding="utf-8")) if path else None
        if value is None or value["key"] != json.loads(json.dumps(dict(key))):
            return None
        known = Choice(**value["choice"])
    # Missing, torn or foreign: timed again.
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return known if known in choices else None


def _write(name: str, value: Mapping[str, Any]) -> None:
    path = _file(name)
    if path is None:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(value, indent=1) + "\n")
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        log.info("the choice of %s could not be kept: %s", path, error)
