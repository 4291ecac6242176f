"""Which lowering and packing are fastest here: timed once per (device kind, bucket), then remembered."""

from __future__ import annotations

import json
import logging
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax

from nachos_jax.core.types import digest

log = logging.getLogger("nachos_jax")

MARGIN = 0.95
"""A later candidate must take less than this part of the first one's time: choices near a tie would change
from machine to machine, and with them the last digits of results."""

_ROUNDS, _SECONDS = 5, 2.0
_clock = time.perf_counter


@dataclass(frozen=True)
class Choice:
    """How the lanes of a bucket are computed.

    Attributes:
        packing: see `nachos_jax.engine.program.vectorised`.
        convolution: see `nachos_jax.models.convolution`.
    """

    packing: str
    convolution: str

    def __str__(self) -> str:
        return f"{self.convolution}/{self.packing}"


_TABLES = {
    "cpu": (Choice("map", "custom"), Choice("map", "im2col")),
    "tpu": (Choice("vmap", "lax"), Choice("map", "lax"), Choice("blocks", "lax")),
    "gpu": (
        Choice("vmap", "lax"),
        Choice("map", "lax"),
        Choice("blocks", "lax"),
        Choice("vmap", "im2col"),
        Choice("blocks", "custom"),
    ),
}
"""Worth timing, the one expected to win first. What always loses is left out: on a CPU, XLA's own gradients
in a loop take 15 times as long, lanes in step twice."""

_remembered: dict[str, Choice] = {}


def candidates(platform: str, packing: str, convolution: str) -> tuple[Choice, ...]:
    """The choices to time.

    Args:
        platform: "cpu", "gpu" or "tpu"; another one is treated as a GPU.
        packing: as configured; "auto" is free.
        convolution: likewise.

    Returns:
        At least one; the one to take when nothing is clearly faster comes first.
    """
    table = _TABLES.get(platform, _TABLES["gpu"])
    wanted = [
        Choice(
            choice.packing if packing == "auto" else packing,
            choice.convolution if convolution == "auto" else convolution,
        )
        for choice in table
    ]
    return tuple(dict.fromkeys(wanted))


def choose(
    key: Mapping[str, Any], choices: Sequence[Choice], prepare: Callable[[Choice], Callable[[], None]]
) -> Choice:
    """The fastest choice, from memory or by timing.

    Args:
        key: what the answer depends on, JSON values.
        choices: see `candidates`.
        prepare: compiles a choice; what it returns runs a few training steps to their end. A choice that
            raises, here or there, is out.

    Returns:
        The first choice, or one that is clearly faster. It is remembered in this process and, where JAX keeps
        its compiled programs, beside them.

    Raises:
        Exception: that of the first choice, when all raise.
    """
    if len(choices) == 1:
        return choices[0]
    name = digest([key, [str(choice) for choice in choices]])
    known = _remembered.get(name) or _read(name, choices)
    if known is None:
        seconds = _timed(_prepared(choices, prepare))
        known = _winner(seconds)
        told = {str(choice): round(1e3 * value, 3) for choice, value in seconds.items()}
        log.info("chosen: %s (a few steps took, in ms: %s)", known, told)
        _write(name, {"key": dict(key), "choice": asdict(known), "milliseconds": told})
    _remembered[name] = known
    return known


def _prepared(
    choices: Sequence[Choice], prepare: Callable[[Choice], Callable[[], None]]
) -> dict[Choice, Callable[[], None]]:
    """The choices that compile and run once, as functions to time; two are compiled at a time."""
    with ThreadPoolExecutor(2) as pool:
        coming = {choice: pool.submit(prepare, choice) for choice in choices}
    ready, errors = {}, []
    for choice, future in coming.items():
        try:
            steps = future.result()
            steps()
            ready[choice] = steps
        except Exception as error:  # out of memory, or not supported here: the others are left
            log.info("%s is out: %s", choice, error)
            errors.append(error)
    if not ready:
        raise errors[0]
    return ready


def _timed(ready: Mapping[Choice, Callable[[], None]]) -> dict[Choice, float]:
    """Median seconds of each, in turn, so that a change of the machine's speed falls on all alike."""
    seconds: dict[Choice, list[float]] = {choice: [] for choice in ready}
    began = _clock()
    while len(next(iter(seconds.values()))) < _ROUNDS:
        for choice, steps in ready.items():
            start = _clock()
            steps()
            seconds[choice].append(_clock() - start)
        if _clock() - began > _SECONDS:
            break
    return {choice: statistics.median(values) for choice, values in seconds.items()}


def _winner(seconds: Mapping[Choice, float]) -> Choice:
    first, fastest = next(iter(seconds)), min(seconds, key=seconds.__getitem__)
    return fastest if seconds[fastest] < MARGIN * seconds[first] else first


def _file(name: str) -> Path | None:
    folder = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    return None if not folder or "://" in folder else Path(folder) / f"tuned-{name}.json"


def _read(name: str, choices: Sequence[Choice]) -> Choice | None:
    path = _file(name)
    try:
        known = Choice(**json.loads(path.read_text(encoding="utf-8"))["choice"]) if path else None
    except (OSError, ValueError, KeyError, TypeError):  # missing, torn or foreign: timed again
        return None
    return known if known in choices else None


def _write(name: str, value: Mapping[str, Any]) -> None:
    path = _file(name)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = path.with_suffix(f".{os.getpid()}")
        torn.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        torn.replace(path)
    except OSError as error:
        log.info("the choice of %s could not be kept: %s", path, error)
