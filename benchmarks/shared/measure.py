"""How everything here is measured: candidates in turn (A B A B), medians, and ratios within one run."""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1]
"""Of all benchmarks."""
RESULTS = FOLDER / "results"
PACKAGES = ("nachos_jax", "jax", "jaxlib", "flax", "optax", "torch", "numpy")
BUSY = 0.25
"""Load per core above which others were computing; PyTorch's threads, waiting for each other, suffer most."""
PATIENCE = 600.0
"""Seconds that --wait waits for a quiet machine, which one that has just measured takes some of."""


def _load() -> float:
    """Load of the minute before; with --wait, once it is low or patience has ended."""
    until = time.monotonic() + PATIENCE * ("--wait" in sys.argv)
    while (found := os.getloadavg()[0]) / (os.cpu_count() or 1) > BUSY and time.monotonic() < until:
        time.sleep(5)
    return found


LOAD = _load()
"""Of the minute before the benchmark began."""
LOADED = "--loaded" in sys.argv
"""Whether timings of a busy machine are stored all the same."""


@dataclass(frozen=True)
class Table:
    """What a result shows to people: titles of the columns, and rows of ready texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Aligned for a terminal."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        return "\n".join(
            "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(cells))
            for cells in ([*zip(line, widths, strict=True)] for line in lines)
        )


@dataclass(frozen=True)
class Finished:
    """A process that has ended well: wall seconds, peak resident memory in MiB, what it printed."""

    seconds: float
    peak_mib: float
    output: str


def parser(text: str | None) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is; every benchmark can store its result elsewhere."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON result")
    made.add_argument("--loaded", action="store_true", help="store timings of a busy machine, and say so")
    made.add_argument("--wait", action="store_true", help="wait for a quiet machine, up to 10 minutes")
    return made


def start_jax(cpu_devices: int = 0) -> None:
    """Lets JAX see the devices as `nachos` does, or a given number of CPU devices; before JAX starts."""
    import jax

    from nachos_jax.runtime.mesh import one_device_a_core

    if cpu_devices:
        jax.config.update("jax_num_cpu_devices", cpu_devices)
    one_device_a_core()


def in_turn(
    candidates: Mapping[str, Callable[[], Any]], rounds: int, budget: float = math.inf, warm: bool = False
) -> dict[str, list[float]]:
    """Seconds of each candidate, one call each a round, after one round that does not count.

    Taking turns lets a change of the machine's speed fall on all alike; quote ratios of medians.

    Args:
        candidates: what to call, by name.
        rounds: rounds that count.
        budget: seconds after which no further round begins; one counts in any case.
        warm: each turn begins with a call that does not count. Who has waited finds sleeping threads and
            another's data in the caches: of short calls that is a good part.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    began = time.perf_counter()
    for round_number in range(rounds + 1):
        if round_number > 1 and time.perf_counter() - began > budget:
            break
        for name, call in candidates.items():
            if warm:
                call()
            start = time.perf_counter()
            call()
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def script(name: str) -> list[str]:
    """How a process runs another benchmark, named with its room: "speed.steps"."""
    return [sys.executable, "-m", f"{FOLDER.name}.{name}"]


def run(command: Sequence[Any], environment: Mapping[str, str] | None = None) -> Finished:
    """Runs a process to its end.

    Its peak is never told to be less than the memory of the process that starts it, so nothing large may
    have been imported here before. Memory of a GPU is not in it.

    Raises:
        RuntimeError: it failed; its messages are on the terminal.
    """
    start = time.perf_counter()
    words = [str(word) for word in command]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    with process.stdout:
        output = process.stdout.read()
    peak = reap(process)
    return Finished(time.perf_counter() - start, peak, output)


def reap(process: subprocess.Popen) -> float:
    """Waits for the end of a process; its peak resident memory in MiB.

    Raises:
        RuntimeError: it failed.
    """
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode} of: {' '.join(map(str, process.args))}")  # pyrefly: ignore[bad-argument-type]
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def machine() -> dict[str, Any]:
    """Processor, cores, memory, load before, devices and versions."""
    import psutil

    start_jax()  # unless it has been started
    import jax

    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": LOAD,
        "devices": [f"{device.platform} {device.device_kind}" for device in jax.local_devices()],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def suffix() -> str:
    """For names of results: "" on a processor ("_smt" where threads share a core), else "_gpu" or "_tpu"."""
    return place().removeprefix("_cpu")


def place() -> str:
    """Likewise, with "_cpu" on a processor."""
    import psutil

    start_jax()
    import jax

    platform = jax.local_devices()[0].platform
    whole = psutil.cpu_count(logical=False)  # None where the system does not tell
    shared = platform == "cpu" and whole and whole < (os.cpu_count() or 1)
    return f"_{platform}" + "_smt" * bool(shared)


def version(name: str) -> str:
    """Version of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def command() -> str:
    """The command line, with no folder of this machine in it."""
    words = [word if "/" not in word else _relative(word) for word in sys.argv[1:]]
    script = Path(sys.argv[0])
    return " ".join(["python", "-m", f"{FOLDER.name}.{script.parent.name}.{script.stem}", *words])


def _relative(word: str) -> str:
    flag, _, value = word.rpartition("=")
    return (f"{flag}=" if flag else "") + (os.path.basename(value) if os.path.isabs(value) else value)


def store(
    folder: Path, name: str, title: str, table: Table, value: Mapping[str, Any], timed: bool = True
) -> Path | None:
    """Prints a result and writes it as JSON.

    Timings of a machine that was busy before are not kept, unless --loaded says that they shall be; the table
    then says so.

    Args:
        folder: where to.
        name: the file's name without its ending; a result of the same name is replaced.
        title: what was measured.
        table: what people see.
        value: everything measured; "notes" in it is a list of sentences that are shown below the table.
    """
    busy = timed and LOAD / (os.cpu_count() or 1) > BUSY
    made: dict[str, Any] = {
        "title": f"{title} (the machine was busy before: load {LOAD:.1f})" if busy else title,
        "command": command(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "table": {"columns": table.columns, "rows": table.rows},
        **value,
    }
    print("\n".join([made["title"], table.text(), *value.get("notes", ())]))
    if busy and not LOADED:
        print(f"not stored: the machine was busy before (load {LOAD:.1f}); see --wait and --loaded.")
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    print(f"stored: {os.path.relpath(path)}\n")
    return path
